"""The chart of states: what FIS, the load balancer, instances and scaling came to be. Pure."""

from collections.abc import Iterable, Sequence

from analysis.evidence.records import Event
from analysis.report.chart_parts import (
    AXIS_WIDTH,
    BAD,
    EXTENT,
    GOOD,
    WAITING,
    Chart,
    Key,
    Spec,
    chart_of,
    colour_by,
    time_axis,
)
from analysis.report.run_figures import Timeline

_WELL, _ON_ITS_WAY, _ILL, _EXPERIMENT = "healthy, running", "on its way", "unhealthy", "experiment"
# Of the states that last; those that are not here end the one before.
_STATES = {
    **dict.fromkeys(("healthy", "running"), _WELL),
    **dict.fromkeys(("initial", "pending", "draining", "stopping", "shutting-down"), _ON_ITS_WAY),
    **dict.fromkeys(("unhealthy", "unavailable"), _ILL),
}
_LASTING = frozenset({"elb", "ec2", "fis"})  # sources whose events are states that last
_MOST_LANES, _MOST_MARKS, _LANE_HEIGHT = 16, 400, 22
_GONE = frozenset(
    {"deregistered", "unused", "terminated", "completed", "stopped", "failed", "cancelled"}
)


_STATE_KEYS = (
    Key(name=_WELL, colour=GOOD),
    Key(name=_ON_ITS_WAY, colour=WAITING),
    Key(name=_ILL, colour=BAD),
    Key(name=_EXPERIMENT, colour="#8d6be0"),
)


def _lanes(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Return the events of each subject, those of the harness itself left out."""
    lanes: dict[str, list[Event]] = {}
    order = {"fis": 0, "elb": 1, "ec2": 2, "asg": 3, "database": 4}
    seen = sorted(
        (each for each in events if each.source in order),
        key=lambda each: (order[each.source], each.at),
    )
    for each in seen[:_MOST_MARKS]:
        subject = "" if each.source in {"asg", "database", "fis"} else f" {_short(each.subject)}"
        lanes.setdefault(f"{each.source}{subject}", []).append(each)
    return dict(list(lanes.items())[:_MOST_LANES])


def _short(subject: str) -> str:
    return subject if len(subject) <= 6 else f"…{subject[-4:]}"  # noqa: PLR2004


def chart_states(timeline: Timeline, shade: list[Spec], events: Iterable[Event]) -> Chart | None:
    """Return a lane for each subject, its states as bars and its events as ticks; None if none."""
    lanes = _lanes(events)
    if not lanes:
        return None
    y: Spec = {
        "field": "lane",
        "type": "nominal",
        "sort": list(lanes),
        "title": " ",  # takes the place that the others' titles take
        "axis": {**EXTENT, "labelLimit": AXIS_WIDTH + 14, "ticks": False, "domain": False},
    }
    description = "State changes: " + "; ".join(
        f"{name}: {', '.join(each.event for each in seen[:8])}" for name, seen in lanes.items()
    )
    layers = [*shade, _bars(timeline, lanes, y), _ticks(timeline, lanes, y)]
    height = _LANE_HEIGHT * len(lanes)
    return chart_of("states", "What changed its state", description, _STATE_KEYS, layers, height)


def _bars(timeline: Timeline, lanes: dict[str, list[Event]], y: Spec) -> Spec:
    bars = [bar for name, seen in lanes.items() for bar in _bars_of(timeline, name, seen)]
    return {
        "data": {"values": bars},
        "mark": {"type": "bar", "height": 7, "opacity": 0.85},
        "encoding": {
            "x": time_axis(timeline),
            "x2": {"field": "to_s"},
            "y": y,
            "color": colour_by("key", _STATE_KEYS),
            "tooltip": [{"field": name} for name in ("lane", "event", "at_s", "to_s")],
        },
    }


def _ticks(timeline: Timeline, lanes: dict[str, list[Event]], y: Spec) -> Spec:
    marks = [
        {
            "lane": name,
            "at_s": _at_s(timeline, each),
            "event": each.event,
            "subject": each.subject,
            "detail": each.detail[:200],
        }
        for name, seen in lanes.items()
        for each in seen
    ]
    tip = [{"field": name} for name in ("subject", "event", "detail", "at_s")]
    return {
        "data": {"values": marks},
        "mark": {"type": "tick", "thickness": 2, "height": 14, "color": "#7d838d"},
        "encoding": {"x": time_axis(timeline), "y": y, "tooltip": tip},
    }


def _bars_of(timeline: Timeline, lane: str, seen: Sequence[Event]) -> Iterable[Spec]:
    """Yield how long each state lasted: until the next one, or the end of the run."""
    if seen[0].source not in _LASTING:
        return
    states = [each for each in seen if each.source == "fis" or each.event in {*_STATES, *_GONE}]
    for number, each in enumerate(states):
        if each.event in _GONE:
            continue
        is_last = number == len(states) - 1
        until_s = timeline.ends_s if is_last else _at_s(timeline, states[number + 1])
        yield {
            "lane": lane,
            "event": each.event,
            "at_s": _at_s(timeline, each),
            "to_s": until_s,
            "key": _EXPERIMENT if each.source == "fis" else _STATES[each.event],
        }


def _at_s(timeline: Timeline, event: Event) -> float:
    return round(min(max((event.at - timeline.origin) / 1e6, 0), timeline.ends_s), 3)
