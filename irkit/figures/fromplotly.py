"""Reads a plotly figure's JSON as one of our own drawings; nothing of it is ever executed."""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from irkit.figures.base import Figure, Mark, Span
from irkit.figures.charts import BarFigure, Bars, Box, BoxFigure, HeatFigure
from irkit.figures.line import Line, LineFigure, Panels, Style
from irkit.figures.plotlyjson import (
    all_read,
    axis_title,
    dicts,
    floats,
    kind_of,
    moment,
    moments,
    name_of,
    number,
    plain,
    text_of,
    values,
)
from irkit.figures.scale import as_floats
from irkit.model.units import reading

_BINS: Final = 30
_LINES: Final = ("scatter", "scattergl")


def from_plotly(figure: Any, *, title: str = "") -> Figure | None:
    """The drawing that a plotly figure's JSON describes, or None where ours cannot show it.

    Read are scatter (lines, markers, areas), bar, histogram, heat map, box, violin and pie
    traces, typed arrays, subplots (one panel each), and vertical lines and bands as marks.
    Colours are ours: a series keeps its meaning, not its paint.  `title` is used where the
    figure has none.  Text of the figure is foreign: its pseudo-markup is dropped.

    Example:
        >>> from_plotly({"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}]})
        <figure: trace 0>
    """
    if not isinstance(figure, dict) or not isinstance(figure.get("data"), list):
        return None
    layout = figure.get("layout")
    layout = layout if isinstance(layout, dict) else {}
    traces = [t for t in figure["data"] if isinstance(t, dict) and t.get("visible") is not False]
    traces = [t for t in traces if t.get("visible") != "legendonly"] or traces
    if not traces:
        return None
    named = plain(text_of(layout.get("title"))) or title
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for trace in traces:
        if "domain" in trace and kind_of(trace) == "pie":
            key = (f"pie{len(groups)}", "")
        else:
            key = (str(trace.get("xaxis", "x")), str(trace.get("yaxis", "y")))
        groups.setdefault(key, []).append(trace)
    try:
        drawn = [_draw(key, group, layout) for key, group in groups.items()]
    except (ValueError, TypeError, OverflowError, KeyError, binascii.Error):
        return None
    if any(figure is None for figure in drawn):
        return None
    whole = [f for f in drawn if f is not None]
    if len(whole) == 1:
        return _titled(whole[0], named or whole[0].title)
    lines = tuple(f for f in whole if isinstance(f, LineFigure))
    if len(lines) != len(whole):
        return None
    titles = [
        plain(str(a.get("text", "")))
        for a in dicts(layout.get("annotations"))
        if a.get("xref") == "paper" and not a.get("showarrow", True)
    ]
    panels = tuple(
        _titled(f, titles[i] if i < len(titles) and titles[i] else f.title)
        for i, f in enumerate(lines)
    )
    return Panels(title=named, panels=panels)  # type: ignore[arg-type]


def _draw(
    key: tuple[str, str], traces: list[dict[str, Any]], layout: dict[str, Any]
) -> Figure | None:
    kinds = {kind_of(t) for t in traces}
    if kinds <= set(_LINES):
        return _lines(key, traces, layout)
    if kinds & set(_LINES) and kinds <= {*_LINES, "bar"}:
        return _lines(key, traces, layout)
    if kinds == {"bar"}:
        return _bars(key, traces, layout)
    if kinds == {"histogram"}:
        return _histogram(key, traces, layout)
    if kinds <= {"box", "violin"}:
        return _boxes(key, traces, layout)
    if kinds <= {"heatmap", "contour"} and len(traces) == 1:
        return _heat(key, traces[0], layout)
    if kinds == {"pie"} and len(traces) == 1:
        return _pie(traces[0])
    return None


def _lines(
    key: tuple[str, str], traces: list[dict[str, Any]], layout: dict[str, Any]
) -> Figure | None:
    import numpy as np

    raw = [(values(t.get("x")), values(t.get("y"))) for t in traces]
    raw = [(x or list(range(len(y))), y) for x, y in raw]
    some = [v for x, _ in raw for v in x[:500] if v is not None]
    numeric = all_read(number, some)
    if not numeric and not all_read(moment, some):
        return _named_points(key, traces, [(x, floats(y)) for x, y in raw], layout)
    read: Callable[[Any], float | None] = number if numeric else moment
    names = [name_of(t, i) for i, t in enumerate(traces)]
    lines = []
    for (x, y), trace, name in zip(raw, traces, names, strict=True):
        size = min(len(x), len(y))
        xs = as_floats(x[:size]) if numeric else moments(x[:size])
        good = np.isfinite(xs)
        mode = str(trace.get("mode", "lines"))
        style: Style = "line"
        if "lines" not in mode:
            style = "points"
        elif trace.get("fill", "none") not in ("none", None) or kind_of(trace) == "bar":
            style = "area"
        lines.append(Line.thin(name, xs[good], as_floats(y[:size])[good], style=style))
    marks, spans = _shapes(key, layout, read)
    return LineFigure(
        title=axis_title(layout, key[1]) or ", ".join(names[:3]),
        lines=tuple(lines),
        x_kind="number" if numeric else "time",
        x_label=axis_title(layout, key[0]) if numeric else "",
        marks=tuple(marks),
        onset=spans[0] if spans else None,
        from_zero=all(v >= 0 for line in lines for _, v in line.known()),
    )


def _named_points(
    key: tuple[str, str],
    traces: list[dict[str, Any]],
    raw: list[tuple[list[Any], list[Any]]],
    layout: dict[str, Any],
) -> BarFigure:
    """Points over names (a categorical x) read well as bars."""
    names = list(dict.fromkeys(str(v) for x, _ in raw for v in x))
    series = []
    for i, ((x, y), trace) in enumerate(zip(raw, traces, strict=True)):
        by_name = {str(a): b for a, b in zip(x, y, strict=False)}
        series.append(Bars(name=name_of(trace, i), values=tuple(by_name.get(n) for n in names)))
    return BarFigure(
        title=axis_title(layout, key[1]) or series[0].name,
        categories=tuple(plain(n) for n in names),
        series=tuple(series),
    )


def _bars(
    key: tuple[str, str], traces: list[dict[str, Any]], layout: dict[str, Any]
) -> Figure | None:
    flat = all(t.get("orientation") == "h" for t in traces)
    names_key, values_key = ("y", "x") if flat else ("x", "y")
    raw = []
    for trace in traces:
        ys = floats(values(trace.get(values_key)))
        raw.append((values(trace.get(names_key)) or list(range(len(ys))), ys))
    stamps = [v for x, _ in raw for v in x]
    if not flat and len(stamps) > 12 and not all_read(number, stamps) and all_read(moment, stamps):
        return _lines(key, traces, layout)
    figure = _named_points(key, traces, raw, layout)
    label = axis_title(layout, key[0] if flat else key[1])
    return BarFigure(
        title=figure.title,
        categories=figure.categories,
        series=figure.series,
        x_label=label,
    )


def _histogram(
    key: tuple[str, str], traces: list[dict[str, Any]], layout: dict[str, Any]
) -> Figure | None:
    samples = [values(t.get("x")) or values(t.get("y")) for t in traces]
    flat = [v for s in samples for v in s if v is not None]
    label = axis_title(layout, key[0])
    if not flat:
        return None
    if not all_read(number, flat):
        names = list(dict.fromkeys(str(v) for v in flat))
        series = tuple(
            Bars(name=name_of(t, i), values=tuple(float(s.count(n)) for n in names))
            for i, (t, s) in enumerate(zip(traces, samples, strict=True))
        )
        return BarFigure(
            title=label or series[0].name,
            categories=tuple(plain(n) for n in names),
            series=series,
            x_label="count",
        )
    numbers = [float(v) for v in flat if math.isfinite(float(v))]
    lo, hi = min(numbers), max(numbers)
    bins = min(_BINS, max(1, int(math.sqrt(len(numbers)))))
    wide = (hi - lo) / bins or 1.0
    names = [f"{reading(lo + i * wide)} to {reading(lo + (i + 1) * wide)}" for i in range(bins)]
    series_list = []
    for i, (trace, sample) in enumerate(zip(traces, samples, strict=True)):
        counts = [0.0] * bins
        for value in sample:
            if value is not None and math.isfinite(float(value)):
                counts[min(int((float(value) - lo) / wide), bins - 1)] += 1
        series_list.append(Bars(name=name_of(trace, i), values=tuple(counts)))
    return BarFigure(
        title=label or series_list[0].name,
        categories=tuple(names),
        series=tuple(series_list),
        x_label="count",
    )


def _boxes(
    key: tuple[str, str], traces: list[dict[str, Any]], layout: dict[str, Any]
) -> Figure | None:
    boxes = []
    for i, trace in enumerate(traces):
        flat = trace.get("orientation") == "h" or trace.get("y") is None
        sample = floats(values(trace.get("x" if flat else "y")))
        groups = values(trace.get("y" if flat else "x"))
        split: dict[str, list[float]] = {}
        for k, value in enumerate(sample):
            if value is not None:
                name = str(groups[k]) if k < len(groups) else name_of(trace, i)
                split.setdefault(plain(name), []).append(value)
        boxes += [Box.of(name, sample) for name, sample in split.items()]
    if not boxes:
        return None
    return BoxFigure(title=axis_title(layout, key[1]) or "distributions", boxes=tuple(boxes[:24]))


def _heat(key: tuple[str, str], trace: dict[str, Any], layout: dict[str, Any]) -> Figure | None:
    z = [
        floats(values(row) if not isinstance(row, list) else row) for row in values(trace.get("z"))
    ]
    if not z or len(z) > 1000 or max(len(row) for row in z) > 2000:
        return None
    columns = values(trace.get("x")) or list(range(len(z[0])))
    rows = values(trace.get("y")) or list(range(len(z)))

    def words(items: list[Any]) -> tuple[str, ...]:
        if all_read(number, items) or not all_read(moment, items):
            return tuple(plain(str(v)) for v in items)
        return tuple(
            datetime.fromtimestamp((moment(v) or 0) / 1000, UTC).strftime("%H:%M") for v in items
        )

    title = name_of(trace, 0) if trace.get("name") else axis_title(layout, key[1]) or "heat map"
    return HeatFigure(
        title=title,
        columns=words(columns),
        rows=words(rows)[::-1],
        z=tuple(tuple(row) for row in z)[::-1],
    )


def _pie(trace: dict[str, Any]) -> Figure | None:
    shares = floats(values(trace.get("values")))
    labels = [plain(str(v)) for v in values(trace.get("labels"))]
    pairs = [(n, v) for n, v in zip(labels, shares, strict=False) if v is not None and v >= 0]
    total = sum(v for _, v in pairs)
    if total <= 0:
        return None
    pairs.sort(key=lambda p: -p[1])
    return BarFigure(
        title=name_of(trace, 0) if trace.get("name") else "shares",
        categories=tuple(n for n, _ in pairs),
        unit="ratio",
        series=(Bars(name="share", values=tuple(v / total for _, v in pairs)),),
    )


def _shapes(
    key: tuple[str, str], layout: dict[str, Any], read: Callable[[Any], float | None]
) -> tuple[list[Mark], list[Span]]:
    """Vertical lines become marks, vertical bands the highlighted span."""
    marks, spans = [], []
    notes = {
        str(a.get("x")): plain(str(a.get("text", "")))
        for a in dicts(layout.get("annotations"))
        if a.get("xref", "x") == key[0]
    }
    for shape in dicts(layout.get("shapes")):
        if shape.get("xref", "x") != key[0]:
            continue
        a, b = read(shape.get("x0")), read(shape.get("x1"))
        if a is None or b is None:
            continue
        label = plain(text_of(shape.get("label"))) or notes.get(str(shape.get("x0")), "")
        if shape.get("type") == "line" and a == b:
            marks.append(Mark(at=a, kind="deploy" if label else "note", label=label))
        elif shape.get("type") == "rect" and b > a:
            spans.append(Span(start=a, end=b, label=label))
    return marks[:40], spans


def _titled(figure: Figure, title: str) -> Figure:
    return msgspec.structs.replace(figure, title=title)
