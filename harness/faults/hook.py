"""The faults of a run, each at its moment: started once, and over when the run is."""

import time
from collections.abc import Sequence

import gevent
from gevent.event import Event

from harness.faults.guards import Guards
from harness.faults.record import Fault
from harness.record.journal import Journal
from harness.record.pulse import Pulse

_LOOK_EVERY_S = 0.25
_BASELINE_S = 10


class _Shot:
    """A fault and the greenlet that waits for its moment, and then for its end."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.greenlet: gevent.Greenlet[..., None] | None = None
        self.is_wanted_now = Event()
        self.was_refused = False


class Hook:
    """The faults of one run, none among them.

    `pulse` and `guards` are None only where nothing has to be known of the load.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        journal: Journal,
        *,
        pulse: Pulse | None = None,
        guards: Guards | None = None,
        steady_limit_s: float = 0.0,
    ) -> None:
        self._shots = [_Shot(each) for each in faults]
        self._journal = journal
        self._pulse = pulse
        self._guards = guards
        self._steady_limit_s = steady_limit_s
        self._began = time.monotonic()
        self._after_s: dict[int, float] = {}
        self._stopper: gevent.Greenlet[..., None] | None = None

    @property
    def plan(self) -> list[dict[str, str]]:
        """What is to happen when, and how it stands, for people to see."""
        return [
            {"name": each.fault.name, "at": str(each.fault.at), "state": _state(each)}
            for each in self._shots
        ]

    @property
    def fires_after_s(self) -> float | None:
        """Seconds after users start until the next fault; None where the clock does not tell."""
        waiting = [
            self._after_s[number]
            for number, each in enumerate(self._shots)
            if number in self._after_s and not each.fault.was_started
        ]
        return min(waiting, default=None)

    def announce(self) -> None:
        """Note what each would do. BadArgument for what has to be mended first."""
        for each in self._shots:
            each.fault.announce()

    def start(self, run_time_s: float | None) -> None:
        """Users start now: fire each at its moment, without waiting."""
        self._began = time.monotonic()
        for number, each in enumerate(self._shots):
            if each.fault.at.is_by_clock:
                self._after_s[number] = each.fault.at.after_s(run_time_s)
            each.greenlet = gevent.spawn(self._live, each, self._after_s.get(number))

    # --- by hand ---

    def why_not_fire(self) -> str:
        """Say why the next one cannot be fired now; empty if it can."""
        if not self._shots:
            return "this run has no fault: name a FIS template in the form that starts it"
        if all(each.fault.was_started for each in self._shots):
            return "this run's faults were started already, and there is never a second one of each"
        if self._next() is not None:
            return ""
        if any(each.greenlet is None for each in self._shots):
            return "no users are there any more, or not yet"
        return "it was asked for already"

    def fire_now(self) -> None:
        """Fire the next one at once, and not when it was to come, where it can be.

        It is the schedule's own shot. Where that was refused, it is tried again.
        """
        shot = self._next()
        if shot is None or shot.greenlet is None:
            return
        shot.is_wanted_now.set()
        self._journal.note("user", self._journal.run.run_id, "inject_requested", shot.fault.name)
        if shot.greenlet.ready():
            shot.greenlet = gevent.spawn(self._live, shot, 0)

    def why_not_stop(self) -> str:
        """Say why nothing can be stopped; empty if something can."""
        if not self._shots:
            return "this run has no experiment"
        started = [each for each in self._shots if each.fault.was_started]
        if not started:
            return "no experiment was started"
        if all(each.fault.is_over for each in started):
            return "the experiment is over"
        if self._stopper is not None and not self._stopper.ready():
            return "it was asked to stop already"
        return ""

    def stop_now(self) -> str:
        """Stop what is on as `close` does, without waiting; returns why not, or nothing."""
        if why_not := self.why_not_stop():
            return why_not
        on = [each for each in self._shots if each.fault.was_started and not each.fault.is_over]
        names = ", ".join(each.fault.name for each in on)
        self._stopper = gevent.spawn(self._stop, on)
        self._journal.note("user", self._journal.run.run_id, "stop_requested", names)
        return ""

    # --- the end ---

    def abort(self) -> None:
        """Stop all that is on and let nothing begin, without waiting; `close` waits."""
        self._stopper = gevent.spawn(self._stop, self._shots)

    def close(self) -> None:
        """Stop what is on, and wait until it is over, for a minute at most."""
        if self._stopper is not None:
            self._stopper.join(timeout=90)
        self._stop(self._shots)
        for each in self._shots:
            was_refused = each.was_refused or each.fault.is_ruled_out
            if each.greenlet is not None and not each.fault.was_started and not was_refused:
                why = f"the run ended before {each.fault.at} came"
                each.fault.rule_out(why)
                self._journal.note_run("fault_not_injected", f"{each.fault.name}: {why}")
            each.greenlet = None

    def _stop(self, shots: Sequence[_Shot]) -> None:
        try:
            gevent.killall([each.greenlet for each in shots if each.greenlet is not None])
            gevent.joinall([gevent.spawn(self._stop_one, each.fault) for each in shots])
        except Exception as error:  # noqa: BLE001 -- the end of a greenlet: nobody else would hear
            self._journal.on_our_fault(error)

    def _stop_one(self, fault: Fault) -> None:
        try:
            fault.stop()
        except Exception as error:  # noqa: BLE001 -- one that fails must not keep the others on
            self._journal.on_our_fault(error)

    # --- the moment ---

    def _next(self) -> _Shot | None:
        for each in self._shots:
            is_asked = each.is_wanted_now.is_set() and each.greenlet and not each.greenlet.ready()
            if each.greenlet is not None and not each.fault.was_started and not is_asked:
                return each
        return None

    def _live(self, shot: _Shot, after_s: float | None) -> None:
        try:
            refusal = self._await_moment(shot, after_s)
            refusal = refusal or self._why_failing() or shot.fault.why_refuse()
            shot.was_refused = bool(refusal)
            if refusal:
                shot.fault.rule_out(refusal)
                self._journal.note_run("fis_refused", f"{shot.fault.name}: {refusal}")
            else:
                shot.fault.fire()
        except Exception as error:  # noqa: BLE001 -- the end of a greenlet: nobody else would hear
            if not shot.fault.was_started:
                shot.fault.rule_out(f"a fault of ours: {type(error).__name__}: {error}")
            self._journal.on_our_fault(error)

    def _await_moment(self, shot: _Shot, after_s: float | None) -> str:
        """Wait until it is time; returns why it never is."""
        at, pulse, guards = shot.fault.at, self._pulse, self._guards
        if after_s is not None:
            shot.is_wanted_now.wait(after_s)
            return ""
        if pulse is None or guards is None:
            return f"nothing is known of the load, so {at} cannot be seen to come"
        give_up_at = self._began + self._steady_limit_s
        while not shot.is_wanted_now.wait(_LOOK_EVERY_S):
            if at.users is not None:
                if pulse.users() >= at.users:
                    return ""
                continue
            # What went before the users came is no part of it.
            why = "the run is too young"
            if time.monotonic() - self._began >= (at.steady_s or 0):
                why = pulse.why_not_steady(at.steady_s or 0, errors_max=guards.errors_max)
            if not why:
                return ""
            if time.monotonic() > give_up_at:
                limit = f"{self._steady_limit_s:g} s"
                return f"the load did not become steady within {limit}: {why}"
        return ""

    def _why_failing(self) -> str:
        if self._pulse is None or self._guards is None:
            return ""
        return self._guards.why_failing(self._pulse.failed_share(_BASELINE_S))


def _state(shot: _Shot) -> str:
    return shot.fault.state or ("refused" if shot.was_refused else "")
