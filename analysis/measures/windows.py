"""How long the fault was felt, by whom, and what it caught. Pure.

A window is [from, to]: clients, from their first to their last failure after the fault began; the
load balancer, from the fault until it took a victim out, and why it did; the ASG, from its first
activity after the fault until the last of them was successful.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import StrEnum

from analysis.evidence.answers import was_answered
from analysis.evidence.ledger.failures import ended_requests, is_failed
from analysis.evidence.records import Attempt, Event, Outcome, Request, format_time
from analysis.evidence.run import Fault
from analysis.judging.access_log import BalancerLog, trace_root
from analysis.judging.evidence import Evidence
from analysis.judging.row_owners import attempts_in_order, rows_in_order

_SUCCESSFUL = "Successful"
_OVER = frozenset({_SUCCESSFUL, "Failed", "Cancelled"})
_TAKEN_OUT = frozenset({"unhealthy", "draining", "unused", "unavailable", "deregistered"})
_NOT_RUNNING = frozenset({"stopping", "stopped", "shutting-down", "terminated"})
_INVALID_STATE = "Target.InvalidState"  # the load balancer's reason for `unused`
# What to expect beside the health checks' arithmetic. The lab's delay: infra/lab/settings.py.
EC2_STATE_EXPECTATION = (
    "sooner where EC2's state is stopping, stopped, shutting-down or terminated: after how long "
    "is not documented, and the article saw 16 s"
)


class EndedBy(StrEnum):
    """What made the load balancer take a victim out, as summary.json names it."""

    HEALTH_CHECKS = "health_checks"
    # EC2 no longer runs it: the load balancer knows, or its Auto Scaling group deregistered it.
    EC2_STATE = "ec2_state"
    # By somebody, for a reason that events do not tell.
    DEREGISTRATION = "deregistration"

    @property
    def in_words(self) -> str:
        """As people are told it."""
        return {"health_checks": "health checks", "ec2_state": "EC2's state"}.get(self, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time, in microseconds since the epoch, and what ended it where that is known."""

    begins_at: int
    ends_at: int
    ended_by: EndedBy | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.ends_at - self.begins_at) / 1e6

    def as_json(self) -> dict[str, object]:
        """Return the form that summary.json holds."""
        return {
            "from": format_time(self.begins_at),
            "to": format_time(self.ends_at),
            "seconds": self.seconds,
            **({"ended_by": self.ended_by.value} if self.ended_by else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of a run; None where there was none, or nothing to see it by."""

    client: Window | None
    load_balancer: Window | None
    autoscaling: Window | None

    @property
    def by_name(self) -> dict[str, Window | None]:
        """All of them, by the names in summary.json."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Orders that were in flight when the fault began; None where that cannot be known."""

    orders_in_flight_at_fault: int | None
    on_victim: int | None


def balancer_window_name(window: Window | None) -> str:
    """Return what people are told that the load balancer's window is, with what ended it."""
    by = window.ended_by.in_words if window and window.ended_by else "it"
    return f"load balancer: until {by} took the victim out"


def find_windows(evidence: Evidence) -> Windows:
    """Return the three windows of the fault."""
    fault = evidence.run.fault
    if fault is None or fault.started_at is None:
        return Windows(client=None, load_balancer=None, autoscaling=None)
    return Windows(
        client=_client_window(evidence.requests, fault.started_at),
        load_balancer=_balancer_window(evidence.events, fault, fault.started_at),
        autoscaling=_autoscaling_window(evidence.events, fault.started_at),
    )


def _client_window(requests: Iterable[Request] | None, fault_at: int) -> Window | None:
    failures = [
        request.ended_at
        for request in ended_requests(requests or (), since=fault_at)
        if request.ended_at is not None and is_failed(request)
    ]
    return Window(begins_at=min(failures), ends_at=max(failures)) if failures else None


def _balancer_window(events: Iterable[Event] | None, fault: Fault, fault_at: int) -> Window | None:
    taken_out = [
        event
        for event in events or ()
        if event.source == "elb"
        and event.subject in fault.targets
        and event.event in _TAKEN_OUT
        and event.at >= fault_at
    ]
    if not taken_out:
        return None
    first = min(taken_out, key=lambda each: (each.at, each.subject, each.event))
    return Window(begins_at=fault_at, ends_at=first.at, ended_by=_ended_by(first, events or ()))


def _ended_by(taken_out: Event, events: Iterable[Event]) -> EndedBy | None:
    """Return why the load balancer took a target out; None where its checks were switched off.

    An Auto Scaling group deregisters an instance that EC2 has stopped or terminated, perhaps
    before anybody has seen that it was `unused`: what EC2 had said by then tells.
    """
    if taken_out.event == "unhealthy":
        return EndedBy.HEALTH_CHECKS
    if taken_out.event == "unavailable":
        return None
    before = [
        each
        for each in events
        if each.source == "ec2" and each.subject == taken_out.subject and each.at <= taken_out.at
    ]
    state = max(before, key=lambda each: (each.at, each.event)).event if before else ""
    is_invalid = (taken_out.event, taken_out.detail) == ("unused", _INVALID_STATE)
    return EndedBy.EC2_STATE if is_invalid or state in _NOT_RUNNING else EndedBy.DEREGISTRATION


def _autoscaling_window(events: Iterable[Event] | None, fault_at: int) -> Window | None:
    activities = [each for each in events or () if each.source == "asg" and each.at >= fault_at]
    done = [each.at for each in activities if each.event == _SUCCESSFUL]
    last = {each.subject: each.event for each in sorted(activities, key=lambda each: each.at)}
    if not done or not _OVER.issuperset(last.values()):
        return None  # the run ended before scaling did
    return Window(begins_at=min(each.at for each in activities), ends_at=max(done))


def find_exposure(evidence: Evidence) -> Exposure:
    """Count the orders in flight when the fault began, and those of them on a victim.

    On a victim are those that it served: by the reply, by the row, or by the load balancer's log;
    and, where none of these tells, those that never got a definite answer: only a victim leaves an
    order it was given unanswered.
    """
    fault = evidence.run.fault
    if fault is None or fault.started_at is None:
        return Exposure(orders_in_flight_at_fault=None, on_victim=None)
    fault_at = fault.started_at
    in_flight = [each for each in evidence.attempts if _is_in_flight(each, fault_at)]
    asked_for = {each.attempt_id for each in in_flight} - {""}
    rows = [row for row in evidence.orders or () if row.attempt_id in asked_for]
    # Of two rows of an attempt, the last one tells.
    makers = {row.attempt_id: row.served_by for row in rows_in_order(rows)}
    balancer = evidence.balancer
    servers = _servers_by_target(evidence.attempts, balancer) if balancer else {}
    on_victim = 0
    for attempt in in_flight:
        server = attempt.served_by or makers.get(attempt.attempt_id)
        if not server and balancer is not None:
            server = _chosen_server(attempt, balancer, servers)
        if server is None:
            is_answered = was_answered(attempt.http_status, attempt.error)
            on_victim += attempt.outcome is Outcome.INDETERMINATE and not is_answered
        else:
            on_victim += server in fault.targets
    return Exposure(orders_in_flight_at_fault=len(in_flight), on_victim=on_victim)


def traces_that_tell(attempts: Iterable[Attempt], fault: Fault | None) -> frozenset[str]:
    """Return the trace roots of the attempts of which the load balancer's lines are of use.

    What is in doubt, what was in flight at the fault, and of each server one order that it
    answered, to know the server's address by.
    """
    at = fault.started_at if fault else None
    traces: set[str] = set()
    answered: dict[str, str] = {}
    for attempt in attempts_in_order(attempts):
        is_caught = at is not None and _is_in_flight(attempt, at)
        if attempt.outcome is Outcome.INDETERMINATE or is_caught:
            traces.add(attempt.trace_id)
        elif attempt.served_by:
            answered[attempt.served_by] = attempt.trace_id
    return frozenset(filter(None, map(trace_root, (*traces, *answered.values()))))


def _servers_by_target(attempts: Iterable[Attempt], balancer: BalancerLog) -> dict[str, str]:
    """Return which server answers at which target's address, where an order's reply told it."""
    servers: dict[str, str] = {}
    for attempt in attempts_in_order(attempts):
        line = balancer.of_trace(attempt.trace_id) if attempt.served_by else None
        if line is not None and line.target:
            servers[line.target] = attempt.served_by
    return servers


def _chosen_server(attempt: Attempt, balancer: BalancerLog, servers: dict[str, str]) -> str | None:
    """Return the server that the load balancer chose; empty for none, None if not known."""
    line = balancer.of_trace(attempt.trace_id)
    if line is None:
        return None
    return servers.get(line.target) if line.target else ""


def _is_in_flight(attempt: Attempt, at: int) -> bool:
    if attempt.sent_at is None or attempt.sent_at > at:
        return False
    return attempt.ended_at is None or attempt.ended_at > at
