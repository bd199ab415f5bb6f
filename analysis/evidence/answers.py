"""What answers that acknowledge nothing leave open, and how such doubts are counted. Pure."""

from collections.abc import Iterable

from analysis.evidence.records import Event, Outcome

ACCEPTED = "accepted"
NO_PRODUCTS = "products_not_understood"  # an event
BAD_REPLY = "bad_reply"
_ACCEPTED_STATUS = 202
# Successes that promise no order: 202 is "noncommittal" (RFC 9110, 15.3.3), 206 is a part of an
# answer, and 207 says further down what has succeeded.
NONCOMMITTAL = frozenset({_ACCEPTED_STATUS, 206, 207})
_SUCCESS, _REDIRECTION, _SERVER_ERROR = 200, 300, 500
_ODD_NAMES = tuple(f"{BAD_REPLY}: {name} is " for name in ("order_id", "id"))


def outcome_recorded(outcome: Outcome, status: int | None) -> Outcome:
    """Return what a recorded outcome counts as: older runs took any success for a promise."""
    if outcome is Outcome.ACKNOWLEDGED and status in NONCOMMITTAL:
        return Outcome.INDETERMINATE
    return outcome


def cause_of_doubt(status: int | None, error: str) -> str:
    """Return the cause in summary.json: the status of a 5xx, else what was wrong."""
    if status is not None and status >= _SERVER_ERROR:
        return str(status)
    if is_acceptance(status, error):
        return ACCEPTED
    return error or (str(status) if status is not None else "unknown")


def is_acceptance(status: int | None, error: str) -> bool:
    """Whether a whole reply says that the order was accepted, and no more."""
    return status == _ACCEPTED_STATUS and not error


def was_answered(status: int | None, error: str) -> bool:
    """Whether a whole reply told the customer of a success, whatever else it said."""
    is_whole = not error or error.startswith(BAD_REPLY)
    return status is not None and _SUCCESS <= status < _REDIRECTION and is_whole


def names_order_oddly(error: str) -> bool:
    """Whether a success named an order, but not by a whole number."""
    return error.startswith(_ODD_NAMES)


def why_no_order_was_sent(events: Iterable[Event] | None) -> str:
    """Return what the shop's list of products was, if no customer understood it; else nothing."""
    return next((each.detail for each in events or () if each.event == NO_PRODUCTS), "")
