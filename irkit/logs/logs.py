"""What a log search answered: lines as a frame, how many could not be read, and patterns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from markupsafe import Markup

from irkit import display
from irkit.errors import NotFound
from irkit.logs.patterns import Patterns, mine
from irkit.model.finding import Gap
from irkit.model.window import Window, parse_time
from irkit.text import clock, one_line

if TYPE_CHECKING:
    import pandas as pd

SHOWN_FIELDS = ("time", "level", "service", "message")


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Logs(display.Shown):
    """The lines a log search answered, oldest first.

    `df` has the columns time (UTC), level, service, message, and every other field of the lines.
    `bad` counts lines that are no JSON object: they are kept, in the column `_raw`.  `onset` is
    the moment that `patterns()` divides at.  Of too many lines the newest are kept (`truncated`);
    `whole_from` is the moment from which on none is missing.

    Example:
        inc.logs('level="error"').patterns().head(10)
    """

    name: str
    frame: pd.DataFrame
    bad: int
    truncated: bool
    match: str
    source: str
    evidence: str
    window: Window
    whole_from: datetime
    onset: datetime | None = None
    onset_why: str = ""

    @property
    def df(self) -> pd.DataFrame:
        """A copy of the lines, one row each."""
        return self.frame.copy()

    def __len__(self) -> int:
        return len(self.frame)

    def where(self, **fields: str | int | float | bool) -> Logs:
        """The lines in which every field has the value given: `logs.where(level="error")`.

        Raises:
            NotFound: the lines have no such field.
        """
        frame = self.frame
        for name, value in fields.items():
            if name not in frame.columns:
                known = ", ".join(map(str, frame.columns))
                raise NotFound("no such field in these logs", on=name, next=f"there are: {known}")
            frame = frame.loc[frame[name] == value]
        asked = ", ".join([self.match, *(f"{k}={v!r}" for k, v in fields.items())]).strip(", ")
        return replace(self, frame=frame, match=asked, bad=0)

    def patterns(self, onset: datetime | str | None = None) -> Patterns:
        """The kinds of messages, with counts before and after the onset, the most changed first.

        Without `onset` the incident's own is taken, or the middle of the window where none is
        known; the result says which.
        """
        if isinstance(onset, str):
            onset = parse_time(onset, now=self.window.end)
        if onset:
            return self._mine(onset, "the moment given")
        if self.onset and self.onset in self.window:
            return self._mine(self.onset, self.onset_why)
        middle = self.window.start + timedelta(seconds=self.window.length.total_seconds() / 2)
        return self._mine(middle, "the middle of the window")

    def _mine(self, split: datetime, why: str) -> Patterns:
        end = max(self.window.end, self.whole_from)
        seen = Window(start=self.whole_from, end=end)
        found = mine(self.frame, split=split, window=seen, why=why)
        gap = self.gap()
        return replace(found, evidence=(self.evidence,), gaps=(gap,) if gap else ())

    def gap(self) -> Gap | None:
        """What is missing because there were too many lines; None where nothing is."""
        if self.whole_from <= self.window.start:
            return None
        return Gap(
            what=f"log lines of {self.name} before {clock(self.whole_from)}",
            why="there were more than the limit of the look",
            cannot_say="what was logged before",
        )

    def _sentence(self) -> str:
        if not len(self.frame):
            return f"no log lines of {self.name} in {self.window}"
        parts = [f"{len(self.frame)} log lines of {self.name}"]
        levels = self.frame["level"].dropna().value_counts()
        parts += [f"{int(n)} {level}" for level, n in levels.head(3).items()]
        parts += [f"{self.bad} not readable"] if self.bad else []
        parts += ["cut short at the limit"] if self.truncated else []
        return ", ".join(parts)

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(self._sentence())
        match = display.code(self.match) if self.match else "all lines"
        yield display.meta(self.source, " · ", match, f" · {self.window} · {self.evidence}")
        last = self.frame.tail(display.ROWS)
        rows = [
            (
                "unknown" if time != time or time is None else clock(time),
                *("" if v != v or v is None else one_line(str(v), 200) for v in rest),
            )
            for time, *rest in (tuple(row) for row in last[list(SHOWN_FIELDS)].to_numpy())
        ]
        if "_raw" in self.frame.columns:
            raw = last["_raw"].tolist()
            rows = [
                row if text is None or text != text else (*row[:3], one_line(str(text), 200))
                for row, text in zip(rows, raw, strict=True)
            ]
        if rows:
            yield display.table(
                SHOWN_FIELDS, rows, total=len(self.frame), what="lines, newest last"
            )
