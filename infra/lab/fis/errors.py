"""What FIS refuses, under AWS's names and with its HTTP codes, and the failure of an action.

moto's FISException
  InvalidRequest      ValidationException            400
  NotFound            ResourceNotFoundException      404
  Conflict            ConflictException              409
  QuotaExceeded       ServiceQuotaExceededException  402
ActionFailed
"""

from moto.fis.exceptions import FISException, ResourceNotFoundException

NotFound = ResourceNotFoundException


class ActionFailed(Exception):
    """The fault cannot be brought about, or not be ended; the text says why."""


class _Refusal(FISException):
    name = ""

    def __init__(self, message: str) -> None:
        super().__init__(self.name, message)


class InvalidRequest(_Refusal):
    """What was asked makes no sense."""

    code, name = 400, "ValidationException"


class Conflict(_Refusal):
    """What was asked does not go with what is."""

    code, name = 409, "ConflictException"


class QuotaExceeded(_Refusal):
    """More than an account may have."""

    code, name = 402, "ServiceQuotaExceededException"
