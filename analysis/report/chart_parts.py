"""What all charts of a report are made of: axes, colours, the fault's shade, in Vega-Lite. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.evidence.run import Fault
from analysis.report.run_figures import Timeline

Spec = dict[str, object]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nothing is fetched
AXIS_WIDTH = 62  # the same in all charts, so that the same second is in the same place
GOOD, BAD, WAITING = "#2a9d63", "#d0453c", "#c98a1b"
_FAULT_COLOUR = "#d0453c"


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
