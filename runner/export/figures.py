"""Every figure of a notebook as a drawing that needs no script, and, on demand, a live one."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any, Final

from irkit.errors import BadInput
from irkit.figures import NARROW, Figure, LineFigure, Table, from_mime
from irkit.figures.plotlyjson import dicts, kind_of, name_of, plain, text_of, values
from irkit.figures.scale import at
from irkit.model.base import Value
from irkit.model.units import reading

PLOTLY: Final = "application/vnd.plotly.v1+json"
# The traces that the vendored bundle can draw; a `scattergl` is drawn as a `scatter`.
BUNDLED: Final = {
    "scatter", "scattergl", "bar", "box", "contour", "heatmap", "histogram", "histogram2d",
    "histogram2dcontour", "pie", "scatterternary", "violin",
}  # fmt: skip
_LOADS: Final = ("images", "mapbox", "map", "geo", "scene", "updatemenus", "sliders", "template",
                 "width", "height", "autosize")  # fmt: skip
_LINKED: Final = re.compile(r"<\s*/?\s*a\b|\"(?:source|href)\"", re.IGNORECASE)
_MOST_BYTES: Final = 4_000_000
_MOST_ROWS: Final = 60
_ARRAYS: Final = ("x", "y", "z", "labels", "values", "text", "locations", "lat", "lon", "open",
                  "high", "low", "close", "r", "theta", "ids", "parents")  # fmt: skip


class FigureView(Value, frozen=True, kw_only=True):
    """A figure as the page shows it: two drawings, the data, and the packed JSON to explore.

    `wide` and `narrow` are SVG of ours, empty where we cannot draw the figure; then `table` is
    shown open, and the vendored bundle draws it where scripts run.  `packed` is gzip in base64.
    """

    title: str
    caption: str
    wide: str
    narrow: str
    table: Table
    packed: str = ""
    note: str = ""


def recover(markup: str) -> list[dict[str, Any]]:
    """The plotly figures in what plotly's `notebook` renderers wrote as HTML.

    The arguments of each `Plotly.newPlot("id", [...], {...})` are read as JSON; nothing is run.
    """
    if "plotly-graph-div" not in markup:
        return []
    decoder, found = json.JSONDecoder(), []
    for match in re.finditer(r"Plotly\.newPlot\(", markup):
        place, parts = match.end(), []
        try:
            for _ in range(3):
                place = _skip(markup, place)
                part, place = decoder.raw_decode(markup, place)
                parts.append(part)
        except ValueError:
            continue
        if isinstance(parts[1], list) and isinstance(parts[2], dict):
            found.append({"data": parts[1], "layout": parts[2]})
    return found


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n,":
        place += 1
    return place


def figure_of(value: Any) -> Figure | None:
    """The irkit figure that a JSON value is; None where it is not one."""
    try:
        return from_mime(value)
    except BadInput:
        return None


def view_of_ours(figure: Figure, *, live: bool) -> FigureView:
    """The view of an irkit figure, explorable if `live`."""
    packed = pack(to_plotly(figure)) if live and isinstance(figure, LineFigure) else ""
    return view(figure, packed=packed)


def view(figure: Figure, *, packed: str = "") -> FigureView:
    """The view of a figure of ours."""
    caption = [figure.source, figure.query, figure.evidence and f"evidence {figure.evidence}"]
    try:
        wide, narrow, note = figure.svg(), figure.svg(width=NARROW), ""
    except (ArithmeticError, LookupError, ValueError) as why:
        # Boundary: figures come from notebooks, and one that is odd must not cost the report.
        wide = narrow = ""
        note = f"This figure could not be drawn ({type(why).__name__}); its data stand below."
    return FigureView(
        title=figure.title or "figure", caption=" · ".join(c for c in caption if c),
        wide=wide, narrow=narrow, note=note, table=figure.table(), packed=packed,
    )  # fmt: skip


def view_of_plotly(value: Any, figure: Figure | None, *, title: str) -> FigureView:
    """The view of plotly JSON: `figure` is our drawing of it, or None where we have none."""
    packed = pack(value)
    if figure is not None:
        return view(figure, packed=packed)
    named = (
        plain(text_of((value.get("layout") or {}).get("title"))) if isinstance(value, dict) else ""
    )
    note = (
        "This kind of chart is drawn by a script; its data stand below."
        if packed
        else "This kind of chart is not drawn here; its data stand below."
    )
    return FigureView(
        title=named or title,
        caption="",
        wide="",
        narrow="",
        note=note,
        table=plotly_table(value),
        packed=packed,
    )


def plotly_table(value: Any) -> Table:
    """The arrays of a plotly figure side by side, trace after trace, cut to a readable number."""
    rows: list[tuple[str, ...]] = []
    total = 0
    traces = dicts(value.get("data")) if isinstance(value, dict) else []
    columns = [name for name in _ARRAYS if any(name in t for t in traces)]
    for i, trace in enumerate(traces):
        arrays = [_column(trace.get(name)) for name in columns]
        count = max((len(a) for a in arrays), default=0)
        total += count
        for k in range(min(count, _MOST_ROWS - len(rows))):
            rows.append((name_of(trace, i), *(a[k] if k < len(a) else "" for a in arrays)))
    note = f"{len(rows)} of {total} rows; all are in the notebook" if total > len(rows) else ""
    return Table(head=("trace", *columns), rows=tuple(rows), note=note)


def _column(array: Any) -> list[str]:
    try:
        listed = values(array)
    except (ValueError, TypeError):
        return []
    out = []
    for item in listed[:_MOST_ROWS]:
        if isinstance(item, list):
            out.append(", ".join(_cell(v) for v in item[:12]))
        else:
            out.append(_cell(item))
    return out


def _cell(value: Any) -> str:
    if value is None:
        return "unknown"
    return reading(value) if isinstance(value, int | float) else str(value)[:120]


def pack(value: Any) -> str:
    """A plotly figure as gzip in base64, or "" where the vendored bundle cannot draw it.

    What could load something, or is decoration only, is left out, and so are links.
    """
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        return ""
    traces = dicts(value["data"])
    if not traces or not {kind_of(t) for t in traces} <= BUNDLED:
        return ""
    data = [
        {k: _single(v) if k in ("y", "z") else v for k, v in t.items()}
        | {"type": "scatter" if kind_of(t) == "scattergl" else kind_of(t)}
        for t in traces
    ]
    layout = value.get("layout")
    kept = (
        {k: v for k, v in layout.items() if not k.startswith(_LOADS)}
        if isinstance(layout, dict)
        else {}
    )
    text = json.dumps({"data": data, "layout": kept}, separators=(",", ":"))
    if _LINKED.search(text):
        linked = _without_links({"data": data, "layout": kept})
        text = json.dumps(linked, separators=(",", ":"))
    if len(text) > _MOST_BYTES:
        return ""
    return base64.b64encode(gzip.compress(text.encode(), 3, mtime=0)).decode()


def _single(array: Any) -> Any:
    """A double-precision typed array in single precision: seven digits are plenty to look at."""
    if not isinstance(array, dict) or array.get("dtype") != "f8":
        return array
    import numpy as np

    try:
        exact = np.frombuffer(base64.b64decode(str(array.get("bdata"))), dtype="<f8")
    except ValueError:
        return array
    if len(exact) and np.nanmax(np.abs(exact), initial=0) > 1e30:
        return array
    short = base64.b64encode(exact.astype("<f4").tobytes()).decode()
    return {**array, "dtype": "f4", "bdata": short}


def to_plotly(figure: LineFigure) -> dict[str, Any]:
    """A line figure of ours as plotly JSON, so that it can be explored where the bundle is."""
    data = [
        {
            "type": "scatter", "mode": "markers" if line.style == "points" else "lines",
            "name": line.name, "y": list(line.y),
            "x": [at(x).strftime("%Y-%m-%d %H:%M:%S.%f") for x in line.x]
            if figure.x_kind == "time" else list(line.x),
        }
        for line in figure.lines
    ]  # fmt: skip
    return {
        "data": data,
        "layout": {"title": {"text": figure.title}, "yaxis": {"title": {"text": figure.unit}}},
    }


def _without_links(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value) if re.search(r"<\s*/?\s*a\b", value, re.IGNORECASE) else value
    if isinstance(value, list):
        return [_without_links(v) for v in value]
    if isinstance(value, dict):
        return {k: _without_links(v) for k, v in value.items() if k not in ("source", "href")}
    return value
