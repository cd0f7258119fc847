"""What a metrics query answered: a sentence, a figure, a frame, and when it left the usual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from markupsafe import Markup

from irkit import display
from irkit.errors import LookFailed, NotFound
from irkit.model.base import Value
from irkit.model.units import reading
from irkit.model.window import Window, parse_time
from irkit.text import clock, one_line

if TYPE_CHECKING:
    import pandas as pd

    from irkit.figures.base import Figure, Mark
    from irkit.figures.line import LineFigure

MOST_SEARCHED = 50
MOST_POINTS = 800


@runtime_checkable
class Marked(Protocol):
    """Anything with moments to mark in a figure: deploys, acts."""

    def marks(self) -> tuple[Mark, ...]:
        """The moments, each with its sign and label."""
        ...


class Onset(Value, frozen=True, kw_only=True):
    """When a series left its usual range, or that it did not; false where it did not.

    `time` lies between `earliest` and `latest` (UTC), and after `calm_since`, when the series was
    well again after trouble of earlier (None without any); `before` and `after` are typical values,
    in the series' own unit; `sigmas` is the size of the change in robust standard deviations.
    """

    series: str
    time: datetime | None = None
    earliest: datetime | None = None
    latest: datetime | None = None
    sigmas: float = 0.0
    before: float | None = None
    after: float | None = None
    unit: str = ""
    calm_since: datetime | None = None

    def __bool__(self) -> bool:
        return self.time is not None

    def __repr__(self) -> str:
        if self.time is None:
            return f"no onset: {one_line(self.series, 120)} stayed within its usual range"
        way = "rose" if (self.after or 0) >= (self.before or 0) else "fell"
        was, now = reading(self.before, self.unit), reading(self.after, self.unit)
        size = f"{self.sigmas:+.1f} sigma" if abs(self.sigmas) < 1000 else "over 1,000 sigma"
        return (
            f"{one_line(self.series, 120)} {way} from {was} to {now} at {clock(self.time)} ({size})"
        )

    def _repr_html_(self) -> str:
        return display.plate(display.line(repr(self)))


@dataclass(frozen=True, repr=False, eq=False, kw_only=True)
class Metrics(display.Shown):
    """What a metrics query answered, one column for each series.

    `df` is indexed by `time` (UTC); values are in `unit`.  `query`, `source` and `evidence` (the
    recorded look) say where they come from; `warnings` are the source's own.  The text and the
    figure lead with the finding: whether, when and how far the series left its usual range.  Where
    the signal has a `limit`, that means toward its bad side, and of several times the one at
    `alerted` (the first alert), or the last.

    Example:
        errors = inc.signal("error_rate")
        errors.onset()    # error_rate of checkout rose from 0.4 % to 31 % at 14:02:10Z (+8.1 sigma)
    """

    name: str
    frame: pd.DataFrame
    labels: tuple[dict[str, str], ...]
    query: str
    source: str
    evidence: str
    window: Window
    unit: str = ""
    limit: float | None = None
    above: bool = True
    alerted: datetime | None = None
    instant: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def df(self) -> pd.DataFrame:
        """A copy of the values: index `time` in UTC, one column for each series."""
        return self.frame.copy()

    def at(self, moment: datetime | str) -> Any:
        """The newest value at or before a moment: a number, or a pandas Series for several series.

        Raises:
            LookFailed: there is no value that early.
        """
        when = parse_time(moment, now=self.window.end) if isinstance(moment, str) else moment
        rows = self.frame.loc[:when].ffill()
        return self._last(rows, f"at or before {when:%Y-%m-%d %H:%M:%S}Z")

    def latest(self) -> Any:
        """The newest value: a number, or a pandas Series for several series.

        Raises:
            LookFailed: there are no values.
        """
        return self._last(self.frame.ffill(), f"in {self.window}")

    def onset(self, series: str = "") -> Onset:
        """When a series left its usual range; of several, the one that moved most.

        Raises:
            NotFound: there is no series of that name.
        """
        if not series:
            return self._strongest
        if series not in self.frame.columns:
            known = ", ".join(map(str, list(self.frame.columns)[:8])) or "none"
            raise NotFound("no such series", on=repr(series), next=f"there are: {known}")
        return self._onset_of(series)

    def plot(self, mark: Marked | Iterable[Marked] = (), title: str | None = None) -> LineFigure:
        """The figure; `mark` draws deploys and acts into it (`mark=inc.deploys()`)."""
        from irkit.figures.base import Normal, Span
        from irkit.figures.line import Line, LineFigure

        marked = (mark,) if isinstance(mark, Marked) else tuple(mark)
        start, end = _ms(self.window.start), _ms(self.window.end)
        moments = [m for one in marked for m in one.marks() if start <= m.at <= end]
        onset = self._strongest
        band = normal = None
        if onset.time and onset.earliest and onset.latest:
            band = Span(start=_ms(onset.earliest), end=_ms(onset.latest), label="onset")
            usual = self.frame[self._strongest_name].loc[onset.calm_since : onset.earliest].dropna()
            if len(usual) >= 8:
                low, high = usual.quantile(0.05), usual.quantile(0.95)
                normal = Normal(low=float(low), high=float(high), label="usual before the onset")
        return LineFigure(
            title=self._sentence() if title is None else title,
            query=self.query, source=self.source,
            evidence=self.evidence, unit=self.unit, onset=band, normal=normal,
            lines=tuple(
                Line.of(name, self.frame.index, self.frame[column].tolist(), points=MOST_POINTS)
                for name, column in zip(self._drawn_names, self.frame.columns, strict=True)
            ),
            marks=tuple(sorted(moments, key=lambda m: m.at)), span=(start, end),
        )  # fmt: skip

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """What tells the series apart: the labels that are not the same for all."""
        if len(self.labels) < 2 or len(self.labels) != self.frame.shape[1]:
            return (self.name,) if self.frame.shape[1] == 1 else tuple(map(str, self.frame.columns))
        names = sorted({key for labels in self.labels for key in labels})
        differ = [n for n in names if len({labels.get(n, "") for labels in self.labels}) > 1]
        return tuple(
            ", ".join(f"{n}={labels.get(n, '')}" for n in differ) for labels in self.labels
        )

    @property
    def _drawn_names(self) -> tuple[str, ...]:
        """The names at the lines' ends, where room is short: a signal's without its service."""
        return (self.name.split(" of ")[0],) if self._names == (self.name,) else self._names

    @cached_property
    def _strongest(self) -> Onset:
        if self.instant or self.frame.empty:
            return Onset(series=self.name, unit=self.unit)
        found = [self._onset_of(str(c)) for c in self.frame.columns[:MOST_SEARCHED]]
        return max(found, key=lambda o: (bool(o), abs(o.sigmas)))

    @cached_property
    def _strongest_name(self) -> str:
        """The column of the series that `_strongest` is about."""
        shown = {
            self._shown(n): str(c) for n, c in zip(self._names, self.frame.columns, strict=True)
        }
        return shown[self._strongest.series]

    def _shown(self, name: str) -> str:
        return name if name == self.name else f"{self.name} [{name}]"

    def _onset_of(self, column: str) -> Onset:
        from irkit.diagnosis import onset

        name = self._shown(self._names[list(self.frame.columns).index(column)])
        found = onset(self.frame[column], limit=self.limit, above=self.above, alerted=self.alerted)
        if found is None:
            return Onset(series=name, unit=self.unit)
        return Onset(
            series=name, time=found.time, earliest=found.earliest, latest=found.latest,
            sigmas=found.sigmas, before=found.before, after=found.after, unit=self.unit,
            calm_since=found.calm_since,
        )  # fmt: skip

    def _last(self, rows: pd.DataFrame, when: str) -> Any:
        if rows.empty or rows.iloc[-1].isna().all():
            raise LookFailed(
                f"{self.name} has no value", on=when, next="look at .df, or choose another window"
            )
        last = rows.iloc[-1]
        if len(last) > 1:
            return last
        value = last.iloc[0]
        return value if isinstance(value, str) else float(value)

    def _sentence(self) -> str:
        count = self.frame.shape[1]
        if self.frame.empty or not count:
            return f"{self.name}: no data in {self.window}"
        if self.instant:
            last = self.frame.iloc[-1]
            more = f" and {count - 1} more series" if count > 1 else ""
            value = last.iloc[0]
            text = value if isinstance(value, str) else reading(float(value), self.unit)
            return f"{self._shown(self._names[0])}: {text}{more}"
        if self._strongest:
            now = f"; now {reading(self.latest(), self.unit)}" if count == 1 else ""
            return f"{self._strongest!r}{now}"
        low, high = (reading(float(v), self.unit) for v in self._extremes())
        series = "" if count == 1 else f" ({count} series)"
        where = f"at {low}" if low == high else f"between {low} and {high}"
        if self._past_from_the_start():
            return f"{self.name}{series} was past its limit when the window began, {where} in it"
        return f"{self.name}{series} stayed {where}, as usual"

    def _past_from_the_start(self) -> bool:
        """Whether a series has a limit and its first value is beyond it."""
        if self.limit is None:
            return False
        first = self.frame.bfill().iloc[0]
        return bool(((first > self.limit) if self.above else (first < self.limit)).any())

    def _extremes(self) -> tuple[float, float]:
        return float(self.frame.min().min()), float(self.frame.max().max())

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(self._sentence())
        if not self.instant and not self.frame.empty:
            yield display.image(self.plot(title=""), alt=self._sentence())
        yield display.meta(
            self.source, " · ", display.code(self.query), f" · {self.window} · {self.evidence}"
        )
        for warning in self.warnings:
            yield display.line(display.word("Warning: ", "sev2"), warning)
        if self.frame.shape[1] > 1 or self.instant:
            names = list(map(str, self.frame.columns)) if self.instant else self._names
            rows = [
                (name, "unknown" if value is None else value)
                for name, value in zip(names, self._readings(), strict=True)
            ]
            yield display.table(("series", "latest"), rows, right=(1,), what="series")

    def _readings(self) -> list[str]:
        if self.frame.empty:
            return []
        last = self.frame.ffill().iloc[-1]
        return [v if isinstance(v, str) else reading(float(v), self.unit) for v in last]

    def _figure(self) -> Figure | None:
        # An exporter shows the figure in place of the HTML: only where nothing is lost by that.
        return None if self.instant or self.frame.empty or self.warnings else self.plot()


def _ms(moment: datetime) -> float:
    return round(moment.timestamp() * 1000)
