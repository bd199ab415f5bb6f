"""What tests record into a ledger, and what is recorded in one that is open or was left so."""

from __future__ import annotations

from pathlib import Path

from analysis.ledger_tail import lines_beyond
from analysis.records import AttemptSent, EndedFields, RequestFields, lines_of
from locustfiles._ledger import Ledger


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
