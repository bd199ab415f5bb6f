"""What all charts of a report are made of: axes, colours, bars, the fault's shade. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.evidence.run import Fault
from analysis.report.run_figures import ANSWERED, OTHER, Count, Timeline

Spec = dict[str, object]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nothing is fetched
AXIS_WIDTH = 62  # the same in all charts, so that the same second is in the same place
GOOD, BAD, WAITING = "#2a9d63", "#d0453c", "#c98a1b"
_FAULT_COLOUR = "#d0453c"
COLOURS = {
    "acknowledged": GOOD,
    ANSWERED: GOOD,
    "rejected": "#5b8def",
    "unsent": "#8a8f98",
    "committed": "#c2409f",
    OTHER: "#8a8f98",
}
_CAUSES = {
    "500": "#8d6be0",
    "502": "#d0453c",
    "503": "#dd7a1f",
    "504": "#a0603a",
    "timeout": "#b08913",
    "reset": "#1f93b8",
    "truncated": "#5f7fb0",
    "in_flight_at_stop": "#6f7b5a",
    "accepted": "#3a7fa6",
}
# For what else may go wrong.
_KINDS = ("#3f9c8f", "#c77b9b", "#7a8f2f", "#9a6fb0", "#b5655a", "#4d8cc0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A colour of a chart and what it stands for."""

    name: str
    colour: str
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, its title and legend, and what it shows in words."""

    id: str
    title: str
    description: str
    keys: tuple[Key, ...]
    spec: Spec


CONFIG: Spec = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
}
_CLOCK = "format(floor(datum.value / 60), 'd') + ':' + format(datum.value % 60, '02d')"


def time_axis(timeline: Timeline) -> Spec:
    """Return the axis of seconds since the run began, the same in all charts."""
    return {
        "field": "at_s",
        "type": "quantitative",
        "title": "minutes since the run began",
        "scale": {"domain": [0, timeline.ends_s], "nice": False, "clamp": True},
        "axis": {"labelExpr": _CLOCK, "grid": False, "tickCount": 8, "values": _ticks(timeline)},
    }


def _ticks(timeline: Timeline) -> list[int]:
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
    step = next((each for each in steps if timeline.ends_s / each <= 9), steps[-1])  # noqa: PLR2004
    return list(range(0, int(timeline.ends_s) + 1, step))[:200]


EXTENT: Spec = {"minExtent": AXIS_WIDTH, "maxExtent": AXIS_WIDTH}


def count_axis(title: str) -> Spec:
    """Return an axis of numbers."""
    return {"title": title, "axis": {**EXTENT, "tickCount": 4}}


def chart_of(
    name: str, title: str, description: str, keys: Sequence[Key], layers: list[Spec], height: int
) -> Chart:
    """Put layers together into a chart that is as wide as its page."""
    spec = {
        "$schema": SCHEMA,
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": None,
        "config": CONFIG,
        "layer": layers,
    }
    return Chart(id=name, title=title, description=description, keys=tuple(keys), spec=spec)


def shade_of(timeline: Timeline, fault: Fault | None) -> list[Spec]:
    """Return the layers that show when the fault was; none without one."""
    if fault is None or fault.started_at is None:
        return []
    began_s = (fault.started_at - timeline.origin) / 1e6
    ended_at = fault.ended_at
    ended_s = timeline.ends_s if ended_at is None else (ended_at - timeline.origin) / 1e6
    values = [{"at_s": round(began_s, 3), "to_s": round(min(ended_s, timeline.ends_s), 3)}]
    x = time_axis(timeline)
    tip = {"value": f"the fault: {fault.action}"}
    return [
        {
            "data": {"values": values},
            "mark": {"type": "rect", "color": _FAULT_COLOUR, "opacity": 0.14},
            "encoding": {"x": x, "x2": {"field": "to_s"}, "tooltip": tip},
        },
        {
            "data": {"values": values},
            "mark": {"type": "rule", "color": _FAULT_COLOUR, "strokeDash": [4, 3]},
            "encoding": {"x": x, "tooltip": tip},
        },
    ]


def colour_by(field: str, keys: Sequence[Key]) -> Spec:
    """Give each value of a field the colour of its key; the legend is the page's."""
    scale = {"domain": [key.name for key in keys], "range": [key.colour for key in keys]}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def tip_of(**titles: str) -> list[dict[str, str]]:
    """Return what is shown of a mark: its fields, by what people call them."""
    return [{"field": field, "title": title} for field, title in titles.items()]


def keys_of(counts: Iterable[Count]) -> tuple[Key, ...]:
    """Give each kind its colour; what is known first, then the most frequent."""
    totals: Counter[str] = Counter()
    for each in counts:
        totals[each.kind] += each.count
    known = [kind for kind in COLOURS if kind in totals and kind != OTHER]
    others = sorted(
        (kind for kind in totals if kind not in COLOURS),
        key=lambda kind: (-totals[kind], kind),
    )
    unnamed = [kind for kind in others if kind not in _CAUSES]
    colours = dict(zip(unnamed, _KINDS * (len(unnamed) // len(_KINDS) + 1), strict=False))
    named = [*known, *others, *([OTHER] if OTHER in totals else [])]
    return tuple(
        Key(
            name=kind,
            colour=COLOURS.get(kind) or _CAUSES.get(kind) or colours[kind],
            count=totals[kind],
        )
        for kind in named
    )


def bars_of(timeline: Timeline, counts: Iterable[Count], keys: Sequence[Key], title: str) -> Spec:
    """Return bars of counts over time, one on the other by kind, in the order of the keys."""
    place = {key.name: number for number, key in enumerate(keys)}
    values = [
        {
            "at_s": each.at_s,
            "to_s": min(each.at_s + timeline.width_s, timeline.ends_s),
            "kind": each.kind,
            "place": place[each.kind],
            "count": each.count,
            "per_s": round(each.count / timeline.width_s, 3),
        }
        for each in counts
    ]
    return {
        "data": {"values": values},
        "mark": {"type": "bar", "binSpacing": 0},
        "encoding": {
            "x": {**time_axis(timeline), "bin": "binned"},
            "x2": {"field": "to_s"},
            "y": {**count_axis(title), "field": "per_s", "type": "quantitative", "stack": "zero"},
            "color": colour_by("kind", keys),
            "order": {"field": "place"},
            "tooltip": tip_of(kind="what", count="how many", at_s="from second", to_s="to second"),
        },
    }
