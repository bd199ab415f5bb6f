"""What tests record into a ledger, and what is recorded in one that is open or was left so."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.evidence.ledger.line_records import AttemptSent, EndedFields, RequestFields, lines_of
from analysis.evidence.ledger.tail import lines_beyond
from harness.record.ledger import Ledger


def write(ledger: Ledger, *records: AttemptSent | EndedFields) -> None:
    """Record what users wait for."""
    for each in records:
        ledger.write(each.to_line() if isinstance(each, AttemptSent) else lines_of((each,)))


def put_off(ledger: Ledger, request: RequestFields, *, times: int = 1) -> None:
    """Record what nobody waits for."""
    for _ in range(times):
        ledger.waiting.append(request)


def recorded(path: Path) -> bytes:
    """What would be found in a ledger if the process were killed now; it may be writing."""
    while True:
        size = path.stat().st_size
        beyond = lines_beyond(path) or b""
        content = path.read_bytes()
        if len(content) == size:
            return content + beyond


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that takes a part of what is written, and then no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
