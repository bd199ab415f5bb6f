"""The charts of a report as Vega-Lite specifications. Pure: the same data, the same bytes.

Colours of text and lines are left to the page (`style.css`), which knows light from dark; those of
marks can be told from both.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.evidence.records import Event
from analysis.evidence.run import Fault
from analysis.report.timeline import ANSWERED, OTHER, Count, Timeline

Spec = dict[str, object]

_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name; nothing is fetched
_HEIGHT, _PICTURE_WIDTH = 150, 900
_AXIS_WIDTH = 62  # the same in all charts, so that the same second is in the same place
_FAULT_COLOUR = "#d0453c"
_GOOD, _BAD, _WAITING = "#2a9d63", "#d0453c", "#c98a1b"
_KNOWN = {
    "acknowledged": _GOOD,
    ANSWERED: _GOOD,
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
_WELL, _ON_ITS_WAY, _ILL, _EXPERIMENT = "healthy, running", "on its way", "unhealthy", "experiment"
# Of the states that last; those that are not here end the one before.
_STATES = {
    **dict.fromkeys(("healthy", "running"), _WELL),
    **dict.fromkeys(("initial", "pending", "draining", "stopping", "shutting-down"), _ON_ITS_WAY),
    **dict.fromkeys(("unhealthy", "unavailable"), _ILL),
}
_LASTING = frozenset({"elb", "ec2", "fis"})  # sources whose events are states that last
_SHORTEST_S = 0.001  # a logarithm has no zero
_MOST_LANES, _MOST_MARKS, _LANE_HEIGHT = 16, 400, 22
_GONE = frozenset(
    {"deregistered", "unused", "terminated", "completed", "stopped", "failed", "cancelled"}
)


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


def charts_of(timeline: Timeline, *, fault: Fault | None, events: Iterable[Event]) -> list[Chart]:
    """Return the charts of a run, all over the same seconds, the fault shaded in each."""
    shade = _shade(timeline, fault)
    charts = [_orders(timeline, shade)] if timeline.orders else []
    if any(each.kind != ANSWERED for each in timeline.requests or ()):
        charts.append(_failures(timeline, shade))
    if timeline.latencies:
        charts.append(_latencies(timeline, shade))
    if lanes := _lanes(events):
        charts.append(_states(timeline, shade, lanes))
    return charts


def as_one_picture(charts: Sequence[Chart], *, title: str) -> Spec:
    """Put the charts below each other, with their legends, for a PNG."""
    parts: list[Spec] = []
    for chart in charts:
        domain = [key.name for key in chart.keys]
        colours = [key.colour for key in chart.keys]
        layers = [_with_legend(each, domain, colours) for each in _list(chart.spec["layer"])]
        parts.append({**chart.spec, "layer": layers, "width": _PICTURE_WIDTH, "title": chart.title})
    for part in parts:
        for name in ("$schema", "config", "autosize", "data", "background"):
            part.pop(name, None)
    return {
        "$schema": _SCHEMA,
        "title": {"text": title, "anchor": "start", "fontSize": 16, "offset": 12},
        "background": "white",
        "vconcat": parts,
        "config": {**_CONFIG, "title": {"anchor": "start", "fontSize": 12}},
        "resolve": {"scale": {"color": "independent"}, "legend": {"color": "independent"}},
    }


def _list(value: object) -> list[Spec]:
    return list(value) if isinstance(value, list) else []


def _with_legend(layer: Spec, domain: list[str], colours: list[str]) -> Spec:
    encoding = layer.get("encoding")
    if not isinstance(encoding, dict) or "color" not in encoding:
        return layer
    scale = {"domain": domain, "range": colours}
    color = {
        **dict(encoding["color"]),
        "scale": scale,
        "legend": {"orient": "right", "title": None},
    }
    return {**layer, "encoding": {**encoding, "color": color}}


# --- what all of them have ---

_CONFIG: Spec = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal"},
}
_CLOCK = "format(floor(datum.value / 60), 'd') + ':' + format(datum.value % 60, '02d')"


def _time_axis(timeline: Timeline, *, title: str = "minutes since the run began") -> Spec:
    return {
        "field": "at_s",
        "type": "quantitative",
        "title": title,
        "scale": {"domain": [0, timeline.ends_s], "nice": False, "clamp": True},
        "axis": {"labelExpr": _CLOCK, "grid": False, "tickCount": 8, "values": _ticks(timeline)},
    }


def _ticks(timeline: Timeline) -> list[int]:
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
    step = next((each for each in steps if timeline.ends_s / each <= 9), steps[-1])  # noqa: PLR2004
    return list(range(0, int(timeline.ends_s) + 1, step))[:200]


_EXTENT: Spec = {"minExtent": _AXIS_WIDTH, "maxExtent": _AXIS_WIDTH}


def _count_axis(title: str) -> Spec:
    return {"title": title, "axis": {**_EXTENT, "tickCount": 4}}


def _chart(layers: list[Spec], description: str, height: int) -> Spec:
    return {
        "$schema": _SCHEMA,
        "description": description,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": None,
        "config": _CONFIG,
        "layer": layers,
    }


def _shade(timeline: Timeline, fault: Fault | None) -> list[Spec]:
    if fault is None or fault.started_at is None:
        return []
    began_s = (fault.started_at - timeline.origin) / 1e6
    ended_at = fault.ended_at
    ended_s = timeline.ends_s if ended_at is None else (ended_at - timeline.origin) / 1e6
    values = [{"at_s": round(began_s, 3), "to_s": round(min(ended_s, timeline.ends_s), 3)}]
    x = _time_axis(timeline)
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


# --- the charts ---


def _keys(counts: Iterable[Count]) -> tuple[Key, ...]:
    """Give each kind its colour; what is known first, then the most frequent."""
    totals: dict[str, int] = {}
    for each in counts:
        totals[each.kind] = totals.get(each.kind, 0) + each.count
    known = [kind for kind in _KNOWN if kind in totals and kind != OTHER]
    others = sorted(
        (kind for kind in totals if kind not in _KNOWN), key=lambda kind: (-totals[kind], kind)
    )
    unnamed = [kind for kind in others if kind not in _CAUSES]
    colours = dict(zip(unnamed, _KINDS * (len(unnamed) // len(_KINDS) + 1), strict=False))
    named = [*known, *others, *([OTHER] if OTHER in totals else [])]
    return tuple(
        Key(
            name=kind,
            colour=_KNOWN.get(kind) or _CAUSES.get(kind) or colours[kind],
            count=totals[kind],
        )
        for kind in named
    )


def _bars(timeline: Timeline, counts: Iterable[Count], keys: Sequence[Key], title: str) -> Spec:
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
            "x": {**_time_axis(timeline), "bin": "binned"},
            "x2": {"field": "to_s"},
            "y": {**_count_axis(title), "field": "per_s", "type": "quantitative", "stack": "zero"},
            "color": _colour("kind", keys),
            "order": {"field": "place"},
            "tooltip": [
                {"field": "kind", "title": "what"},
                {"field": "count", "title": "how many"},
                {"field": "at_s", "title": "from second"},
                {"field": "to_s", "title": "to second"},
            ],
        },
    }


def _colour(field: str, keys: Sequence[Key]) -> Spec:
    scale = {"domain": [key.name for key in keys], "range": [key.colour for key in keys]}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def _orders(timeline: Timeline, shade: list[Spec]) -> Chart:
    keys = _keys(timeline.orders)
    layers = [*shade, _bars(timeline, timeline.orders, keys, "orders/s")]
    description = "Orders per second by what their customers were told" + _in_words(keys)
    if timeline.committed:
        mark = Key(
            name="in the table all the same",
            colour=_KNOWN["committed"],
            count=sum(each.count for each in timeline.committed),
        )
        layers.append(_committed(timeline))
        keys = (*keys, mark)
    return Chart(
        id="orders",
        title="Orders, by what their customers were told",
        description=description,
        keys=keys,
        spec=_chart(layers, description, _HEIGHT),
    )


def _committed(timeline: Timeline) -> Spec:
    values = [
        {
            "at_s": min(each.at_s + timeline.width_s / 2, timeline.ends_s),
            "count": each.count,
            "top": 0,
        }
        for each in timeline.committed
    ]
    return {
        "data": {"values": values},
        "mark": {
            "type": "point",
            "shape": "triangle-up",
            "filled": True,
            "size": 36,
            "opacity": 1,
            "color": _KNOWN["committed"],
            "yOffset": 5,
            "clip": False,
        },
        "encoding": {
            "x": _time_axis(timeline),
            "y": {"field": "top", "type": "quantitative"},
            "tooltip": [{"field": "count", "title": "in doubt, and in the table"}],
        },
    }


def _failures(timeline: Timeline, shade: list[Spec]) -> Chart:
    failures = [each for each in timeline.requests or () if each.kind != ANSWERED]
    keys = _keys(failures)
    description = "Failed requests per second, of all kinds, by what went wrong" + _in_words(keys)
    layers = [*shade, _bars(timeline, failures, keys, "failures/s")]
    return Chart(
        id="failures",
        title="Failed requests of all kinds, by what went wrong",
        description=description,
        keys=keys,
        spec=_chart(layers, description, _HEIGHT),
    )


def _latencies(timeline: Timeline, shade: list[Spec]) -> Chart:
    lines = {
        ("due", "p50_s"): Key(name="median since due", colour="#5b8def"),
        ("due", "p95_s"): Key(name="p95 since due", colour="#8d6be0"),
        ("sent", "p50_s"): Key(name="median since sent", colour="#1f93b8"),
        ("sent", "p95_s"): Key(name="p95 since sent", colour="#dd7a1f"),
    }
    values = [
        {
            "at_s": each.at_s + timeline.width_s / 2,
            "line": key.name,
            "took_s": round(getattr(each, measure), 6),
            "shown_s": max(round(getattr(each, measure), 6), _SHORTEST_S),
            "count": each.count,
        }
        for each in timeline.latencies
        for (since, measure), key in lines.items()
        if since == each.since
    ]
    shown = {value["line"] for value in values}
    keys = tuple(key for key in lines.values() if key.name in shown)
    description = "How long orders took, by when they were due and sent, in seconds"
    axis = {**_EXTENT, "values": [0.001, 0.01, 0.1, 1, 10, 100, 1000], "format": "~g"}
    y = {"field": "shown_s", "type": "quantitative", "title": "seconds", "axis": axis}
    layer: Spec = {
        "data": {"values": values},
        "mark": {"type": "line", "strokeWidth": 1.6, "point": {"size": 12}},
        "encoding": {
            "x": _time_axis(timeline),
            "y": {**y, "scale": {"type": "log"}},
            "color": _colour("line", keys),
            "tooltip": [
                {"field": "line", "title": "what"},
                {"field": "took_s", "title": "seconds"},
                {"field": "count", "title": "orders"},
                {"field": "at_s", "title": "at second"},
            ],
        },
    }
    return Chart(
        id="latency",
        title="How long orders took",
        description=description,
        keys=keys,
        spec=_chart([*shade, layer], description, _HEIGHT),
    )


# --- states ---

_STATE_KEYS = (
    Key(name=_WELL, colour=_GOOD),
    Key(name=_ON_ITS_WAY, colour=_WAITING),
    Key(name=_ILL, colour=_BAD),
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


def _states(timeline: Timeline, shade: list[Spec], lanes: dict[str, list[Event]]) -> Chart:
    names = list(lanes)
    bars = [bar for name, seen in lanes.items() for bar in _bars_of(timeline, name, seen)]
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
    y: Spec = {
        "field": "lane",
        "type": "nominal",
        "sort": names,
        "title": " ",  # takes the place that the others' titles take
        "axis": {
            **_EXTENT,
            "labelLimit": _AXIS_WIDTH + 14,
            "ticks": False,
            "domain": False,
        },
    }
    tip = [{"field": name} for name in ("subject", "event", "detail", "at_s")]
    description = "State changes: " + "; ".join(
        f"{name}: {', '.join(each.event for each in seen[:8])}" for name, seen in lanes.items()
    )
    layers: list[Spec] = [
        *shade,
        {
            "data": {"values": bars},
            "mark": {"type": "bar", "height": 7, "opacity": 0.85},
            "encoding": {
                "x": _time_axis(timeline),
                "x2": {"field": "to_s"},
                "y": y,
                "color": _colour("key", _STATE_KEYS),
                "tooltip": [{"field": name} for name in ("lane", "event", "at_s", "to_s")],
            },
        },
        {
            "data": {"values": marks},
            "mark": {"type": "tick", "thickness": 2, "height": 14, "color": "#7d838d"},
            "encoding": {"x": _time_axis(timeline), "y": y, "tooltip": tip},
        },
    ]
    return Chart(
        id="states",
        title="What changed its state",
        description=description,
        keys=_STATE_KEYS,
        spec=_chart(layers, description, _LANE_HEIGHT * len(names)),
    )


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


def _in_words(keys: Sequence[Key]) -> str:
    return ": " + ", ".join(f"{key.count} {key.name}" for key in keys) if keys else ""
