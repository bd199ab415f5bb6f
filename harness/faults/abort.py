"""Conditions on which a run is ended before its time: `error_rate > 50% for 20s`.

A condition holds for N seconds if it held in each of the last N whole seconds in which anything
ended; seconds in which nothing did say nothing.
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import gevent

from harness.record.pulse import Pulse, Reading

_LOOK_EVERY_S = 0.25
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
# What can be measured, and the unit of its limit.
MEASURES: Mapping[str, str] = {
    "error_rate": "share",
    "p50": "ms",
    "p95": "ms",
    "p99": "ms",
    "rate": "number",
    "orders_in_doubt": "number",
    "orders_lost": "number",
    "healthy_targets": "number",
    "no_healthy_targets": "",
}
_FORM = re.compile(
    r"(?P<name>[a-z_0-9]+)(?:\((?:all)?\))?"
    r"(?:\s*(?P<sign>[<>]=?)\s*(?P<limit>\d+(?:\.\d+)?)\s*(?P<unit>%|ms|s)?)?"
    r"(?:\s+for\s+(?P<for>\d+(?:\.\d+)?)s)?"
)
_EXAMPLE = "write it as `error_rate > 50% for 20s`"
_LONGEST_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """One condition. `limit` is a share (0 to 1), milliseconds or a number, as its measure."""

    text: str
    name: str
    sign: str
    limit: float
    for_s: float

    def holds(self, value: float) -> bool:
        """Whether the condition is true of a value."""
        return _OPERATORS[self.sign](value, self.limit)


def parse_aborts(text: str) -> tuple[Abort, ...]:
    """Read conditions with `;` between them; ValueError says what is wrong with one."""
    return tuple(_parse(part) for part in text.split(";") if part.strip())


def _parse(text: str) -> Abort:
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()!r} is no condition; {_EXAMPLE}")
    name = found["name"]
    if name not in MEASURES:
        raise ValueError(
            f"{name!r} cannot be measured while a run goes on; known: {', '.join(MEASURES)}"
        )
    for_s = float(found["for"] or 0)
    if for_s > _LONGEST_S:
        raise ValueError(f"{text.strip()!r}: a condition may be for {_LONGEST_S} s at most")
    if name == "no_healthy_targets":
        if found["sign"]:
            raise ValueError(f"{text.strip()!r}: no_healthy_targets takes no limit")
        return Abort(text=text.strip(), name="healthy_targets", sign="<", limit=1, for_s=for_s)
    if not found["sign"]:
        raise ValueError(f"{text.strip()!r} has no limit; {_EXAMPLE}")
    limit = _limit(text.strip(), MEASURES[name], float(found["limit"]), found["unit"] or "")
    return Abort(text=text.strip(), name=name, sign=found["sign"], limit=limit, for_s=for_s)


def _limit(text: str, kind: str, limit: float, unit: str) -> float:
    scales = {"share": {"%": 0.01, "": 1.0}, "ms": {"ms": 1.0, "s": 1000.0}, "number": {"": 1.0}}[
        kind
    ]
    if unit not in scales:
        wanted = {"share": "a % (or a share such as 0.5)", "ms": "ms or s", "number": "no unit"}
        raise ValueError(f"{text!r}: its limit needs {wanted[kind]}")
    scaled = limit * scales[unit]
    if kind == "share" and scaled > 1:
        raise ValueError(f"{text!r}: more than 100% never comes")
    return scaled


@dataclass(slots=True, kw_only=True)
class Watchdog:
    """Takes each second's reading once, in order, and says which condition has come to hold."""

    aborts: Sequence[Abort]
    _since: dict[str, int] = field(default_factory=dict)

    def take(self, reading: Reading) -> str:
        """Return what happened in words, empty for nothing."""
        for abort in self.aborts:
            value = reading.values.get(abort.name)
            if value is None:
                continue
            if not abort.holds(value):
                self._since.pop(abort.text, None)
                continue
            since = self._since.setdefault(abort.text, reading.at)
            if reading.at + 1 - since >= abort.for_s:
                return f"{abort.text}: it was {_say(abort.name, value)}"
        return ""


def _say(name: str, value: float) -> str:
    kind = MEASURES[name]
    return {"share": f"{value:.1%}", "ms": f"{value:.0f} ms"}.get(kind, f"{value:g}")


class Watchman:
    """Watches one run from `start` to `close`; `on_abort` hears once, in a greenlet of its own."""

    def __init__(
        self,
        pulse: Pulse,
        aborts: Sequence[Abort],
        *,
        on_abort: Callable[[str], None],
        on_our_fault: Callable[[BaseException], None],
    ) -> None:
        self._pulse = pulse
        self._watchdog = Watchdog(aborts=aborts)
        self._on_abort = on_abort
        self._on_our_fault = on_our_fault
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Watch from now on."""
        self._greenlet = gevent.spawn(self._watch)

    def close(self) -> None:
        """End."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def _watch(self) -> None:
        try:
            # The second in which users start is not a whole one.
            done = self._pulse.whole_second() + 1
            while True:
                gevent.sleep(_LOOK_EVERY_S)
                self._pulse.gather()
                for at in range(done + 1, self._pulse.whole_second() + 1):
                    done = at
                    if why := self._watchdog.take(self._pulse.read(at)):
                        gevent.spawn(self._on_abort, why)
                        return
        except Exception as error:  # noqa: BLE001 -- the end of a greenlet: nobody else would hear
            self._on_our_fault(error)
