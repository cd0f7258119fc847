"""When a series began to move."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from irkit.model.base import Value

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_CLEAR = 4.0  # spreads by which two of three values must leave the level
_BEGUN = 2.0  # spreads at which a movement that becomes clear has begun
_LEAST = 8


class Onset(Value, frozen=True, kw_only=True):
    """When a series began to move, and how far.

    `time` is the first moment at which it was off (UTC); it began between `earliest`, the last
    normal moment, and `latest`, the first at which there is no doubt.  `before` and `after` are
    levels in the series' own unit, `sigmas` (signed) their distance in robust standard deviations.
    """

    time: datetime
    earliest: datetime
    latest: datetime
    sigmas: float
    before: float
    after: float


def onset(series: pd.Series) -> Onset | None:
    """When `series` (index: time, UTC) began to move, or None if it did not.

    The level and the spread come from the series' quiet first part, which is lengthened up to the
    movement found.  The spread has a floor (5 % of the level), so a flat line does not move by
    infinitely many sigmas, and one odd value is no movement: two of three must be clear.

    Example:
        >>> onset(errors)  # doctest: +SKIP
        Onset(time=datetime(2026, 3, 1, 14, 2, tzinfo=UTC), ..., sigmas=8.1, before=0.01, after=0.3)
    """
    import numpy as np

    known = series[np.isfinite(series.to_numpy(dtype=float, na_value=np.nan))]
    values = known.to_numpy(dtype=float)
    if len(values) < _LEAST:
        return None
    quiet = max(len(values) // 3, 5)
    found: tuple[int, int] | None = None
    for _ in range(3):
        level, spread = _level(values[:quiet], values)
        found = _leaves(values, level, spread, quiet)
        if found is None or found[0] <= quiet:
            break
        quiet = found[0]
    if found is None:
        return None
    first, clear = found
    level, spread = _level(values[: max(first, 3)], values)
    after = _after(values[first:], level, spread)
    if abs(after - level) / spread < _CLEAR:
        return None
    moments = known.index
    moments = moments.tz_localize("UTC") if moments.tz is None else moments.tz_convert("UTC")
    return Onset(
        time=moments[first].to_pydatetime(warn=False),
        earliest=moments[max(first - 1, 0)].to_pydatetime(warn=False),
        latest=moments[clear].to_pydatetime(warn=False),
        sigmas=float((after - level) / spread),
        before=float(level),
        after=float(after),
    )


def _level(quiet: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    import numpy as np

    low, quarter, level, upper, high = np.quantile(quiet, (0.025, 0.25, 0.5, 0.75, 0.975))
    floor = max(0.05 * abs(level), 0.01 * float(np.abs(values).max()), 1e-12)
    return float(level), float(max((upper - quarter) / 1.349, (high - low) / 3.92, floor))


def _leaves(values: np.ndarray, level: float, spread: float, quiet: int) -> tuple[int, int] | None:
    """Where the movement began and where it is clear: places in `values`, or None."""
    import numpy as np

    score = (values - level) / spread
    of_three = np.median(np.lib.stride_tricks.sliding_window_view(score, 3), axis=1)
    start = min(quiet, len(of_three) - 1)
    clear = np.flatnonzero(np.abs(of_three[start:]) >= _CLEAR)
    if not len(clear):
        return None
    at = start + int(clear[0])
    sign = np.sign(of_three[at])
    off = sign * score >= _BEGUN
    while not off[at] and at < len(score) - 1:
        at += 1
    first = at
    while first > 1 and off[first - 1]:
        first -= 1
    sure = np.flatnonzero(sign * score[first:] >= _CLEAR)
    return first, first + int(sure[0]) if len(sure) else at


def _after(values: np.ndarray, level: float, spread: float) -> float:
    """The level after the onset, while it lasts: the median of the values that are off."""
    import numpy as np

    off = values[np.abs(values - level) / spread >= _BEGUN]
    return float(np.median(off)) if len(off) else level
