"""The story of one order in the order of its events: what each witness saw, and when. Pure.

The client and the load balancer tell time by their own clocks, the row by the database's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from analysis.evidence.records import Attempt, OrderRow, is_time
from analysis.judging.access_log import BalancerLine
from analysis.judging.finding_records import AttemptFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that a witness (`client`, `load balancer` or `database`) saw; `at` in microseconds.

    `at` is None for what is known to have happened, but not when.
    """

    at: int | None
    witness: str
    said: str


def tell(finding: AttemptFinding, line: BalancerLine | None, *, offset_us: int = 0) -> list[Step]:
    """Return the steps of an attempt, the earliest first, those without a time last.

    `offset_us` is how far the database's clock is ahead; its times are given by the client's.
    """
    steps = [*_of_client(finding.attempt)]
    if line is not None:
        steps += _of_balancer(line)
    if finding.own_row is not None:
        steps += _of_database(finding.own_row, offset_us)
    elif finding.row is not None:
        steps.append(_of_another(finding.row, offset_us))
    # Where times are equal, what must come first was put in first.
    return sorted(steps, key=lambda step: (step.at is None, step.at or 0))


def _of_client(attempt: Attempt) -> Iterator[Step]:
    if attempt.due_at is not None:
        yield Step(at=attempt.due_at, witness="client", said="order due")
    if attempt.sent_at is not None:
        yield Step(at=attempt.sent_at, witness="client", said=f"attempt {attempt.attempt_no} sent")
    said = attempt.error or "a reply"
    if attempt.http_status is not None:
        said = f"{attempt.http_status} {attempt.error}".strip()
    if attempt.ended_at is None:
        yield Step(at=None, witness="client", said=f"never heard of it again ({said})")
    else:
        yield Step(at=attempt.ended_at, witness="client", said=f"saw {said}")


def _of_balancer(line: BalancerLine) -> Iterator[Step]:
    witness = "load balancer"
    yield Step(at=line.received_at, witness=witness, said="received it")
    if line.dispatched_at is not None:
        said = f"dispatched it to {line.target or 'a target'}"
        yield Step(at=line.dispatched_at, witness=witness, said=said)
    elif line.target:
        said = f"chose {line.target}; whether it was dispatched is not in the log"
        yield Step(at=line.received_at, witness=witness, said=said)
    answer = "nothing" if line.target_status is None else str(line.target_status)
    said = f"ended it with {line.status or 'no status'}; the target had answered {answer}"
    yield Step(at=line.ended_at, witness=witness, said=said)


def steps_of_row(row: OrderRow, *, offset_us: int = 0) -> Iterator[Step]:
    """Yield when the row's transaction began and was committed, as far as that is known."""
    by = f" by {row.served_by}" if row.served_by else ""
    for at, said in (
        (row.created_at, f"transaction of order {row.id} began{by}"),
        (row.committed_at, f"order {row.id} committed"),
    ):
        if at is not None:
            yield Step(at=_clients(at, offset_us), witness="database", said=said)


def _of_database(row: OrderRow, offset_us: int) -> Iterator[Step]:
    yield from steps_of_row(row, offset_us=offset_us)
    if row.committed_at is None:
        said = f"order {row.id} is in the table"
        if row.created_at is not None:
            said += "; when it was committed is not tracked"
        elif row.served_by:
            said += f" by {row.served_by}"
        yield Step(at=None, witness="database", said=said)


def _of_another(row: OrderRow, offset_us: int) -> Step:
    at = None if row.created_at is None else _clients(row.created_at, offset_us)
    said = f"order {row.id} is in the table, and is another order's: its id was given to that one"
    return Step(at=at, witness="database", said=said)


def _clients(at: int, offset_us: int) -> int | None:
    """Return the time by the client's clock; None if no calendar knows it."""
    return at - offset_us if is_time(at - offset_us) else None
