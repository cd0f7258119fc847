"""Drawings as values: plain numbers in, SVG text out; no plotting library, no browser.

Times are epoch milliseconds, UTC (`ms` makes them).  Every figure has `.svg(width=, theme=)`,
`.data_uri()` and `.table()`, shows itself in JupyterLab as an image, and travels in a notebook
as `application/vnd.irkit.figure.v1+json` so that an exporter can redraw it.

Example:
    >>> from irkit.figures import Line, LineFigure, Mark
    >>> figure = LineFigure(
    ...     title="30 % of checkouts fail after 1.4.2", unit="ratio",
    ...     lines=(Line(name="5xx", x=(0.0, 60_000.0, 120_000.0), y=(0.0, 0.3, 0.31)),),
    ...     marks=(Mark(at=50_000.0, kind="deploy", label="1.4.2"),),
    ... )
    >>> figure.svg(width=358)[:4]
    '<svg'
"""

from __future__ import annotations

from typing import Any

import msgspec

from irkit.errors import BadInput
from irkit.figures.base import MIME, NARROW, WIDE, Figure, Mark, Normal, Span, Table
from irkit.figures.charts import BarFigure, Bars, Box, BoxFigure, DotStrip, HeatFigure
from irkit.figures.fromplotly import from_plotly
from irkit.figures.line import Line, LineFigure, Panels
from irkit.figures.scale import clock, duration, ms
from irkit.figures.theme import page_css
from irkit.figures.timeline import Tick, TimelineFigure
from irkit.model.units import reading

AnyFigure = LineFigure | Panels | TimelineFigure | BarFigure | HeatFigure | BoxFigure | DotStrip


def from_mime(value: Any) -> Figure:
    """The figure that a notebook output carries under `MIME`.

    Raises:
        BadInput: it is not the JSON of one of our figures.
    """
    try:
        return msgspec.convert(value, type=AnyFigure)
    except msgspec.ValidationError as error:
        raise BadInput("not a figure of ours", on=str(error), next="run the cell again") from None


__all__ = [
    "MIME",
    "NARROW",
    "WIDE",
    "BarFigure",
    "Bars",
    "Box",
    "BoxFigure",
    "DotStrip",
    "Figure",
    "HeatFigure",
    "Line",
    "LineFigure",
    "Mark",
    "Normal",
    "Panels",
    "Span",
    "Table",
    "Tick",
    "TimelineFigure",
    "clock",
    "duration",
    "from_mime",
    "from_plotly",
    "ms",
    "page_css",
    "reading",
]
