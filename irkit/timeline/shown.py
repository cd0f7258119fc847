"""The timeline as a notebook shows it: a figure over a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup

from irkit import display
from irkit.model.event import Event
from irkit.timeline.entries import Entry, entries, folded

if TYPE_CHECKING:
    import pandas as pd

    from irkit.figures.timeline import TimelineFigure


@dataclass(frozen=True, repr=False)
class Timeline(display.Shown):
    """An incident's events, oldest first; four or more alike within 60 s are one row.

    `.df` has every entry unfolded, `.plot()` is the figure with its five lanes.
    """

    events: tuple[Event, ...]
    entries: tuple[Entry, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", entries(self.events))

    @property
    def df(self) -> pd.DataFrame:
        """One row for each entry: at (UTC), offset, lane, kind, text, by, recorded, key."""
        import pandas as pd

        names = ("at", "offset", "lane", "kind", "text", "by", "recorded", "key")
        return pd.DataFrame([[getattr(e, n) for n in names] for e in self.entries], columns=names)

    def plot(self, title: str = "") -> TimelineFigure:
        """The five lanes on one time scale."""
        return figure(folded(self.entries), title=title or self._sentence())

    def _sentence(self) -> str:
        if not self.entries:
            return "Timeline: no incident, so nothing has happened yet"
        last = self.entries[-1]
        count = len(self.entries)
        return f"Timeline: {count} entries, last {last.clock} {last.text}"

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(self._sentence())
        if not self.entries:
            return
        lines = folded(self.entries)
        yield display.image(figure(lines, title=""), alt=self._sentence())
        keys = [e for e in lines if e.key] or list(lines)
        rows = [
            (e.clock, e.relative, e.lane, f"{e.text} ({e.was})" if e.was else e.text, e.by)
            for e in keys
        ]
        head = ("time (UTC)", "from first alert", "lane", "what", "by")
        yield display.table(head, rows, what="key entries")
        if len(keys) < len(lines):
            yield display.meta(f"{len(lines) - len(keys)} more lines in .df")


def figure(lines: Iterable[Entry], *, title: str) -> TimelineFigure:
    """The entries (folded or not) as a figure; a fold is a bar with its count."""
    from irkit.figures.timeline import Tick, TimelineFigure

    return TimelineFigure(
        title=title,
        ticks=tuple(
            Tick(
                at=_ms(e), lane=e.lane, glyph=e.glyph, label=e.text, key=e.key,  # type: ignore[arg-type]
                end=_ms(e.inside[-1]) if e.inside else None, count=len(e.inside) or 1,
            )
            for e in lines
        ),
    )  # fmt: skip


def _ms(entry: Entry) -> float:
    return round(entry.at.timestamp() * 1000)
