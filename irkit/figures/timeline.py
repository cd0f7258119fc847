"""The incident on one time scale, in lanes: signals, changes, runs, people, messages."""

from __future__ import annotations

import math
from typing import Final, Literal

import msgspec

from irkit.figures.base import Figure, Span, Table
from irkit.figures.canvas import Canvas, fit, text_width
from irkit.figures.panel import Frame, draw_axis
from irkit.figures.scale import clock, ordered

Lane = Literal["Signals", "Changes", "Runs", "People", "Messages"]
LANES: Final[tuple[Lane, ...]] = ("Signals", "Changes", "Runs", "People", "Messages")
Glyph = Literal[
    "alert",
    "resolved",
    "deploy",
    "act",
    "verified",
    "run",
    "ack",
    "decision",
    "message",
    "refused",
    "gap",
    "other",
]
_ROLE: Final[dict[str, str]] = {
    "alert": "sev1",
    "resolved": "ok",
    "deploy": "deploy",
    "act": "s1",
    "verified": "ok",
    "run": "muted",
    "ack": "s3",
    "decision": "s2",
    "message": "muted",
    "refused": "sev1",
    "gap": "control",
    "other": "muted",
}
ROW: Final = 40
LEVEL: Final = 15
LEVELS: Final = 3


class Tick(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened, in a lane; `end` makes it a bar; `count` folds alike ones."""

    at: float
    lane: Lane
    glyph: Glyph
    label: str
    end: float | None = None
    count: int = 1
    key: bool = True


class TimelineFigure(Figure, frozen=True, kw_only=True, tag="timeline", omit_defaults=True):
    """Five lanes over one x scale in epoch milliseconds, UTC.

    `phases` are drawn as a strip on top (detect, acknowledge, mitigate, resolve); `onset` is the
    band in which the symptom began; `gaps` are hatched over all lanes.  Only `key` ticks are
    labelled, and only where there is room: the table below the figure has them all.
    """

    ticks: tuple[Tick, ...]
    span: tuple[float, float] | None = None
    phases: tuple[Span, ...] = ()
    onset: Span | None = None
    gaps: tuple[Span, ...] = ()

    def extent(self) -> tuple[float, float]:
        """The x range: `span` where given, else that of everything drawn, with a margin."""
        if self.span:
            return ordered(self.span, 1000.0)
        edges = [t.at for t in self.ticks] + [t.end for t in self.ticks if t.end is not None]
        edges += [e for p in self.phases for e in (p.start, p.end)]
        if not edges:
            return (0.0, 60_000.0)
        pad = max((max(edges) - min(edges)) * 0.02, 15_000)
        return ordered((min(edges) - pad, max(edges) + pad), 1000.0)

    def table(self) -> Table:
        """Every tick: when, lane, what."""
        rows = [
            (clock(t.at), t.lane, t.label + (f" ({t.count})" if t.count > 1 else ""))
            for t in sorted(self.ticks, key=lambda t: t.at)
        ]
        return Table(head=("time", "lane", "what"), rows=tuple(rows))

    def _describe(self) -> str:
        return "; ".join(f"{clock(t.at)} {t.label}" for t in self.ticks if t.key)[:1500]

    def _draw(self, canvas: Canvas, top: float) -> float:
        frame = Frame.of(canvas, self.extent(), "time")
        narrow = canvas.width < 600
        first = y = self._draw_phases(canvas, frame, top)
        lanes = [lane for lane in LANES if any(t.lane == lane for t in self.ticks)] or [LANES[0]]
        placed = {lane: self._labels(canvas, frame, lane) for lane in lanes}
        rows = {
            lane: ROW + (14 if narrow else 0) + LEVEL * max((p[2] for p in placed[lane]), default=0)
            for lane in lanes
        }
        bottom = first + sum(rows.values())
        if self.onset:
            a, b = frame.x(self.onset.start), frame.x(min(self.onset.end, frame.hi))
            canvas.rect(
                a,
                first,
                max(b - a, 3),
                bottom - first,
                "sev2",
                opacity=0.22,
                note=self.onset.label or "onset",
            )
        for gap in self.gaps:
            a, b = frame.x(max(gap.start, frame.lo)), frame.x(min(gap.end, frame.hi))
            if b > a:
                canvas.hatch(a, first, b - a, bottom - first)
        for lane in lanes:
            row = rows[lane]
            canvas.line((0, y + row), (canvas.width, y + row), "hair")
            name_y = y + 13 if narrow else y + row - 8
            canvas.text((0, name_y), lane, "muted", bold=True, halo=narrow)
            self._draw_lane(canvas, frame, lane, y + row - 11)
            for start, words, level in placed[lane]:
                canvas.text((start, y + row - 23 - LEVEL * level), words, halo=True)
            y += row
        return draw_axis(canvas, frame, bottom, "")

    def _draw_phases(self, canvas: Canvas, frame: Frame, y: float) -> float:
        if not self.phases:
            return y + 2
        for i, phase in enumerate(self.phases):
            a, b = frame.x(max(phase.start, frame.lo)), frame.x(min(phase.end, frame.hi))
            if b <= a:
                continue
            canvas.rect(a, y, b - a - 1, 18, ("band", "raised")[i % 2], note=phase.label)
            canvas.line((a, y), (a, y + 18), "control")
            words = next(
                (
                    w
                    for w in (phase.label, phase.label.split(" ")[0])
                    if text_width(w, 12) < b - a - 8
                ),
                "",
            )
            canvas.text((a + 5, y + 13), words)
        return y + 24

    def _draw_lane(self, canvas: Canvas, frame: Frame, lane: Lane, y: float) -> None:
        for tick in self._shown(frame, lane):
            x, role = frame.x(tick.at), _ROLE[tick.glyph]
            note = f"{clock(tick.at)} {tick.label}"
            if tick.end is not None:
                end = frame.x(min(tick.end, frame.hi))
                canvas.rect(x, y - 4, max(end - x, 3), 8, role, radius=2, note=note)
            else:
                _glyph(canvas, tick.glyph, (x, y), role, note)

    def _labels(self, canvas: Canvas, frame: Frame, lane: Lane) -> list[tuple[float, str, int]]:
        """Where the key ticks' labels go: x, words and level above the row, without overlaps."""
        free = [-math.inf] * LEVELS
        placed = []
        for tick in self._shown(frame, lane):
            if not tick.key:
                continue
            label = tick.label + (f" ×{tick.count}" if tick.count > 1 else "")
            words = fit(label, 240, 12)
            wide = text_width(words, 12)
            start = max(min(frame.x(tick.at) - 5, canvas.width - wide), 0)
            level = next((i for i, edge in enumerate(free) if start >= edge), None)
            if level is not None:
                placed.append((start, words, level))
                free[level] = start + wide + 8
        return placed

    def _shown(self, frame: Frame, lane: Lane) -> list[Tick]:
        ticks = [t for t in self.ticks if t.lane == lane and frame.shows(t.at)]
        return sorted(ticks, key=lambda t: t.at)


def _glyph(canvas: Canvas, glyph: Glyph, at: tuple[float, float], role: str, note: str) -> None:
    x, y = at
    if glyph in ("deploy",):
        canvas.flag((x, y + 6), role, note=note)
        canvas.line((x, y + 6), (x, y - 5), role, width=1.5)
    elif glyph in ("act", "decision"):
        canvas.diamond(at, 6, role, hollow=glyph == "decision", note=note)
    elif glyph in ("resolved", "verified", "ack"):
        canvas.dot(at, 4.5, role, hollow=True, note=note)
    elif glyph == "refused":
        canvas.polygon([(x - 5, y - 5), (x + 5, y - 5), (x, y + 5)], role, hollow=True, note=note)
    elif glyph == "gap":
        canvas.rect(x - 4, y - 4, 8, 8, role, note=note)
    elif glyph == "message":
        canvas.rect(x - 3, y - 3, 6, 6, role, note=note)
    else:
        canvas.dot(at, 4.5 if glyph == "alert" else 3.5, role, note=note)
