"""Bars, heat maps, boxes and dot strips."""

from __future__ import annotations

import math
from typing import Final, Literal, TypeVar

import msgspec

from irkit.figures.base import Figure, Table
from irkit.figures.canvas import Canvas, fit, number, text_width
from irkit.figures.panel import Frame
from irkit.figures.scale import FARTHEST, duration, nice_ticks
from irkit.figures.theme import SERIES
from irkit.model.units import reading

MOST_BARS: Final = 40
MOST_ROWS: Final = 20
MOST_COLUMNS: Final = 60
SHADES: Final = 9
T = TypeVar("T")


class Bars(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One series of bars: a value for each of the figure's categories, None where unknown."""

    name: str
    values: tuple[float | None, ...]


class BarFigure(Figure, frozen=True, kw_only=True, tag="bar", omit_defaults=True):
    """Horizontal bars, because names of things are long; several series stand side by side."""

    categories: tuple[str, ...]
    series: tuple[Bars, ...]
    unit: str = ""
    x_label: str = ""

    def table(self) -> Table:
        """A row for each category."""
        return Table(
            head=("", *(s.name for s in self.series)),
            rows=tuple(
                (name, *(reading(_nth(s.values, i), self.unit) for s in self.series))
                for i, name in enumerate(self.categories)
            ),
        )

    def _describe(self) -> str:
        return "; ".join(": ".join(row[:2]) for row in self.table().rows[:12])

    def _draw(self, canvas: Canvas, top: float) -> float:
        series = self.series[:4]
        names = self.categories[:MOST_BARS]
        longest = max((text_width(n, 12) for n in names), default=40)
        left = min(max(longest + 10, 64), canvas.width * 0.4)
        right = canvas.width - 84
        values = [v for s in series for v in s.values[:MOST_BARS] if v is not None]
        lo, hi = min([0.0, *values]), max([0.0, *values])
        ticks = nice_ticks(lo, hi, 4)
        lo, hi = ticks[0], ticks[-1]
        y = top
        if len(series) > 1:
            x = left
            for i, s in enumerate(series):
                canvas.rect(x, y + 2, 10, 10, SERIES[i])
                words = fit(s.name, 150, 12)
                canvas.text((x + 14, y + 11), words)
                x += 30 + text_width(words, 12)
            y += 20
        thick = 16 if len(series) == 1 else 10
        zero = left + (0 - lo) / (hi - lo) * (right - left)
        for i, name in enumerate(names):
            canvas.text(
                (left - 6, y + 4 + thick * len(series) / 2 + 4),
                fit(name, left - 8, 12),
                anchor="end",
            )
            for k, s in enumerate(series):
                value, row = _nth(s.values, i), y + 4 + k * thick
                if value is None:
                    canvas.text((zero + 4, row + thick - 2), "unknown", "muted")
                    continue
                x = left + (value - lo) / (hi - lo) * (right - left)
                canvas.rect(min(x, zero), row, abs(x - zero), thick - 2, SERIES[k])
                if len(series) == 1 or thick >= 10:
                    canvas.text(
                        (max(x, zero) + 5, row + thick / 2 + 3), reading(value, self.unit), size=12
                    )
            y += thick * len(series) + 8
        canvas.line((zero, top), (zero, y), "control")
        if len(self.categories) > MOST_BARS:
            canvas.text(
                (left, y + 14),
                f"and {len(self.categories) - MOST_BARS} more, in the table",
                "muted",
            )
            y += 20
        if self.x_label:
            canvas.text((left, y + 14), fit(self.x_label, right - left, 12), "muted")
            y += 20
        return y + 4


class HeatFigure(Figure, frozen=True, kw_only=True, tag="heat", omit_defaults=True):
    """A grid of values, one shade each; `z[row][column]`, None where unknown (hatched).

    A grid too fine to print is drawn coarser: each cell then is the largest of those it covers.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    z: tuple[tuple[float | None, ...], ...]
    unit: str = ""

    def table(self) -> Table:
        """The grid, row by row."""
        return Table(
            head=("", *self.columns),
            rows=tuple(
                (_nth(self.rows, i) or "", *(reading(v, self.unit) for v in row))
                for i, row in enumerate(self.z)
            ),
        )

    def _pooled(self) -> tuple[list[list[float | None]], int, int]:
        """The grid as drawn, and how many rows and columns went into each of its cells."""
        wide = max((len(row) for row in self.z), default=0)
        down, across = math.ceil(len(self.z) / MOST_ROWS), math.ceil(wide / MOST_COLUMNS)
        drawn: list[list[float | None]] = []
        for i in range(0, len(self.z), max(down, 1)):
            cells: list[float | None] = []
            for k in range(0, wide, across):
                block = [v for row in self.z[i : i + down] for v in row[k : k + across]]
                known = [v for v in block if v is not None and math.isfinite(v)]
                cells.append(max(known, default=None))
            drawn.append(cells)
        return drawn, down, across

    def _draw(self, canvas: Canvas, top: float) -> float:
        grid, down, across = self._pooled()
        if not grid or not grid[0]:
            canvas.text((0, top + 14), "no data", "muted")
            return top + 24
        longest = max((text_width(n, 12) for n in self.rows), default=40)
        left = min(max(longest + 8, 44), canvas.width * 0.3)
        right = canvas.width - (8 if canvas.width < 600 else 120)
        cell, tall = (right - left) / len(grid[0]), max(12.0, min(28.0, 320 / len(grid)))
        values = [v for row in grid for v in row if v is not None]
        lo, hi = (min(values), max(values)) if values else (0.0, 1.0)
        shades: dict[int, list[str]] = {}
        for i, row in enumerate(grid):
            y = top + i * tall
            if i % math.ceil(14 / tall) == 0:
                name = fit(_nth(self.rows, i * down) or "", left - 8, 12)
                canvas.text((left - 6, y + tall / 2 + 4), name, anchor="end")
            for k, value in enumerate(row):
                x = left + k * cell
                if value is None:
                    canvas.hatch(x, y, cell, tall)
                    continue
                share = (value - lo) / (hi - lo) if hi > lo else 0.5
                w, h = number(cell - 0.5), number(tall - 0.5)
                box = f"M{number(x)} {number(y)}h{w}v{h}h-{w}z"
                shades.setdefault(round(share * (SHADES - 1)), []).append(box)
        for shade, boxes in sorted(shades.items()):
            canvas.fill("".join(boxes), "s1", 0.06 + 0.94 * shade / (SHADES - 1))
        y = top + tall * len(grid)
        every = max(1, math.ceil(70 / cell))
        for k in range(0, len(grid[0]), every):
            name = _nth(self.columns, k * across) or ""
            canvas.text(
                (left + (k + 0.5) * cell, y + 15), fit(name, every * cell, 12), "muted",
                anchor="middle",
            )  # fmt: skip
        pooled = f"; each the largest of {down * across}" if down * across > 1 else ""
        scale = f"pale: {reading(lo, self.unit)}, dark: {reading(hi, self.unit)}"
        canvas.text((left, y + 34), fit(scale + pooled, canvas.width - left, 12), "muted")
        return y + 42


class Box(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A group of values by its p5, quartiles and p95, and how many there are."""

    name: str
    n: int
    low: float
    q1: float
    median: float
    q3: float
    high: float

    @classmethod
    def of(cls, name: str, values: list[float]) -> Box:
        """From the values themselves, by linear interpolation between ranks."""
        ranked = sorted(values)

        def q(p: float) -> float:
            place = p * (len(ranked) - 1)
            i = int(place)
            j = min(i + 1, len(ranked) - 1)
            return ranked[i] + (ranked[j] - ranked[i]) * (place - i)

        return cls(
            name=name,
            n=len(ranked),
            low=q(0.05),
            q1=q(0.25),
            median=q(0.5),
            q3=q(0.75),
            high=q(0.95),
        )


class BoxFigure(Figure, frozen=True, kw_only=True, tag="box", omit_defaults=True):
    """Groups of values side by side on one scale: p5 to p95 as a line, quartiles as a box."""

    boxes: tuple[Box, ...]
    unit: str = ""

    def table(self) -> Table:
        """The five numbers of each group."""
        return Table(
            head=("group", "n", "p5", "q1", "median", "q3", "p95"),
            rows=tuple(
                (
                    b.name,
                    str(b.n),
                    *(reading(v, self.unit) for v in (b.low, b.q1, b.median, b.q3, b.high)),
                )
                for b in self.boxes
            ),
        )

    def _draw(self, canvas: Canvas, top: float) -> float:
        longest = max((text_width(b.name, 12) for b in self.boxes), default=40)
        left = min(max(longest + 10, 64), canvas.width * 0.35)
        right = canvas.width - 84
        lo = min((b.low for b in self.boxes), default=0.0)
        hi = max((b.high for b in self.boxes), default=1.0)
        ticks = nice_ticks(min(lo, 0.0) if lo < hi / 2 else lo, hi, 4)

        def px(value: float) -> float:
            return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (right - left)

        y = top
        bottom = top + 30 * len(self.boxes)
        for tick in ticks:
            canvas.line((px(tick), top), (px(tick), bottom), "hair")
            canvas.text((px(tick), bottom + 15), reading(tick, self.unit), "muted", anchor="middle")
        for box in self.boxes:
            mid = y + 15
            canvas.text((left - 6, mid + 4), fit(box.name, left - 8, 12), anchor="end")
            canvas.line((px(box.low), mid), (px(box.high), mid), "s1", width=1.5)
            canvas.rect(px(box.q1), mid - 8, px(box.q3) - px(box.q1), 16, "s1", opacity=0.35)
            canvas.line((px(box.median), mid - 10), (px(box.median), mid + 10), "ink", width=2.5)
            canvas.text((canvas.width, mid + 4), f"{reading(box.median, self.unit)}", anchor="end")
            y += 30
        return bottom + 24


class DotStrip(Figure, frozen=True, kw_only=True, tag="dots", omit_defaults=True):
    """Durations in seconds on a log axis, one dot each, this incident's marked.

    Durations are skewed, so there is no mean: the median, the quartiles and n are shown.
    """

    values: tuple[float, ...]
    this: float | None = None
    kind: Literal["duration"] = "duration"

    def _good(self) -> list[float]:
        return [v for v in self.values if 1e-3 <= v <= FARTHEST]

    def table(self) -> Table:
        """n, quartiles, median and this one."""
        good = self._good()
        box = Box.of("", good) if good else None
        mine = duration(self.this) if self.this is not None else "unknown"
        if box is None:
            return Table(head=("n", "this one"), rows=(("0", mine),))
        return Table(
            head=("n", "lower quartile", "median", "upper quartile", "this one"),
            rows=((str(box.n), duration(box.q1), duration(box.median), duration(box.q3), mine),),
        )

    def _draw(self, canvas: Canvas, top: float) -> float:
        good = self._good()
        drawn = [*good, *([self.this] if self.this and self.this > 0 else [])]
        if not drawn:
            canvas.text((0, top + 14), "no earlier incident to compare with", "muted")
            return top + 24
        lo, hi = math.log10(min(drawn) / 1.3), math.log10(max(drawn) * 1.3)
        frame = Frame(8, canvas.width - 8, lo, hi, "number")
        y = top + 30
        if len(good) > 1:
            box = Box.of("", good)
            a, b = frame.x(math.log10(box.q1)), frame.x(math.log10(box.q3))
            canvas.rect(a, y - 12, b - a, 24, "band", note="lower to upper quartile")
            m = frame.x(math.log10(box.median))
            canvas.line((m, y - 14), (m, y + 14), "ink", width=2)
        for value in good:
            canvas.dot((frame.x(math.log10(value)), y), 4, "control", note=duration(value))
        if self.this and self.this > 0:
            x = frame.x(math.log10(self.this))
            canvas.diamond((x, y), 7, "s2", note=f"this incident: {duration(self.this)}")
            words = f"this one {duration(self.this)}"
            start = min(max(x - text_width(words, 12) / 2, 0), canvas.width - text_width(words, 12))
            canvas.text((start, y - 18), words, bold=True)
        canvas.line((frame.left, y + 18), (frame.right, y + 18), "control")
        last = -math.inf
        for seconds in (
            1,
            10,
            30,
            60,
            120,
            300,
            600,
            1800,
            3600,
            3 * 3600,
            10 * 3600,
            86400,
            604800,
        ):
            if lo <= math.log10(seconds) <= hi:
                x = frame.x(math.log10(seconds))
                if x - last > 60 and 24 < x < canvas.width - 24:
                    canvas.text((x, y + 34), duration(seconds), "muted", anchor="middle")
                    last = x
        return y + 42


def _nth(values: tuple[T, ...], i: int) -> T | None:
    return values[i] if i < len(values) else None
