"""How long the fault was felt, by whom, and what it caught. Pure.

A window is [from, to]: clients, from their first to their last failure after the fault began; the
load balancer, from the fault until it took a victim out; the ASG, from its first activity after
the fault until the last of them was successful.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from analysis.evidence import Evidence
from analysis.failures import ended_requests, is_failed
from analysis.records import Attempt, Event, Outcome, Request, format_time
from analysis.run import Fault

_SUCCESSFUL = "Successful"
_TAKEN_OUT = frozenset({"unhealthy", "draining", "unused", "unavailable", "deregistered"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time, in microseconds since the epoch."""

    begins_at: int
    ends_at: int

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
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of a run; None where there was none, or nothing to see it by."""

    client: Window | None
    load_balancer: Window | None
    autoscaling: Window | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Orders that were in flight when the fault began; None where that cannot be known."""

    orders_in_flight_at_fault: int | None
    on_victim: int | None


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
        event.at
        for event in events or ()
        if event.source == "elb"
        and event.subject in fault.targets
        and event.event in _TAKEN_OUT
        and event.at >= fault_at
    ]
    return Window(begins_at=fault_at, ends_at=min(taken_out)) if taken_out else None


def _autoscaling_window(events: Iterable[Event] | None, fault_at: int) -> Window | None:
    activities = [each for each in events or () if each.source == "asg" and each.at >= fault_at]
    done = [each.at for each in activities if each.event == _SUCCESSFUL]
    if not done:
        return None
    return Window(begins_at=min(each.at for each in activities), ends_at=max(done))


def find_exposure(evidence: Evidence) -> Exposure:
    """Count the orders in flight when the fault began, and those of them on a victim.

    On a victim are those that it served, by the reply or by the row, and those that never got a
    definite answer: only a victim leaves an order it was given unanswered.
    """
    fault = evidence.run.fault
    if fault is None or fault.started_at is None:
        return Exposure(orders_in_flight_at_fault=None, on_victim=None)
    fault_at = fault.started_at
    makers = {row.attempt_id: row.served_by for row in evidence.orders or () if row.attempt_id}
    in_flight = [each for each in evidence.attempts if _is_in_flight(each, fault_at)]
    on_victim = [each for each in in_flight if _is_on_victim(each, fault, makers)]
    return Exposure(orders_in_flight_at_fault=len(in_flight), on_victim=len(on_victim))


def _is_in_flight(attempt: Attempt, at: int) -> bool:
    if attempt.sent_at is None or attempt.sent_at > at:
        return False
    return attempt.ended_at is None or attempt.ended_at > at


def _is_on_victim(attempt: Attempt, fault: Fault, makers: dict[str, str]) -> bool:
    server = attempt.served_by or makers.get(attempt.attempt_id, "")
    if server:
        return server in fault.targets
    return attempt.outcome is Outcome.INDETERMINATE
