"""Work that threads do ahead of whoever wants its results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def in_order(
    work: Callable[[ItemT], ResultT], items: Iterable[ItemT], *, threads: int
) -> Iterator[ResultT]:
    """Yield what becomes of each item, in their order; few are worked on before they are wanted."""
    ahead: deque[Future[ResultT]] = deque()
    with ThreadPoolExecutor(threads) as workers:
        for item in items:
            ahead.append(workers.submit(work, item))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
