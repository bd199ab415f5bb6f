"""The charts of a report as Vega-Lite specifications. Pure: the same data, the same bytes.

Colours of text and lines are left to the page (`style.css`), which knows light from dark; those of
marks can be told from both.
"""

from collections.abc import Iterable, Sequence

from analysis.evidence.records import Event
from analysis.evidence.run import Fault
from analysis.report.chart_parts import (
    COLOURS,
    CONFIG,
    EXTENT,
    SCHEMA,
    Chart,
    Key,
    Spec,
    bars_of,
    chart_of,
    colour_by,
    keys_of,
    shade_of,
    time_axis,
    tip_of,
)
from analysis.report.run_figures import ANSWERED, Timeline
from analysis.report.state_chart import chart_states

_HEIGHT, _PICTURE_WIDTH = 150, 900
_SHORTEST_S = 0.001  # a logarithm has no zero


def charts_of(timeline: Timeline, *, fault: Fault | None, events: Iterable[Event]) -> list[Chart]:
    """Return the charts of a run, all over the same seconds, the fault shaded in each."""
    shade = shade_of(timeline, fault)
    charts = [_orders(timeline, shade)] if timeline.orders else []
    if any(each.kind != ANSWERED for each in timeline.requests or ()):
        charts.append(_failures(timeline, shade))
    if timeline.latencies:
        charts.append(_latencies(timeline, shade))
    if states := chart_states(timeline, shade, events):
        charts.append(states)
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
        "$schema": SCHEMA,
        "title": {"text": title, "anchor": "start", "fontSize": 16, "offset": 12},
        "background": "white",
        "vconcat": parts,
        "config": {**CONFIG, "title": {"anchor": "start", "fontSize": 12}},
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


def _orders(timeline: Timeline, shade: list[Spec]) -> Chart:
    keys = keys_of(timeline.orders)
    layers = [*shade, bars_of(timeline, timeline.orders, keys, "orders/s")]
    description = "Orders per second by what their customers were told" + _in_words(keys)
    if timeline.committed:
        mark = Key(
            name="in the table all the same",
            colour=COLOURS["committed"],
            count=sum(each.count for each in timeline.committed),
        )
        layers.append(_committed(timeline))
        keys = (*keys, mark)
    return chart_of(
        "orders", "Orders, by what their customers were told", description, keys, layers, _HEIGHT
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
            "color": COLOURS["committed"],
            "yOffset": 5,
            "clip": False,
        },
        "encoding": {
            "x": time_axis(timeline),
            "y": {"field": "top", "type": "quantitative"},
            "tooltip": [{"field": "count", "title": "in doubt, and in the table"}],
        },
    }


def _failures(timeline: Timeline, shade: list[Spec]) -> Chart:
    failures = [each for each in timeline.requests or () if each.kind != ANSWERED]
    keys = keys_of(failures)
    description = "Failed requests per second, of all kinds, by what went wrong" + _in_words(keys)
    layers = [*shade, bars_of(timeline, failures, keys, "failures/s")]
    return chart_of(
        "failures",
        "Failed requests of all kinds, by what went wrong",
        description,
        keys,
        layers,
        _HEIGHT,
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
    axis = {**EXTENT, "values": [0.001, 0.01, 0.1, 1, 10, 100, 1000], "format": "~g"}
    y = {"field": "shown_s", "type": "quantitative", "title": "seconds", "axis": axis}
    layer: Spec = {
        "data": {"values": values},
        "mark": {"type": "line", "strokeWidth": 1.6, "point": {"size": 12}},
        "encoding": {
            "x": time_axis(timeline),
            "y": {**y, "scale": {"type": "log"}},
            "color": colour_by("line", keys),
            "tooltip": tip_of(line="what", took_s="seconds", count="orders", at_s="at second"),
        },
    }
    return chart_of("latency", "How long orders took", description, keys, [*shade, layer], _HEIGHT)


def _in_words(keys: Sequence[Key]) -> str:
    return ": " + ", ".join(f"{key.count} {key.name}" for key in keys) if keys else ""
