"""What FIS refuses, under AWS's names and with its HTTP codes, and the failure of an action.

moto's FISException
  InvalidRequest      ValidationException            400
  NotFound            ResourceNotFoundException      404
  Conflict            ConflictException              409
  QuotaExceeded       ServiceQuotaExceededException  402
ActionFailed
"""

from __future__ import annotations

from moto.fis.exceptions import FISException
from moto.fis.exceptions import ResourceNotFoundException as NotFound

__all__ = [
    "ActionFailed",
    "Conflict",
    "FISException",
    "InvalidRequest",
    "NotFound",
    "QuotaExceeded",
]


class ActionFailed(Exception):
    """The fault cannot be brought about, or not be ended; the text says why."""


class InvalidRequest(FISException):
    """What was asked makes no sense."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class Conflict(FISException):
    """What was asked does not go with what is."""

    code = 409

    def __init__(self, message: str) -> None:
        super().__init__("ConflictException", message)


class QuotaExceeded(FISException):
    """More than an account may have."""

    code = 402

    def __init__(self, message: str) -> None:
        super().__init__("ServiceQuotaExceededException", message)
