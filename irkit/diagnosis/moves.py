"""How far every series moved: robust, floored, and with the moment it began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from irkit.diagnosis.kinds import named_as_counter

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_NONSENSE = 1e100
_LATE_SECONDS = 900.0  # how late an alert may be
_NORMAL_STD = 1.349  # the interquartile range of a normal distribution in standard deviations
_WIDE_STD = 3.92  # the same for its 2.5 % to 97.5 % range
_LEVEL_FLOOR = 0.05  # a change of less than 5 % of the level is never many sigmas
_TOP_FLOOR = 0.01
_ENOUGH = 600  # rows tell a spread
_PEER_FLOOR = 0.7  # of the median spread of the same metric on all services


@dataclass(frozen=True, kw_only=True, eq=False)
class Moves:
    """One entry per series: what it was before, how far it moved, when.

    `sigmas` is signed and measured on a running mean; `before`, `spread` and `after` are in the
    series' own unit; `onset` is a row of `times`; `first` is the row from which the incident is
    looked at, at or before the given start.  Rows of `scores` are moments, columns are series.
    """

    times: np.ndarray
    values: np.ndarray
    scores: np.ndarray
    sigmas: np.ndarray
    before: np.ndarray
    after: np.ndarray
    spread: np.ndarray
    onset: np.ndarray
    first: int
    start: int
    gone: np.ndarray
    step_seconds: float


def measure(
    metrics: pd.DataFrame, start: pd.Timestamp, names: list[str], bad_sides: Sequence[int] = ()
) -> Moves:
    """Measure every column of `metrics` (index: times, UTC) around `start`.

    `names` are the metrics' names, one per column; of a column with a bad side (1 up, -1 down)
    only movement toward that side counts.  The spread is the larger of the interquartile
    and the 95 % range of the time before, each in standard deviations, and at least 5 % of the
    level, so that a flat series does not move by infinitely many sigmas.  When many series move
    already before `start`, the alert was late, and the incident is looked at from there.

    Source: the two-window robust score is that of Pham et al., "BARO" (FSE 2024).
    """
    import numpy as np
    import pandas as pd

    times = pd.DatetimeIndex(metrics.index).as_unit("ns").asi8
    if not len(times) or not names:
        return _nothing(times)
    values = _rates(metrics.to_numpy(dtype=float, na_value=np.nan), names)
    step = float(np.median(np.diff(times)) / 1e9) if len(times) > 1 else 1.0
    at = int(np.searchsorted(times, start.as_unit("ns").value))
    at = min(at, len(times) - 1)
    late = int(min(np.ceil(_LATE_SECONDS / max(step, 1e-9)), at // 3))
    sides = np.array(bad_sides or [0] * len(names))
    width = int(np.clip(round((len(times) - at) / 8), 3, 60))
    smooth = _running_mean(_without_spikes(values), max(width - 2, 1))

    before, spread = _level_and_spread(values, smooth, max(at - late, min(at, 3)), width, names)
    scores = _scores(smooth, before, spread, sides)
    now = _scores(values[at], before, spread, sides)
    first = _first_row(scores, now, at, late, width)
    if first > at - late:  # the alert is in time: all that came before is normal
        before, spread = _level_and_spread(values, smooth, max(first, min(at, 3)), width, names)
        scores = _scores(smooth, before, spread, sides)

    inside = scores[first:]
    peak = np.abs(inside).argmax(axis=0)
    columns = np.arange(values.shape[1])
    sigmas = inside[peak, columns]
    half = np.abs(inside) >= np.maximum(np.abs(sigmas) / 2, 1e-12)
    seen_before = np.isfinite(values[:first]).mean(axis=0) if first else np.zeros(len(columns))
    seen_after = np.isfinite(values[at:]).mean(axis=0)
    return Moves(
        times=times,
        values=values,
        scores=scores,
        sigmas=sigmas,
        before=before,
        after=before + sigmas * spread,
        spread=spread,
        onset=first + half.argmax(axis=0),
        first=first,
        start=at,
        gone=(seen_before > 0.95) & (seen_after < 0.1),
        step_seconds=step,
    )


def _scores(
    values: np.ndarray, before: np.ndarray, spread: np.ndarray, sides: np.ndarray
) -> np.ndarray:
    """How many spreads each value is off, 0 where that is off toward the good side."""
    import numpy as np

    with np.errstate(invalid="ignore"):
        scores = np.nan_to_num((values - before) / spread)
    return np.where(sides * scores < 0, 0.0, scores)


def _nothing(times: np.ndarray) -> Moves:
    import numpy as np

    none, rows = np.zeros(0), np.zeros((len(times), 0))
    return Moves(
        times=times, values=rows, scores=rows, sigmas=none, before=none, after=none, spread=none,
        onset=np.zeros(0, int), first=0, start=0, gone=np.zeros(0, bool), step_seconds=1.0,
    )  # fmt: skip


def _rates(values: np.ndarray, names: list[str]) -> np.ndarray:
    """Counters become their increase per row (a reset counts from zero); nonsense is a gap."""
    import numpy as np

    values = values.copy()
    values[~(np.abs(values) < _NONSENSE)] = np.nan  # infinities, and what squares would overflow
    for column, name in enumerate(names):
        if not named_as_counter(name):
            continue
        series = values[:, column]
        known = np.flatnonzero(np.isfinite(series))
        if len(known) < 3:
            continue
        rise = np.diff(series[known])
        if (rise >= 0).mean() < 0.9:
            continue  # named like a counter, but it is not one
        series[known[1:]] = np.where(rise >= 0, rise, series[known[1:]])
        series[known[0]] = np.nan
    return values


def _without_spikes(values: np.ndarray) -> np.ndarray:
    """The median of each row and the two before it: what lasts one row only is no movement."""
    import numpy as np

    if len(values) < 3:
        return values
    a, b, c = values[:-2], values[1:-1], values[2:]
    middle = np.fmax(np.fmin(a, b), np.fmin(np.fmax(a, b), c))
    missing = ~(np.isfinite(a) & np.isfinite(b) & np.isfinite(c))
    if missing.any():  # of two the mean, of one itself
        known = np.stack([np.isfinite(a), np.isfinite(b), np.isfinite(c)]).sum(axis=0)
        total = np.nan_to_num(a) + np.nan_to_num(b) + np.nan_to_num(c)
        middle = np.where(missing, total / np.where(known > 0, known, np.nan), middle)
    return np.vstack([values[:1], values[1:2], middle])


def _running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of each row and the `width - 1` rows before it, over what is known."""
    import numpy as np

    known = np.isfinite(values)
    total = np.cumsum(np.where(known, values, 0.0), axis=0)
    count = np.cumsum(known, axis=0).astype(float)
    total[width:] -= total[:-width].copy()
    count[width:] -= count[:-width].copy()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)


def _level_and_spread(
    values: np.ndarray, smooth: np.ndarray, upto: int, width: int, names: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Median and floored spread of each series' running mean over the first `upto` rows."""
    import numpy as np

    base = smooth[min(width - 1, max(upto - 3, 0)) : max(upto, 1)]
    empty = ~np.isfinite(base).any(axis=0)
    base = np.where(empty, 0.0, base)
    base = base[:: max(len(base) // _ENOUGH, 1)]
    low, quarter, level, upper, high = _quantiles(base, (0.025, 0.25, 0.5, 0.75, 0.975))
    top = np.where(np.isfinite(values), np.abs(values), 0.0).max(axis=0)
    floor = np.maximum(_LEVEL_FLOOR * np.abs(level), _TOP_FLOOR * top)
    spread = np.maximum((upper - quarter) / _NORMAL_STD, (high - low) / _WIDE_STD)
    spread = np.maximum(spread, _PEER_FLOOR * _peers(spread, names))
    spread = np.maximum(np.maximum(spread, floor), 1e-12)
    return np.where(empty, np.nan, level), spread


def _quantiles(base: np.ndarray, at: tuple[float, ...]) -> list[np.ndarray]:
    """Quantiles of each column over what is known (np.nanquantile goes column by column)."""
    import numpy as np

    ordered = np.sort(base.T, axis=1)  # unknown values go last
    last = np.maximum(np.isfinite(ordered).sum(axis=1) - 1, 0)
    columns = np.arange(len(ordered))
    found = []
    for share in at:
        place = share * last
        low, high = np.floor(place).astype(int), np.ceil(place).astype(int)
        below, above = ordered[columns, low], ordered[columns, high]
        found.append(below + (above - below) * (place - low))
    return found


def _peers(spread: np.ndarray, names: list[str]) -> np.ndarray:
    """The median spread of all series of the same metric, 0 where there are fewer than five.

    An idle service's disk that wakes from nothing to a tenth of what every other disk does has not
    moved by a hundred sigmas.
    """
    import numpy as np

    shared: dict[str, list[int]] = {}
    for column, name in enumerate(names):
        shared.setdefault(name, []).append(column)
    peers = np.zeros(len(spread))
    for columns in shared.values():
        if len(columns) >= 5:
            peers[columns] = np.median(spread[columns])
    return peers


def _first_row(scores: np.ndarray, now: np.ndarray, at: int, late: int, width: int) -> int:
    """The row from which the incident is looked at: `at`, or earlier if the alert came late.

    The height of the few largest scores is followed backwards from `at`, as long as it stands out
    from what it was before.  What is over at `at` (`now` are that row's scores) is another matter:
    an alert fires while something is wrong.
    """
    import numpy as np

    if late < 1 or at - late < 8:
        return at
    largest = max(3, scores.shape[1] // 100)
    size = np.log1p(np.abs(scores[: at + 1]))
    profile = np.sort(size, axis=1)[:, -largest:].mean(axis=1)
    normal = profile[width : at - late]
    if len(normal) < 8:
        return at
    level = np.median(normal)
    limit = max(np.quantile(normal, 0.98), level + 3 * np.median(np.abs(normal - level)))
    first = at
    while first > at - late and profile[first - 1] > 1.15 * limit:
        first -= 1
    peak = first + int(profile[first : at + 1].argmax())
    movers = np.argsort(-size[peak], kind="stable")[:largest]
    still = np.log1p(np.abs(now[movers])).mean()
    return first if still > 0.6 * size[peak, movers].mean() else at
