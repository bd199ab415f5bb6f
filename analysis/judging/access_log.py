"""What the load balancer wrote of an order, from a line of an ALB's access log. Pure.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
The lab writes the same format. No header of a request is in it but the trace id.
"""

import re
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass, field

from analysis.evidence.records import is_time, parse_time

# A quoted field may hold spaces; an ALB writes a quote in it as \x22, and has written it as \".
_FIELD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
# Whose line it is. A trace goes on through other load balancers, with the same root.
_BALANCER = re.compile(r"\S+ \S+ (app/\S+) ")
# Connection logs begin with a time; in health check logs a duration follows it.
_OTHER_LOG = re.compile(r"(?:\w+ )?\d{4}-\d\d-\d\dT\S+ (?!app/)")
_MOST_BALANCERS = 10  # that are told apart
_ROOT = re.compile(r"Root=([0-9A-Za-z-]+)")
# Newer load balancers write more fields at the end; these are there since request_creation_time.
_LEAST_FIELDS = 22
_TRACE_ID, _CREATED = 17, 21
_LONGEST_S = 1e9  # no request takes longer, and no number of seconds overflows


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerLine:
    """One request as the load balancer saw it; times in microseconds, None where it says -1 or -.

    `target` is address:port. `dispatched_at` is known for requests that a target answered; None
    proves nothing, since an ALB logs -1 both where it never dispatched and where nobody answered.
    """

    trace_root: str
    received_at: int
    ended_at: int
    target: str
    dispatched_at: int | None
    status: int | None
    target_status: int | None


@dataclass(slots=True)
class BalancerLog:
    """The lines that were asked for, by trace root, and how many lines could not be read.

    `balancers` are those that the log has lines of, and `why_none` says why none of them counts.
    """

    lines: dict[str, BalancerLine]
    unreadable: int = 0
    balancers: set[str] = field(default_factory=set)
    why_none: str = ""

    @classmethod
    def of(
        cls, lines: Iterable[str], *, wanted: Set[str], ours: Collection[str] = ()
    ) -> "BalancerLog":
        """Keep the lines whose trace root is wanted; a log may be far larger than memory.

        Only those of `ours` count; where these are not known, the log must be of one alone.
        """
        log = cls({})
        for text in lines:
            log._take(text, wanted, ours)
        if log.balancers and not (log.balancers & set(ours) if ours else len(log.balancers) == 1):
            log.lines.clear()
            log.why_none = _why_none(log.balancers, ours)
        return log

    def _take(self, text: str, wanted: Set[str], ours: Collection[str]) -> None:
        of_balancer = _BALANCER.match(text)
        if text.isspace() or not text or (of_balancer is None and _OTHER_LOG.match(text)):
            return
        if of_balancer is not None and (
            of_balancer[1] in ours or len(self.balancers) < _MOST_BALANCERS
        ):
            self.balancers.add(of_balancer[1])
        if ours and of_balancer is not None and of_balancer[1] not in ours:
            return
        root = _ROOT.search(text)
        if root is not None and root[1] not in wanted:
            return
        try:
            line = parse_access_log_line(text)
        except ValueError:
            self.unreadable += 1
            return
        if line.trace_root in wanted:
            self.lines.setdefault(line.trace_root, line)

    def of_trace(self, trace_id: str) -> BalancerLine | None:
        """Return the line of an attempt's trace id, if the log has one."""
        return self.lines.get(trace_root(trace_id))


def _why_none(found: Set[str], ours: Collection[str]) -> str:
    what = f"the access log is of {', '.join(sorted(found))}"
    if ours:
        return f"{what}, and not of the run's load balancer, {', '.join(sorted(ours))}"
    return f"{what}, and the run does not know which of them is its own: it is no witness"


def trace_root(trace_id: str) -> str:
    """Return what stays the same when a load balancer adds to a trace id; empty without one."""
    found = _ROOT.search(trace_id)
    return found[1] if found else ""


def parse_access_log_line(text: str) -> BalancerLine:
    """Read one line; ValueError if it is not one of an ALB's access log."""
    fields = [quoted or bare for quoted, bare in _FIELD.findall(text)]
    if len(fields) < _LEAST_FIELDS:
        raise ValueError(
            f"{len(fields)} fields are fewer than the {_LEAST_FIELDS} of an access log's line"
        )
    received_at = parse_time(fields[_CREATED])
    was_answered = float(fields[5]) >= 0 and float(fields[6]) >= 0
    return BalancerLine(
        trace_root=trace_root(fields[_TRACE_ID]),
        received_at=received_at,
        ended_at=parse_time(fields[1]),
        target="" if fields[4] == "-" else fields[4],
        dispatched_at=_dispatched_at(received_at, float(fields[5])) if was_answered else None,
        status=_status(fields[8]),
        target_status=_status(fields[9]),
    )


def _dispatched_at(received_at: int, after_s: float) -> int:
    at = received_at + round(min(after_s, _LONGEST_S) * 1e6)
    if not is_time(at):
        raise ValueError("it was dispatched at a time that no calendar knows")
    return at


def _status(text: str) -> int | None:
    return None if text == "-" else int(text)
