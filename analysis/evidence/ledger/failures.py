"""Which requests failed in the eyes of a customer. Pure."""

from collections.abc import Iterable, Iterator

from analysis.evidence.ledger.reader import IN_FLIGHT, ORDER_METHOD, ORDER_NAME
from analysis.evidence.records import Request

# Of an order that was due when the run stopped, and was not sent any more.
RUN_STOPPING = "run_stopping"
_SOLD_OUT = 409
_FIRST_SUCCESS, _FIRST_ERROR = 200, 400


def ended_requests(
    requests: Iterable[Request], *, since: int | None = None, names: Iterable[str] = ()
) -> Iterator[Request]:
    """Yield the requests that ended, `since` a time and of `names` (`GET /products`) if given.

    One that the run itself cut off or kept from being sent by stopping says nothing about the
    shop, and is left out.
    """
    wanted = frozenset(names)
    for request in requests:
        if request.ended_at is None or request.error in {IN_FLIGHT, RUN_STOPPING}:
            continue
        if since is not None and request.ended_at < since:
            continue
        if not wanted or f"{request.method} {request.name}" in wanted:
            yield request


def is_failed(request: Request) -> bool:
    """Whether a request that ended got no reply, a 5xx, or a status nobody expects.

    A sold-out product (409 to an order) is an answer.
    """
    if request.error or request.http_status is None:
        return True
    if _FIRST_SUCCESS <= request.http_status < _FIRST_ERROR:
        return False
    is_order = (request.method, request.name) == (ORDER_METHOD, ORDER_NAME)
    return not (is_order and request.http_status == _SOLD_OUT)
