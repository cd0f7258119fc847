"""Log messages as patterns: which are new, gone, more or fewer since the onset.

Numbers, addresses and ids are masked first and each distinct text is then mined once by Drain, so
that a million lines of a few hundred texts cost what a few hundred lines cost.

Source: He et al., "Drain: An Online Log Parsing Approach with Fixed Depth Tree", ICWS 2017.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from irkit import display
from irkit.model.base import Value
from irkit.model.finding import Gap
from irkit.model.window import Window
from irkit.text import clock, one_line

if TYPE_CHECKING:
    import pandas as pd

_LONGEST: Final = 1000
_FEWEST: Final = 3
GRACE: Final = timedelta(seconds=30)
_ERRORS: Final = ("error", "exception", "err")
_MASKS: Final = (
    (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
    (r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b", "<ip>"),
    (r"\b\d{4}-\d\d-\d\d[T ][0-9:.]+(?:Z|[+-]\d\d:?\d\d)?", "<time>"),
    (r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{6,}\b", "<id>"),
    (r"\b0x[0-9a-fA-F]+\b", "<id>"),
    (r"[-+]?(?<![A-Za-z_])\d+(?:[.,]\d+)*", "<n>"),
)


class Pattern(Value, frozen=True, kw_only=True):
    """One kind of message: its template, how often before and after the onset, and an example.

    `change` is `new` (first seen after the onset, or in the 30 s before it, for an onset is not
    known better than that), `gone` (only before), `more` or `fewer` (twice or half the rate of
    before), or `same`, which is also said where the counts are too small to tell; `unknown` where
    there are no lines of long enough before to compare with.
    """

    template: str
    before: int
    after: int
    change: str
    first: datetime | None
    level: str
    example: str


@dataclass(frozen=True, repr=False, eq=False)
class Patterns(display.Shown):
    """The kinds of messages in some logs, the most changed first.

    `split` is the moment that divides before from after, `why` what moment that is.
    """

    rows: tuple[Pattern, ...]
    lines: int
    split: datetime
    why: str
    gaps: tuple[Gap, ...] = ()
    evidence: tuple[str, ...] = ()

    def head(self, n: int = 10) -> Patterns:
        """The first `n` of them."""
        return replace(self, rows=self.rows[:n])

    @property
    def df(self) -> pd.DataFrame:
        """One row for each pattern."""
        import pandas as pd

        names = Pattern.__struct_fields__
        return pd.DataFrame([[getattr(r, n) for n in names] for r in self.rows], columns=names)

    def _sentence(self) -> str:
        if not self.rows:
            gaps = f"; {self.gaps[0].what}: {self.gaps[0].why}" if self.gaps else ""
            return f"no log messages, so no patterns{gaps}"
        fresh = [r for r in self.rows if r.change == "new"]
        gone = sum(r.change == "gone" for r in self.rows)
        head = f"{len(self.rows)} patterns in {self.lines} lines: {len(fresh)} new, {gone} gone"
        when = f" since {clock(self.split)} ({self.why})"
        return f"{head}{when}{f'; new: {fresh[0].template}' if fresh else ''}"

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(one_line(self._sentence(), 200))
        for gap in self.gaps:
            yield display.gap_box(gap)
        if not self.rows:
            return
        sign = {"new": "sev1", "more": "sev2", "gone": "deploy"}
        rows = [
            (
                display.word(r.change, sign.get(r.change, "muted")), r.before, r.after, r.level,
                display.code(one_line(r.template, 200)), one_line(r.example, 160),
            )
            for r in self.rows
        ]  # fmt: skip
        head = ("change", "before", "after", "level", "pattern", "example")
        yield display.table(head, rows, right=(1, 2), what="patterns")
        if self.evidence:
            yield display.meta(", ".join(self.evidence))


def texts_of(frame: pd.DataFrame) -> pd.Series[str]:
    """What each line says: its message, and the error text where that stands in its own field."""
    import numpy as np

    text = frame["message"].fillna("").astype(str)
    for name in _ERRORS:
        if name in frame.columns:
            extra = frame[name].fillna("").astype(str)
            untold = [e != "" and e not in t for e, t in zip(extra, text, strict=True)]
            text = text.mask(np.array(untold, dtype=bool), text + ": " + extra)
    return text.str.slice(0, _LONGEST)


def mine(frame: pd.DataFrame, *, split: datetime, window: Window, why: str) -> Patterns:
    """Find the patterns of `frame` (columns time in UTC, level, message) around `split`.

    Counts before and after are compared as rates over the two parts of `window`, in which no line
    is missing.
    Lines without a time are left out of before and after; they have no place on either side.
    """
    import pandas as pd
    from drain3.drain import Drain

    dated = frame.loc[frame["time"].notna() & frame["message"].notna()].reset_index(drop=True)
    if dated.empty:
        return Patterns(rows=(), lines=0, split=split, why=why)
    messages = texts_of(dated)
    codes, texts = pd.factorize(messages)
    drain = Drain(depth=4, sim_th=0.5, max_children=100, param_str="<*>")
    clusters: dict[str, int] = {}
    of_text = []
    for text in texts:
        masked = mask(str(text))
        if masked not in clusters:
            clusters[masked] = drain.add_log_message(masked)[0].cluster_id
        of_text.append(clusters[masked])
    templates = {c.cluster_id: c.get_template() for c in drain.clusters}
    table = dated[["time", "level"]].assign(
        cluster=[of_text[code] for code in codes], after=dated["time"] >= split, message=messages
    )
    parts = (split - window.start).total_seconds(), (window.end - split).total_seconds()
    fresh = max(split - GRACE, window.start + (split - window.start) / 2)
    share = max(parts[1], 1.0) / max(parts[0], 1.0)
    rows = []
    for cluster, group in table.groupby("cluster", sort=False):
        after = int(group["after"].sum())
        before = len(group) - after
        first = group["time"].min().to_pydatetime()
        newest = group.iloc[int(group["time"].to_numpy().argmax())]
        rows.append(
            Pattern(
                template=templates[int(str(cluster))], before=before, after=after,
                change="unknown" if parts[0] < GRACE.total_seconds()
                else "new" if first >= fresh else _change(before, after, share),
                first=first,
                level="" if newest["level"] is None else str(newest["level"]),
                example=str(newest["message"]),
            )
        )  # fmt: skip
    order = ("new", "more", "gone", "fewer", "unknown", "same")
    rows.sort(
        key=lambda r: (order.index(r.change), _calm(r.level), -max(r.before, r.after), r.template)
    )
    return Patterns(rows=tuple(rows), lines=len(table), split=split, why=why)


def mask(message: str) -> str:
    """The message without what differs from one occurrence to the next.

    Example:
        >>> mask("order 4711 from 10.0.0.7:5000 took 31.5ms")
        'order <n> from <ip> took <n>ms'
    """
    for pattern, sign in _COMPILED:
        message = pattern.sub(sign, message)
    return message


_COMPILED: Final = tuple((re.compile(pattern), sign) for pattern, sign in _MASKS)


def _change(before: int, after: int, share: float) -> str:
    """`share` is the length of the time after, as a multiple of the time before."""
    expected = before * share
    if expected < _FEWEST and after < _FEWEST:
        return "same"  # too few to tell
    if not after:
        return "gone"
    return "more" if after > 2 * expected else "fewer" if after < expected / 2 else "same"


def _calm(level: str) -> int:
    """Errors before the rest."""
    return 0 if level in ("fatal", "error") else 1 if level == "warn" else 2
