"""What a client knows when an attempt has ended: pure judgement of a reply or an error.

Whatever is not proved is indeterminate. `unsent` is claimed only for NotConnected, which comes from
our own making of connections, and never for one found further down a chain of exceptions: that may
belong to something else that went wrong earlier.
"""

import errno
import json
import zlib
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException
from socket import gaierror

import requests.exceptions
import urllib3.exceptions
from gevent import GreenletExit, Timeout
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from analysis.evidence.answers import BAD_REPLY, NONCOMMITTAL, is_acceptance
from analysis.evidence.ledger.line_records import frequent
from analysis.evidence.records import Outcome
from harness.errors import NotConnected, ReplyTooLong

# Replies that an application gives before it writes anything.
_REJECTIONS = frozenset({400, 404, 405, 409, 413, 415, 422, 429})
_LARGEST_ID = 2**63 - 1
_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a whole number",
    float: "a decimal",
    str: "a string",
    list: "a list",
    dict: "an object",
}
_RESETS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})


@frequent
class Conclusion:
    """The end of an attempt as its client saw it."""

    outcome: Outcome
    http_status: int | None = None
    error: str = ""
    order_id: int | None = None
    served_by: str = ""


def conclude(
    *,
    status: int | None,
    body: bytes,
    failure: BaseException | None,
    product_id: int,
    quantity: int,
    order_key: str,
) -> Conclusion:
    """Judge one attempt to order `quantity` of `product_id` under `order_key`.

    `status` is None when no status line came, `body` is the whole body, and `failure` is what cut
    the exchange short, or None when the reply was read to its end.
    """
    if failure is not None:
        if isinstance(failure, NotConnected) and status is None:
            return Conclusion(outcome=Outcome.UNSENT, error=failure.token)
        return Conclusion(
            outcome=Outcome.INDETERMINATE, http_status=status, error=cause_of(failure)
        )
    if status is None:
        return Conclusion(outcome=Outcome.INDETERMINATE, error=BAD_REPLY)
    reply = _object_said_once(body)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        ours = {"product_id": product_id, "quantity": quantity, "order_key": order_key}
        return _conclude_success(status, reply, ours)
    outcome = Outcome.REJECTED if status in _REJECTIONS else Outcome.INDETERMINATE
    return Conclusion(
        outcome=outcome, http_status=status, served_by=_text(reply or {}, "served_by")
    )


def _conclude_success(
    status: int, reply: dict[str, object] | None, ours: dict[str, object]
) -> Conclusion:
    """Judge a whole 2xx: it acknowledges an order if it promises one, and names it as ours."""
    wrong = _wrong_with(reply, ours)
    order_id = None if reply is None or wrong else _order_id(reply)[1]
    promises = status not in NONCOMMITTAL
    return Conclusion(
        outcome=Outcome.ACKNOWLEDGED if promises and not wrong else Outcome.INDETERMINATE,
        http_status=status,
        error=f"{BAD_REPLY}: {wrong}" if promises and wrong else "",
        order_id=order_id if isinstance(order_id, int) else None,
        served_by=_text(reply or {}, "served_by"),
    )


def json_object(body: bytes) -> dict[str, object]:
    """Return the JSON object that `body` is, or an empty one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def json_kind(value: object) -> str:
    """Say what kind of thing stands in JSON: `a string`, `a list`, `a whole number`."""
    return _KINDS.get(type(value), "something else")


def failure_name(conclusion: Conclusion) -> str:
    """Return the name of a failed attempt in Locust's statistics; empty for a success.

    Sold out (409) is an answer, and no failure; nor is 202.
    """
    status, error = conclusion.http_status, conclusion.error
    is_sold_out = status == HTTPStatus.CONFLICT and not error
    if conclusion.outcome is Outcome.ACKNOWLEDGED or is_sold_out or is_acceptance(status, error):
        return ""
    return error or status_name(status)


def status_name(status: int | None) -> str:
    """`502 Bad Gateway`, or the bare number where it has no name."""
    try:
        return f"{status} {HTTPStatus(status or 0).phrase}"
    except ValueError:
        return str(status)


def cause_of(failure: BaseException) -> str:
    """Return the ledger's word for what cut an exchange short: a label, never a proof."""
    if isinstance(failure, NotConnected):
        return failure.token
    chain = list(_chain(failure))
    for token, belongs in _CAUSES:
        if any(belongs(error) for error in chain):
            return token
    return type(failure).__name__


def connect_token(error: BaseException) -> str:
    """Return the ledger's word for why a connection could not be made."""
    reason = (
        (error.__cause__ or error) if isinstance(error, urllib3.exceptions.HTTPError) else error
    )
    if isinstance(reason, ConnectionRefusedError):
        return "connect_refused"
    if isinstance(reason, gaierror):
        return "dns"
    if isinstance(reason, (TimeoutError, Timeout)):
        return "connect_timeout"
    return type(reason).__name__


def _object_said_once(body: bytes) -> dict[str, object] | None:
    """Return the JSON object that `body` is; None if it is none, or a name stands in it twice."""

    def refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name stands in it twice")
        return found

    try:
        value = json.loads(body, object_pairs_hook=refuse_repeats)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _wrong_with(reply: dict[str, object] | None, ours: dict[str, object]) -> str:
    """Say why a reply does not name our order for certain; empty if it does.

    Values are left out: whoever counts what went wrong counts these texts.
    """
    if reply is None:
        return "no JSON object with each name once"
    if wrong := _wrong_with_id(*_order_id(reply)):
        return wrong
    for name, value in ours.items():
        said = reply.get(name, value)
        if type(said) is not type(value):
            return f"{name} is {json_kind(said)} instead of {json_kind(value)}"
        if said != value:
            return f"{name} is another than was sent"
    return ""


def _wrong_with_id(name: str, order_id: object) -> str:
    if order_id is None:
        return "no order_id"
    if type(order_id) is not int:
        return f"{name} is {json_kind(order_id)} instead of a whole number"
    return "" if 0 < order_id <= _LARGEST_ID else f"{name} is out of range"


def _order_id(reply: dict[str, object]) -> tuple[str, object]:
    """Return under which name a reply says the order's id, and what it says."""
    name = "order_id" if "order_id" in reply else "id"
    return name, reply.get(name)


def _text(reply: dict[str, object], name: str) -> str:
    value = reply.get(name)
    return value[:100] if isinstance(value, str) else ""


def _chain(failure: BaseException) -> Iterator[BaseException]:
    """Walk everything a failure was made of, each once, the outermost first."""
    waiting: list[object] = [failure]
    seen: set[int] = set()
    while waiting:
        error = waiting.pop(0)
        if not isinstance(error, BaseException) or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        waiting += [getattr(error, "original", None), getattr(error, "reason", None)]
        waiting += [*error.args, error.__cause__, error.__context__]


def _is_timeout(error: BaseException) -> bool:
    return isinstance(
        error, (TimeoutError, Timeout, requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)
    )


def _is_reset(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _RESETS


def _is_close(error: BaseException) -> bool:
    # http.client's RemoteDisconnected is a reset by its type and a close by what it means.
    return isinstance(error, HTTPConnectionClosed) or type(error).__name__ == "RemoteDisconnected"


def _is_cut(error: BaseException) -> bool:
    return isinstance(
        error,
        (
            HTTPParseError,
            HTTPException,
            ReplyTooLong,
            zlib.error,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
            urllib3.exceptions.ProtocolError,
        ),
    )


_CAUSES = (
    ("in_flight_at_stop", lambda error: isinstance(error, GreenletExit)),
    ("timeout", _is_timeout),
    ("reset", _is_reset),
    ("closed", _is_close),
    ("truncated", _is_cut),
)
