"""Several signals at once: those that could be asked, and a gap for each that could not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from irkit import display
from irkit.errors import NotFound
from irkit.metrics.metrics import Marked, Metrics, Onset
from irkit.model.finding import Gap

if TYPE_CHECKING:
    from irkit.figures.base import Figure
    from irkit.figures.line import Panels

MOST_QUERIES = 3
MOST_PANELS = 12


@dataclass(frozen=True, repr=False, kw_only=True)
class Signals(display.Shown):
    """Signals of one or more services, by name; a signal that failed is one of `gaps`.

    Example:
        signals = inc.signals("error_rate", "latency", mark=inc.deploys())
        signals.plot()
        signals["error_rate of checkout"].onset()
    """

    found: tuple[Metrics, ...]
    gaps: tuple[Gap, ...] = ()
    mark: tuple[Marked, ...] = ()

    def __iter__(self) -> Iterator[Metrics]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, name: str) -> Metrics:
        for one in self.found:
            if name in (one.name, one.name.split(" of ")[0]):
                return one
        gap = next((g for g in self.gaps if name in (g.what, g.what.split(" of ")[0])), None)
        known = ", ".join(m.name for m in self.found) or "none"
        raise NotFound(
            f"no such signal here{f' ({gap.why})' if gap else ''}",
            on=repr(name),
            next=f"there are: {known}",
        )

    def onsets(self) -> tuple[Onset, ...]:
        """When each signal left its usual range, the earliest first; only those that did."""
        found = [m.onset() for m in self.found]
        return tuple(sorted((o for o in found if o.time), key=lambda o: (o.time, o.series)))

    def plot(
        self, mark: Marked | Iterable[Marked] = (), title: str | None = None
    ) -> Panels | NothingToPlot:
        """One panel for each signal on a shared time scale, marked with deploys and acts.

        Of more than twelve signals the twelve that moved most are drawn; `.found` has them all.
        `mark` comes on top of what `inc.signals(mark=...)` was given.
        """
        from irkit.figures.line import Panels

        drawn = [m for m in self.found if not m.frame.empty]
        if not drawn:
            return NothingToPlot(gaps=self.gaps)
        if len(drawn) > MOST_PANELS:
            size = {m.name: abs(m.onset().sigmas) for m in drawn}
            most = set(sorted(size, key=lambda name: -size[name])[:MOST_PANELS])
            drawn = [m for m in drawn if m.name in most]
        marks = (*self.mark, *((mark,) if isinstance(mark, Marked) else mark))
        return Panels(
            title=self._sentence() if title is None else title,
            query="; ".join(m.query for m in drawn) if len(drawn) <= MOST_QUERIES else "",
            source=", ".join(dict.fromkeys(m.source for m in drawn)),
            evidence=", ".join(dict.fromkeys(m.evidence for m in drawn)),
            panels=tuple(m.plot(mark=marks, title="" if len(drawn) == 1 else None) for m in drawn),
        )

    def _sentence(self) -> str:
        if len(self.found) == 1 and not self.gaps:
            return self.found[0]._sentence()
        moved = self.onsets()
        gaps = f"; {_count(len(self.gaps), 'gap')}" if self.gaps else ""
        if not self.found:
            return f"no signal could be looked at{gaps}"
        if not moved:
            return f"{_count(len(self.found), 'signal')}, all within their usual range{gaps}"
        of = _count(len(self.found), "signal")
        return f"{len(moved)} of {of} moved; first: {moved[0]!r}{gaps}"

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(self._sentence())
        for gap in self.gaps:
            yield display.gap_box(gap)
        plotted = self.plot(title="")
        if not isinstance(plotted, NothingToPlot):
            yield display.image(plotted, alt=self._sentence())
            if len(self.found) > len(plotted.panels):
                left = _count(len(self.found) - len(plotted.panels), "signal")
                yield display.meta(f"{left} that moved less or have no values are not drawn")
        for one in self.found[:MOST_PANELS]:
            yield display.meta(one.source, " · ", display.code(one.query), f" · {one.evidence}")
            for warning in one.warnings:
                yield display.line(display.word("Warning: ", "sev2"), warning)

    def _figure(self) -> Figure | None:
        plotted = self.plot()
        return None if isinstance(plotted, NothingToPlot) or self.gaps else plotted


@dataclass(frozen=True, repr=False, kw_only=True)
class NothingToPlot(display.Shown):
    """Stands where a figure would be: there are no values; the gaps say why."""

    gaps: tuple[Gap, ...] = ()

    def _sentence(self) -> str:
        return "nothing to plot: " + ("; ".join(g.why for g in self.gaps) or "no values")

    def _parts(self) -> Iterable[Markup]:
        yield display.heading("Nothing to plot")
        for gap in self.gaps:
            yield display.gap_box(gap)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
