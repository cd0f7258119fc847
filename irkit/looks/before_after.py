"""A signal before and after an act: the same query, the same scale, the same length of window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from markupsafe import Markup

from irkit import display
from irkit.errors import IrkitError
from irkit.model.base import Value
from irkit.model.finding import Gap
from irkit.model.units import reading
from irkit.model.window import Window

if TYPE_CHECKING:
    from irkit.actions.shown import Acts
    from irkit.incident import Incident
    from irkit.metrics.metrics import Metrics


class Part(Value, frozen=True, kw_only=True):
    """One side of the comparison: its window, and of all its values median, p95 and how many."""

    window: Window
    median: float | None
    p95: float | None
    n: int


@dataclass(frozen=True, repr=False, kw_only=True)
class BeforeAfter(display.Shown):
    """A signal before and after an act, or why there is nothing to compare."""

    title: str = ""
    why_not: str = ""
    metrics: Metrics | None = None
    before: Part | None = None
    after: Part | None = None
    acts: Acts | None = None
    gap: Gap | None = None

    def __bool__(self) -> bool:
        return self.before is not None and self.after is not None

    def _sentence(self) -> str:
        if self.metrics is None or self.before is None or self.after is None:
            return f"no before and after: {self.why_not}"
        was, now = (reading(p.median, self.metrics.unit) for p in (self.before, self.after))
        return f"{self.metrics.name}: median {was} before, {now} after {self.title}"

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(self._sentence())
        if self.gap:
            yield display.gap_box(self.gap)
        if self.metrics is None or self.before is None or self.after is None:
            return
        if not self.metrics.frame.empty:
            figure = self.metrics.plot(mark=self.acts or (), title="")
            yield display.image(figure, alt=self._sentence())
        unit = self.metrics.unit
        rows = [
            (name, str(p.window), reading(p.median, unit), reading(p.p95, unit), p.n)
            for name, p in (("before", self.before), ("after", self.after))
        ]
        head = ("", "window", "median", "95th percentile", "n")
        yield display.table(head, rows, right=(2, 3, 4), what="windows of the same length")
        yield display.meta(
            self.metrics.source, " · ", display.code(self.metrics.query),
            f" · {self.metrics.evidence}",
        )  # fmt: skip


def compare(inc: Incident, name: str, service: str | None) -> BeforeAfter:
    """Compare a signal before and after the incident's last applied act."""
    state = inc.state
    done = [p for p in state.plans if p.applied_at] if state else []
    if state is None or not done:
        return BeforeAfter(why_not="no act has been applied in this incident")
    last = done[-1]
    check = last.plan.check
    signal = name or state.signal or (check.signal if check else "")
    about = service or (check.service if check and not name else inc.service)
    if not signal:
        return BeforeAfter(why_not="it is not known which signal fired; name one")
    applied = last.applied_at
    assert applied is not None
    length = inc.now - applied
    if length < timedelta(seconds=1):
        return BeforeAfter(why_not="the act has only just been applied")
    try:
        metrics = inc.signal(signal, service=about)
    except IrkitError as why:
        gap = Gap(what=f"{signal} of {about}", why=str(why), cannot_say="whether it recovered")
        return BeforeAfter(why_not="the signal could not be looked at", gap=gap)
    onset = state.onset or state.first_alert_at or applied - length
    before = Window(start=max(onset, applied - length, inc.window.start), end=applied)
    return BeforeAfter(
        title=last.plan.title, metrics=metrics, acts=inc.acts,
        before=_part(metrics, before.start, before.end),
        after=_part(metrics, max(applied, inc.now - before.length), inc.now),
    )  # fmt: skip


def _part(metrics: Metrics, start: datetime, end: datetime) -> Part:
    import numpy as np

    values = metrics.frame.loc[start:end].to_numpy(dtype=float)
    values = values[~np.isnan(values)]
    window = Window(start=start, end=max(start, end))
    if not len(values):
        return Part(window=window, median=None, p95=None, n=0)
    median, p95 = (float(np.quantile(values, q)) for q in (0.5, 0.95))
    return Part(window=window, median=median, p95=p95, n=len(values))
