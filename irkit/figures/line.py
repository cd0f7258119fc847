"""Lines over time, and several such panels under one x scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from irkit.figures.base import MARK_ROLES, Figure, Mark, Normal, Span, Table
from irkit.figures.canvas import Canvas, fit, text_width, wrap
from irkit.figures.scale import (
    as_floats,
    clock,
    decimate,
    ms,
    nice_ticks,
    reading,
    stretches,
    time_ticks,
)
from irkit.figures.theme import DASHES, SERIES

PANEL: Final = 120
MOST_NAMED: Final = 4
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
            if y is not None and -math.inf < y < math.inf and -math.inf < x < math.inf
        ]


class LineFigure(Figure, frozen=True, kw_only=True, tag="line", omit_defaults=True):
    """A panel of lines on a shared scale, marked with what happened.

    `x_kind` "time" means epoch milliseconds, UTC.  `onset` is the band between the earliest and
    latest moment at which the symptom can have begun.  A `gap` breaks the lines and is hatched.
    `span` fixes the x range, so that figures line up.  `from_zero` starts the y scale at 0.

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
    from_zero: bool = True

    def extent(self) -> tuple[float, float]:
        """The x range: `span` where given, else that of the data and marks."""
        if self.span:
            return self.span
        xs = [x for line in self.lines for x, _ in line.known()]
        xs += [edge for gap in self.gaps for edge in (gap.start, gap.end)]
        if self.x_kind == "number" or not xs:
            xs += [m.at for m in self.marks if math.isfinite(m.at)]
        if not xs:
            return (0.0, 1.0)
        lo, hi = min(xs), max(xs)
        return (
            (lo, hi)
            if hi > lo
            else (lo - 30_000, hi + 30_000)
            if self.x_kind == "time"
            else (lo - 0.5, hi + 0.5)
        )

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
        return draw_axis(canvas, frame, below, self.x_label)


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
            y += 3
            y = draw_panel(canvas, panel, frame, y, flags=i == 0 or not shared)
            if not shared or i == len(self.panels) - 1:
                y = draw_axis(canvas, frame, y, panel.x_label)
            y += 10
        return y


class Frame(msgspec.Struct, frozen=True):
    """Where the x scale lies on the canvas: pixels `left` to `right` show `lo` to `hi`."""

    left: float
    right: float
    lo: float
    hi: float
    kind: str

    @classmethod
    def of(cls, canvas: Canvas, extent: tuple[float, float], kind: str) -> Frame:
        """The margins every figure shares, so that figures line up under one another."""
        narrow = canvas.width < 600
        return cls(44 if narrow else 64, canvas.width - (86 if narrow else 120), *extent, kind)

    def x(self, value: Any) -> Any:
        """The pixel of a value, or the pixels of an array of them."""
        return self.left + (value - self.lo) / max(self.hi - self.lo, 1e-12) * (
            self.right - self.left
        )

    def shows(self, value: float) -> bool:
        """Whether the value lies on the scale."""
        return self.lo <= value <= self.hi


def draw_panel(
    canvas: Canvas, figure: LineFigure, frame: Frame, top: float, *, flags: bool
) -> float:
    """Draw one panel below `top`; returns the y of its lower edge."""
    marks = [m for m in figure.marks if frame.shows(m.at)]
    if flags and any(m.label for m in marks):
        top += 18
    bottom = top + PANEL
    lines, values = _ranked(figure), _values(figure)
    lo, hi = (min(values), max(values)) if values else (0.0, 1.0)
    if figure.from_zero and lo > 0:
        lo = 0.0
    ticks = nice_ticks(lo, hi, 3)
    low, high = ticks[0], ticks[-1]

    def py(value: Any) -> Any:
        return bottom - (value - low) / (high - low) * PANEL

    if figure.normal:
        a, b = py(min(figure.normal.high, high)), py(max(figure.normal.low, low))
        canvas.rect(
            frame.left,
            a,
            frame.right - frame.left,
            max(b - a, 2),
            "band",
            note=f"{figure.normal.label}: {reading(figure.normal.low, figure.unit)} to "
            f"{reading(figure.normal.high, figure.unit)}",
        )
    for tick in ticks:
        y = py(tick)
        canvas.line((frame.left, y), (frame.right, y), "hair")
        canvas.text((frame.left - 6, y + 4), reading(tick, figure.unit), "muted", anchor="end")
    if figure.onset and frame.shows(figure.onset.start):
        a, b = frame.x(figure.onset.start), frame.x(min(figure.onset.end, frame.hi))
        canvas.rect(
            a, top, max(b - a, 3), PANEL, "sev2", opacity=0.22, note=figure.onset.label or "onset"
        )
    for gap in figure.gaps:
        a, b = frame.x(max(gap.start, frame.lo)), frame.x(min(gap.end, frame.hi))
        if b > a:
            canvas.hatch(a, top, b - a, PANEL)
            words = gap.label or "no data"
            if text_width(words, 12) < b - a - 8:
                canvas.text(((a + b) / 2, top + PANEL / 2), words, anchor="middle", halo=True)
    _draw_marks(canvas, marks, frame, top, bottom, labels=flags)
    breaks = [(g.start, g.end) for g in figure.gaps]
    wide = max(1, min(len(lines), MOST_NAMED) / 2)
    buckets = max(int((frame.right - frame.left) / wide), 40)
    ends: list[tuple[float, str, str]] = []
    for i, line in reversed(list(enumerate(lines))):
        named = i < MOST_NAMED
        role, dash = (SERIES[i], DASHES[i]) if named else ("control", "")
        found = stretches(line.x, line.y, frame.lo, frame.hi, buckets, breaks)
        for xs, ys in found:
            px, py_ = frame.x(xs), py(ys)
            if line.style == "points":
                for point in list(zip(px.tolist(), py_.tolist(), strict=True))[:400]:
                    canvas.dot(point, 2, role)
                continue
            if line.style == "area":
                canvas.area(px, py_, py(max(low, 0)), role)
            canvas.curve(px, py_, role, width=1.75 if named else 1, dash=dash)
        if named and found:
            ends.append((float(py(found[-1][1][-1])), line.name, role))
    _draw_names(canvas, ends, frame, top, bottom, len(lines))
    return bottom


def _ranked(figure: LineFigure) -> list[Line]:
    """The series with the largest values first where there are more than can be told apart."""
    lines = list(figure.lines)
    if len(lines) <= MOST_NAMED:
        return lines
    return sorted(lines, key=lambda s: -max((y for _, y in s.known()), default=-math.inf))


def _values(figure: LineFigure) -> list[float]:
    values = [y for line in figure.lines for _, y in line.known()]
    if figure.normal and values:
        values += [figure.normal.low, figure.normal.high]
    return values


def _draw_marks(
    canvas: Canvas,
    marks: Sequence[Mark],
    frame: Frame,
    top: float,
    bottom: float,
    *,
    labels: bool,
) -> None:
    free_from = -math.inf
    for mark in sorted(marks, key=lambda m: m.at):
        x, role = frame.x(mark.at), MARK_ROLES[mark.kind]
        what = f"{mark.label or mark.kind} {clock(mark.at) if frame.kind == 'time' else ''}"
        canvas.line(
            (x, top), (x, bottom), role, width=1.25, dash="" if mark.kind == "deploy" else "4 3"
        )
        if mark.kind == "deploy":
            canvas.flag((x, top), role, note=what)
        elif mark.kind == "act":
            canvas.diamond((x, top), 5, role, note=what)
        else:
            canvas.dot((x, top), 4, role, hollow=mark.kind == "verified", note=what)
        if labels and mark.label:
            start = x + 11
            room = canvas.width - start
            words = fit(mark.label, min(room, 150), 12)
            if start > free_from and text_width(words, 12) <= room and len(words) > 2:
                canvas.text((start, top - 5), words, halo=True)
                free_from = start + text_width(words, 12) + 12


def _draw_names(
    canvas: Canvas,
    ends: list[tuple[float, str, str]],
    frame: Frame,
    top: float,
    bottom: float,
    count: int,
) -> None:
    room = canvas.width - frame.right - 20
    rest = [(bottom, f"+ {count - MOST_NAMED} in grey", "")] if count > MOST_NAMED else []
    lowest = bottom + 4 - 14 * (len(ends) + len(rest) - 1)
    last = top - 10
    for y, name, role in [*sorted(ends), *rest]:
        y = max(min(y + 4, lowest), last + 14)
        if role:
            canvas.line((frame.right + 5, y - 4), (frame.right + 15, y - 4), role, width=2.5)
        canvas.text((frame.right + 19, y), fit(name, room, 12), "ink" if role else "muted")
        last, lowest = y, lowest + 14


def draw_axis(canvas: Canvas, frame: Frame, y: float, label: str) -> float:
    """Draw the x scale below `y`; returns the y of its lower edge."""
    canvas.line((frame.left, y), (frame.right, y), "control")
    most = max(3, int((frame.right - frame.left) / (95 if frame.kind == "time" else 80)))
    ticks = (
        time_ticks(frame.lo, frame.hi, most)
        if frame.kind == "time"
        else [(t, reading(t)) for t in nice_ticks(frame.lo, frame.hi, most)]
    )
    for value, words in ticks:
        if frame.shows(value):
            x = frame.x(value)
            canvas.line((x, y), (x, y + 4), "control")
            canvas.text((x, y + 17), words, "muted", anchor="middle")
    if frame.kind == "time":
        canvas.text((0, y + 17), "UTC", "muted")
    if label:
        canvas.text(
            (frame.right, y + 33), fit(label, frame.right - frame.left, 12), "muted", anchor="end"
        )
        return y + 40
    return y + 24
