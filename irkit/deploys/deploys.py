"""What was deployed, when, by whom; and which sources could not be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from irkit import display
from irkit.model.deploy import Deploy
from irkit.model.finding import Gap
from irkit.model.window import Window
from irkit.text import clock, one_line

if TYPE_CHECKING:
    import pandas as pd

    from irkit.figures.base import Mark


@dataclass(frozen=True, repr=False, kw_only=True)
class Deploys(display.Shown):
    """The deploys of some services in a window, oldest first.

    A source that failed is in `gaps`: what it knows is then missing here.  Give the whole to
    `plot(mark=inc.deploys())`.
    """

    deploys: tuple[Deploy, ...]
    services: tuple[str, ...]
    window: Window
    gaps: tuple[Gap, ...] = ()
    evidence: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Deploy]:
        return iter(self.deploys)

    def __len__(self) -> int:
        return len(self.deploys)

    @property
    def df(self) -> pd.DataFrame:
        """One row for each deploy: time (UTC), service, version, previous, by, commit, message."""
        import pandas as pd

        names = Deploy.__struct_fields__
        return pd.DataFrame([[getattr(d, n) for n in names] for d in self.deploys], columns=names)

    def of(self, service: str) -> tuple[Deploy, ...]:
        """The deploys of one service."""
        return tuple(d for d in self.deploys if d.service == service)

    def marks(self) -> tuple[Mark, ...]:
        """Each deploy as a flag for a figure."""
        from irkit.figures.base import Mark

        at = [round(d.time.timestamp() * 1000) for d in self.deploys]
        labels = [f"{d.service} {d.version}" for d in self.deploys]
        return tuple(
            Mark(at=a, kind="deploy", label=text) for a, text in zip(at, labels, strict=True)
        )

    def _sentence(self) -> str:
        missing = f"; {len(self.gaps)} source{'s' * (len(self.gaps) != 1)} could not be asked"
        gaps = missing if self.gaps else ""
        of = ", ".join(self.services) or "no service"
        if not self.deploys:
            return f"no deploys of {of} in {self.window}{gaps}"
        last = self.deploys[-1]
        was = f" (was {last.previous})" if last.previous else ""
        count = len(self.deploys)
        return (
            f"{count} deploy{'s' * (count != 1)} of {of}; last: {last.service} {last.version}{was}"
            f" at {clock(last.time)}{gaps}"
        )

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(one_line(self._sentence()))
        for gap in self.gaps:
            yield display.gap_box(gap)
        rows = [
            (
                f"{d.time:%Y-%m-%d} {clock(d.time)}", d.service, d.version, d.previous or "unknown",
                d.by or "unknown", one_line(d.message, 160),
            )
            for d in reversed(self.deploys)
        ]  # fmt: skip
        if rows:
            head = ("time (UTC)", "service", "version", "previous", "by", "change")
            yield display.table(head, rows, what="deploys, newest first")
        yield display.meta(" · ".join((str(self.window), *self.evidence)))
