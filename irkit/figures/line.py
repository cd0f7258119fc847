"""Lines over time, and several such panels under one x scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from irkit.figures.base import Figure, Mark, Normal, Span, Table
from irkit.figures.canvas import Canvas, wrap
from irkit.figures.panel import Frame, draw_axis, draw_panel
from irkit.figures.scale import (
    FARTHEST,
    LARGEST,
    as_floats,
    clock,
    decimate,
    ms,
    ordered,
)
from irkit.model.units import reading

MOST_POINTS: Final = 1600
Style = Literal["line", "points", "area"]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One series: `x` in epoch milliseconds (or plain numbers), `y` with None where unknown.

    A series that was thinned keeps how many values there were (`n`), and their `median`.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    style: Style = "line"
    n: int | None = None
    median: float | None = None

    @classmethod
    def of(
        cls,
        name: str,
        times: Iterable[Any],
        values: Iterable[float | None],
        *,
        style: Style = "line",
        points: int = MOST_POINTS,
    ) -> Line:
        """From aware datetimes (or a pandas index) and values; min/max decimated to `points`.

        Example:
            >>> from datetime import UTC, datetime
            >>> Line.of("5xx", [datetime(2026, 3, 1, tzinfo=UTC)], [0.3]).x
            (1772323200000.0,)
        """
        import numpy as np

        if hasattr(times, "dtype") and times.dtype.kind not in "if":
            xs = np.asarray(times, dtype="datetime64[ms]").astype("int64").astype(float)
        else:
            xs = np.array([float(t) if isinstance(t, int | float) else float(ms(t)) for t in times])
        return cls.thin(name, xs, as_floats(values), style=style, points=points)

    @classmethod
    def thin(
        cls, name: str, xs: Any, ys: Any, *, style: Style = "line", points: int = MOST_POINTS
    ) -> Line:
        """From two float arrays, NaN where unknown; min/max decimated to `points`."""
        import numpy as np

        if len(xs) <= points:
            known = [None if v != v or v in (math.inf, -math.inf) else v for v in ys.tolist()]
            return cls(name=name, x=tuple(xs.tolist()), y=tuple(known), style=style)
        good = ys[np.isfinite(ys)]
        pairs: list[tuple[float, float | None]] = []
        for stretch in decimate(xs, ys, float(xs.min()), float(xs.max()), points // 2):
            if pairs:
                pairs.append((stretch[0][0], None))
            pairs += stretch
        return cls(
            name=name,
            style=style,
            x=tuple(p[0] for p in pairs),
            y=tuple(p[1] for p in pairs),
            n=len(good),
            median=float(np.median(good)) if len(good) else None,
        )

    def known(self) -> list[tuple[float, float]]:
        """The points that have a value."""
        return [
            (x, y)
            for x, y in zip(self.x, self.y, strict=False)
            if y is not None and -LARGEST <= y <= LARGEST and -FARTHEST <= x <= FARTHEST
        ]


class LineFigure(Figure, frozen=True, kw_only=True, tag="line", omit_defaults=True):
    """A panel of lines on a shared scale, marked with what happened.

    `x_kind` "time" means epoch milliseconds, UTC.  `onset` is the band between the earliest and
    latest moment at which the symptom can have begun.  A `gap` breaks the lines and is hatched.
    `span` fixes the x range, so that figures line up; where the data fill less than a quarter of
    it, `trim` leaves out the empty part and says so.  `from_zero` starts the y scale at 0.

    Example:
        >>> LineFigure(title="errors rise", unit="ratio",
        ...            lines=(Line(name="5xx", x=(0.0, 60000.0), y=(0.0, 0.3)),))
        <figure: errors rise>
    """

    lines: tuple[Line, ...]
    unit: str = ""
    x_kind: Literal["time", "number"] = "time"
    x_label: str = ""
    normal: Normal | None = None
    onset: Span | None = None
    gaps: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()
    span: tuple[float, float] | None = None
    trim: bool = True
    from_zero: bool = True

    def extent(self) -> tuple[float, float]:
        """The x range: `span` where given, else that of the data and marks."""
        least = 1000.0 if self.x_kind == "time" else 1e-6
        xs = [x for line in self.lines for x, _ in line.known()]
        if self.span:
            span = ordered(self.span, least)
            return self._trimmed(span, xs) if self.trim else span
        xs += [edge for gap in self.gaps for edge in (gap.start, gap.end)]
        if self.x_kind == "number" or not xs:
            xs += [m.at for m in self.marks]
        if not xs:
            return (0.0, 1.0)
        lo, hi = min(xs), max(xs)
        return ordered(
            (lo, hi), (60_000.0 if self.x_kind == "time" else 1.0) if lo == hi else least
        )

    def _trimmed(self, span: tuple[float, float], xs: list[float]) -> tuple[float, float]:
        if not xs or max(xs) - min(xs) > (span[1] - span[0]) / 4:
            return span
        wide = max(max(xs) - min(xs), (span[1] - span[0]) / 200)
        lo, hi = max(span[0], min(xs) - wide / 2), min(span[1], max(xs) + wide / 2)
        return ordered((lo, hi)) if lo < hi else span

    def table(self) -> Table:
        """Per series: count, first, last, smallest, median, largest, and when."""
        rows = []
        for line in self.lines:
            known = line.known()
            if not known:
                rows.append((line.name, "0", "unknown", "", "unknown", "", "unknown", "unknown"))
                continue
            ys = sorted(y for _, y in known)
            median = ys[len(ys) // 2] if line.median is None else line.median
            low, high = min(known, key=lambda p: p[1]), max(known, key=lambda p: p[1])
            rows.append(
                (
                    line.name,
                    f"{line.n or len(known):,}",
                    reading(low[1], self.unit),
                    self._x(low[0]),
                    reading(high[1], self.unit),
                    self._x(high[0]),
                    reading(median, self.unit),
                    reading(known[-1][1], self.unit),
                )
            )
        return Table(
            head=("series", "n", "lowest", "at", "highest", "at", "median", "last"),
            rows=tuple(rows),
        )

    def _x(self, value: float) -> str:
        return clock(value) if self.x_kind == "time" else reading(value)

    def _describe(self) -> str:
        marks = [f"{m.label or m.kind} at {self._x(m.at)}" for m in self.marks[:12]]
        gaps = [f"no data {self._x(g.start)} to {self._x(g.end)}" for g in self.gaps[:6]]
        return "; ".join([*(line.name for line in self.lines[:6]), *marks, *gaps])

    def _draw(self, canvas: Canvas, top: float) -> float:
        frame = Frame.of(canvas, self.extent(), self.x_kind)
        below = draw_panel(canvas, self, frame, top, flags=True)
        return draw_axis(canvas, frame, below, self.x_label or _left_out([self], frame))


class Panels(Figure, frozen=True, kw_only=True, tag="panels", omit_defaults=True):
    """Small multiples: panels one under another on one x scale; the marks run through all."""

    panels: tuple[LineFigure, ...]

    def table(self) -> Table:
        """The panels' tables one after another, each row led by its panel's title."""
        rows = [(p.title, *row) for p in self.panels for row in p.table().rows]
        head = self.panels[0].table().head if self.panels else ()
        return Table(head=("panel", *head), rows=tuple(rows))

    def _describe(self) -> str:
        return "; ".join(p.title for p in self.panels)

    def _draw(self, canvas: Canvas, top: float) -> float:
        kinds = {p.x_kind for p in self.panels}
        shared = len(kinds) == 1
        spans = [p.extent() for p in self.panels]
        whole = (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else (0.0, 1.0)
        y = top
        for i, panel in enumerate(self.panels):
            frame = Frame.of(canvas, whole if shared else panel.extent(), panel.x_kind)
            for words in wrap(panel.title, canvas.width, 15):
                canvas.text((0, y + 12), words, size=13, bold=True)
                y += 17
            y += 8
            y = draw_panel(canvas, panel, frame, y, flags=i == 0 or not shared)
            if not shared or i == len(self.panels) - 1:
                drawn = self.panels if shared else [panel]
                y = draw_axis(canvas, frame, y, panel.x_label or _left_out(drawn, frame))
            y += 10
        return y


def _left_out(panels: Sequence[LineFigure], frame: Frame) -> str:
    """Which part of the window is not drawn because it holds no data."""
    spans = [p.span for p in panels if p.span]
    if frame.kind != "time" or not spans:
        return ""
    lo, hi = min(s[0] for s in spans), max(s[1] for s in spans)
    before = f"no data before {clock(frame.lo)}" if lo < frame.lo else ""
    after = f"no data after {clock(frame.hi)}" if hi > frame.hi else ""
    return "; ".join(filter(None, (before, after)))
