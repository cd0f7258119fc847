"""One panel: its scales, bands, lines and marks, drawn where a frame says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from irkit.figures.base import MARK_ROLES, Mark
from irkit.figures.canvas import Canvas, fit, text_width
from irkit.figures.scale import LARGEST, clock, nice_ticks, stretches, time_ticks
from irkit.figures.theme import DASHES, SERIES
from irkit.model.units import reading

if TYPE_CHECKING:
    from irkit.figures.line import Line, LineFigure

PANEL: Final = 120
MOST_NAMED: Final = 4


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
        return cls(52 if narrow else 64, canvas.width - (86 if narrow else 120), *extent, kind)

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
        ends = sorted(min(max(v, low), high) for v in (figure.normal.low, figure.normal.high))
        a, b = py(ends[1]), py(ends[0])
        canvas.rect(
            frame.left,
            a,
            frame.right - frame.left,
            max(b - a, 2),
            "band",
            note=f"{figure.normal.label}: {reading(figure.normal.low, figure.unit)} to "
            f"{reading(figure.normal.high, figure.unit)}",
        )
    room = frame.left - 8
    bare = any(text_width(reading(t, figure.unit), 12) > room for t in ticks)
    for tick in ticks:
        y = py(tick)
        canvas.line((frame.left, y), (frame.right, y), "hair")
        words = fit(reading(tick, "" if bare else figure.unit), room, 12)
        canvas.text((frame.left - 6, y + 4), words, "muted", anchor="end")
    if bare and figure.unit:
        canvas.text((frame.left + 4, top + 13), f"in {figure.unit}", "muted", halo=True)
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
    names: list[tuple[float, str, str]] = []
    for i, line in reversed(list(enumerate(lines))):
        named = i < MOST_NAMED
        role, dash = (SERIES[i], DASHES[i]) if named else ("control", "")
        found = stretches(line.x, line.y, frame.lo, frame.hi, buckets, breaks)
        for xs, ys in found:
            px, py_ = frame.x(xs), py(ys)
            if line.style == "points":
                canvas.points(px, py_, role)
                continue
            if line.style == "area":
                canvas.area(px, py_, py(max(low, 0)), role)
            canvas.curve(px, py_, role, width=1.75 if named else 1, dash=dash)
        if named and found:
            names.append((float(py(found[-1][1][-1])), line.name, role))
    _draw_names(canvas, names, frame, top, bottom, len(lines))
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
        values += [min(max(v, -LARGEST), LARGEST) for v in (figure.normal.low, figure.normal.high)]
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
            near = [
                m
                for m in marks
                if m.label and m.kind == mark.kind and 0 <= frame.x(m.at) - x < 6 and m is not mark
            ]
            more = f" +{len(near)}" if near else ""
            words = fit(mark.label, min(room, 150) - text_width(more, 12), 12) + more
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
