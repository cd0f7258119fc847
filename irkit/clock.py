"""The one place that knows what time it is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time; injected wherever time matters."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC, to the microsecond."""
        return datetime.now(UTC)


class SetClock:
    """A clock that stands still until it is moved; for tests and replays.

    It never goes backwards: moving it to an earlier moment leaves it where it is.

    Example:
        >>> clock = SetClock(datetime(2026, 3, 1, 14, 0, tzinfo=UTC))
        >>> clock.advance(timedelta(minutes=2))
        >>> clock.now().isoformat()
        '2026-03-01T14:02:00+00:00'
    """

    def __init__(self, start: datetime) -> None:
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The moment it was last moved to."""
        with self._lock:
            return self._now

    def move_to(self, moment: datetime) -> None:
        """Move forward to `moment` (an earlier one changes nothing)."""
        with self._lock:
            self._now = max(self._now, moment)

    def advance(self, by: timedelta) -> None:
        """Move forward by `by`."""
        self.move_to(self.now() + by)
