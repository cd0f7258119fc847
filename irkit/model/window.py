"""Windows of time, and the durations people type."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from irkit.errors import BadQuery
from irkit.model.base import Value, utc

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdw])")


def parse_duration(text: str) -> timedelta:
    """Read a duration as Prometheus writes it: `90m`, `1h30m`, `15s`, `250ms`.

    Raises:
        BadQuery: the text is no duration.

    Example:
        >>> parse_duration("1h30m")
        datetime.timedelta(seconds=5400)
    """
    text = text.strip()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadQuery("not a duration", on=repr(text), next="write it like 90m, 1h30m or 15s")
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        raise BadQuery("too long a time", on=repr(text[:40]), next="write it like 90m") from None


def format_duration(span: timedelta) -> str:
    """A duration as a person reads it, two units at the most: `3m12s`, `1h30m`, `850ms`.

    Example:
        >>> format_duration(timedelta(seconds=192))
        '3m12s'
    """
    seconds = span.total_seconds()
    if seconds < 0:
        return "-" + format_duration(-span)
    if seconds < 1:
        return f"{round(seconds * 1000)}ms" if seconds else "0s"
    left, parts = round(seconds), []
    for unit in ("d", "h", "m", "s"):
        size = int(_UNITS[unit])
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return "".join(parts) or "0s"


def parse_time(text: str, *, now: datetime) -> datetime:
    """Read a moment: RFC 3339 (`2026-03-01T14:02:00Z`) or an age before `now` (`90m`).

    Raises:
        BadQuery: the text is neither, or has no zone.
    """
    text = text.strip()
    if _PART.match(text) and not re.match(r"\d{4}-", text):
        try:
            return now - parse_duration(text)
        except OverflowError:
            raise BadQuery("too long ago", on=repr(text), next="write it like 90m") from None
    try:
        return utc(parse_rfc3339(text))
    except ValueError:
        raise BadQuery(
            "not a time", on=repr(text), next="write 2026-03-01T14:02:00Z, or an age such as 90m"
        ) from None


def parse_rfc3339(text: str) -> datetime:
    """Read an RFC 3339 time; up to nine fractional digits are cut to microseconds.

    Raises:
        ValueError: not such a time, or one without a zone.
    """
    moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    if moment.tzinfo is None:
        raise ValueError(f"no zone in {text!r}")
    return moment.astimezone(UTC)


class Window(Value, frozen=True, kw_only=True):
    """A range of time in UTC, from `start` up to `end`.

    Example:
        >>> Window.before(datetime(2026, 3, 1, 14, tzinfo=UTC), "90m").length
        datetime.timedelta(seconds=5400)
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if utc(self.end) < utc(self.start):
            raise BadQuery(
                "a window ends before it starts",
                on=f"{self.start.isoformat()} .. {self.end.isoformat()}",
                next="swap the two times",
            )

    @classmethod
    def before(cls, end: datetime, length: str | timedelta) -> Window:
        """The window of that length that ends at `end`."""
        span = parse_duration(length) if isinstance(length, str) else length
        return cls(start=end - span, end=end)

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment <= self.end

    def __str__(self) -> str:
        day = "" if self.start.date() == self.end.date() else f"{self.end:%Y-%m-%d} "
        return f"{self.start:%Y-%m-%d %H:%M:%S}Z - {day}{self.end:%H:%M:%S}Z"
