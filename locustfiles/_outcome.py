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

from analysis.records import Outcome, frequent
from locustfiles._errors import NotConnected, ReplyTooLong

__all__ = ["Conclusion", "cause_of", "conclude", "connect_token", "failure_name", "json_object"]

# Replies that an application gives before it writes anything.
_REJECTIONS = frozenset({400, 404, 405, 409, 413, 415, 422, 429})
_LARGEST_ID = 2**63 - 1
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
        return Conclusion(outcome=Outcome.INDETERMINATE, error="bad_reply")
    reply = _object_said_once(body)
    served_by = _text(reply, "served_by")
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        order_id = _order_named(
            reply, {"product_id": product_id, "quantity": quantity, "order_key": order_key}
        )
        return Conclusion(
            outcome=Outcome.INDETERMINATE if order_id is None else Outcome.ACKNOWLEDGED,
            http_status=status,
            error="bad_reply" if order_id is None else "",
            order_id=order_id,
            served_by=served_by,
        )
    outcome = Outcome.REJECTED if status in _REJECTIONS else Outcome.INDETERMINATE
    return Conclusion(outcome=outcome, http_status=status, served_by=served_by)


def json_object(body: bytes) -> dict[str, object]:
    """Return the JSON object that `body` is, or an empty one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def failure_name(conclusion: Conclusion) -> str:
    """Return the name of a failed attempt in Locust's statistics; empty for a success.

    Sold out (409) is an answer, and no failure.
    """
    is_sold_out = conclusion.http_status == HTTPStatus.CONFLICT and not conclusion.error
    if conclusion.outcome is Outcome.ACKNOWLEDGED or is_sold_out:
        return ""
    return conclusion.error or status_name(conclusion.http_status)


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


def _object_said_once(body: bytes) -> dict[str, object]:
    """Return the JSON object that `body` is, or an empty one if any name stands in it twice."""

    def refuse_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) != len(pairs):
            message = "a name stands in it twice"
            raise ValueError(message)
        return found

    try:
        value = json.loads(body, object_pairs_hook=refuse_repeats)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _order_named(reply: dict[str, object], ours: dict[str, object]) -> int | None:
    """Return the order's id if the reply names one and says nothing that is not ours."""
    order_id = reply.get("order_id") if "order_id" in reply else reply.get("id")
    if type(order_id) is not int or not 0 < order_id <= _LARGEST_ID:
        return None
    for name, value in ours.items():
        said = reply.get(name, value)
        if type(said) is not type(value) or said != value:
            return None
    return order_id


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
        error,
        (
            TimeoutError,
            Timeout,
            requests.exceptions.Timeout,
            urllib3.exceptions.TimeoutError,
        ),
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
