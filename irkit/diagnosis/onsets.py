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
_CALM = 5  # samples for which a signal must be well again before it can break anew


class Onset(Value, frozen=True, kw_only=True):
    """When a series began to move, and how far.

    `time` is the first moment at which it was off (UTC); it began between `earliest`, the last
    normal moment, and `latest`, the first at which there is no doubt.  `before` and `after` are
    levels in the series' own unit, `sigmas` (signed) their distance in robust standard deviations.
    `calm_since` is when the series was well again after trouble of earlier, None without any.
    """

    time: datetime
    earliest: datetime
    latest: datetime
    sigmas: float
    before: float
    after: float
    calm_since: datetime | None = None


def onset(
    series: pd.Series,
    *,
    limit: float | None = None,
    above: bool = True,
    alerted: datetime | None = None,
) -> Onset | None:
    """When `series` (index: time, UTC) began to move, or None if it did not.

    With a `limit`, values beyond it are bad (above it, or below it where `above` is false), and
    only a movement toward that side counts: a recovery is no onset.  Of several times of trouble
    it is the one at `alerted` (by default the last), and the usual is that since the one before.

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
    moments = known.index
    moments = moments.tz_localize("UTC") if moments.tz is None else moments.tz_convert("UTC")
    moments = moments.as_unit("ns")  # an alert may have a finer time than the samples
    bad = 0 if limit is None else 1 if above else -1
    calm = 0
    troubles = [] if limit is None else _troubles(bad * (values - limit))
    if troubles:
        at = len(values) if alerted is None else int(moments.searchsorted(alerted))
        chosen = min(troubles, key=lambda one: (max(one[0] - at, at - one[1], 0), -one[0]))
        before = [one[1] for one in troubles if one[1] <= chosen[0]]
        calm = max(before, default=0)
        moments, values = moments[calm : chosen[1]], values[calm : chosen[1]]
        found = _breaks(values, chosen[0] - calm, bad)
    else:
        found = _departs(values, bad)
    if found is None:
        return None
    first, clear = found
    level, spread = _level(values[: max(first, 3)], values)
    after = _after(values[first:], level, spread)
    if abs(after - level) / spread < _CLEAR:
        return None
    return Onset(
        time=moments[first].to_pydatetime(warn=False),
        earliest=moments[max(first - 1, 0)].to_pydatetime(warn=False),
        latest=moments[clear].to_pydatetime(warn=False),
        sigmas=float((after - level) / spread),
        before=float(level),
        after=float(after),
        calm_since=moments[0].to_pydatetime(warn=False) if calm else None,
    )


def _troubles(past: np.ndarray) -> list[tuple[int, int]]:
    """The stretches in which a series was past its limit, as places (first, end), oldest first.

    `past` is the distance beyond the limit.  Two of three values must be past it, and trouble ends
    only when the series is well again for a while: at least halfway back to its usual distance.
    """
    import numpy as np

    near = np.pad(past, 1, mode="edge")
    of_three = np.median(np.lib.stride_tricks.sliding_window_view(near, 3), axis=1)
    good = past[past <= 0]
    well = of_three <= (np.median(good) / 2 if len(good) else 0.0)
    found: list[tuple[int, int]] = []
    first, calm = None, 0
    for place, (beyond, is_well) in enumerate(zip(of_three > 0, well, strict=True)):
        if beyond and first is None:
            first = place
        calm = calm + 1 if is_well else 0
        if first is not None and calm == _CALM:
            found.append((first, place - _CALM + 1))
            first = None
    return [*found, (first, len(past))] if first is not None else found


def _breaks(values: np.ndarray, broke: int, bad: int) -> tuple[int, int] | None:
    """Where the movement began that is past the limit at `broke`."""
    import numpy as np

    if broke < 3:  # it was bad from the start: it may have got worse
        return _departs(values, bad)
    level, spread = _level(values[:broke], values)
    score = bad * (values - level) / spread
    first = broke
    while first > 1 and score[first - 1] >= _BEGUN:
        first -= 1
    sure = np.flatnonzero(score[first:] >= _CLEAR)
    return (first, first + int(sure[0])) if len(sure) else None


def _departs(values: np.ndarray, bad: int) -> tuple[int, int] | None:
    """Where the series leaves the level of its first part (on the side `bad`, if that is not 0)."""
    quiet = max(len(values) // 3, 5)
    found: tuple[int, int] | None = None
    for _ in range(3):
        level, spread = _level(values[:quiet], values)
        found = _leaves(values, level, spread, quiet, bad)
        if found is None or found[0] <= quiet:
            break
        quiet = found[0]
    return found


def _level(quiet: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    import numpy as np

    low, quarter, level, upper, high = np.quantile(quiet, (0.025, 0.25, 0.5, 0.75, 0.975))
    floor = max(0.05 * abs(level), 0.01 * float(np.abs(values).max()), 1e-12)
    return float(level), float(max((upper - quarter) / 1.349, (high - low) / 3.92, floor))


def _leaves(
    values: np.ndarray, level: float, spread: float, quiet: int, bad: int
) -> tuple[int, int] | None:
    """Where the movement began and where it is clear: places in `values`, or None."""
    import numpy as np

    score = (values - level) / spread
    of_three = np.median(np.lib.stride_tricks.sliding_window_view(score, 3), axis=1)
    start = min(quiet, len(of_three) - 1)
    size = bad * of_three if bad else np.abs(of_three)
    clear = np.flatnonzero(size[start:] >= _CLEAR)
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
