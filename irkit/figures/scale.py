"""Scales: where a value stands on paper, which ticks to show, how a number reads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

_SECOND = 1000.0
_STEPS = [
    s * _SECOND
    for s in (
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        3600,
        7200,
        10800,
        21600,
        43200,
        86400,
        2 * 86400,
        7 * 86400,
        14 * 86400,
        30 * 86400,
        91 * 86400,
        365 * 86400,
    )
]


FARTHEST: Final = 1e15
"""The largest x that is drawn: as milliseconds, some 30,000 years."""
LARGEST: Final = 1e30
"""The largest value that is drawn; what is beyond is taken for unknown."""
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_000


def at(ms: float) -> datetime:
    """The moment of an epoch-milliseconds value, aware, in UTC, within what a calendar holds."""
    return datetime.fromtimestamp(min(max(ms, _FIRST), _LAST) / 1000, UTC)


def ordered(span: tuple[float, float], least: float = 1e-6) -> tuple[float, float]:
    """A range from low to high that can be drawn: within limits, and not empty.

    Example:
        >>> ordered((5.0, 5.0), 2.0), ordered((9.0, 1e300))
        ((4.0, 6.0), (9.0, 1000000000000000.0))
    """
    lo, hi = (min(max(v, -FARTHEST), FARTHEST) for v in sorted(span))
    least = max(least, abs(lo) * 1e-12)
    return (lo, hi) if hi - lo >= least else ((lo + hi - least) / 2, (lo + hi + least) / 2)


def ms(moment: datetime) -> float:
    """Epoch milliseconds of an aware moment."""
    return round(moment.timestamp() * 1000)


def clock(value: float, *, seconds: bool = True) -> str:
    """`14:02:07Z` for an epoch-milliseconds value.

    Example:
        >>> clock(1772373727000)
        '14:02:07Z'
    """
    return at(value).strftime("%H:%M:%SZ" if seconds else "%H:%MZ")


def time_ticks(lo: float, hi: float, most: int) -> list[tuple[float, str]]:
    """At most `most` round moments between two epoch-milliseconds values, with their labels."""
    span = max(hi - lo, 1.0)
    step = next(
        (s for s in _STEPS if span / s <= most), _STEPS[-1] * math.ceil(span / _STEPS[-1] / most)
    )
    form = "%H:%M:%S" if step < 60 * _SECOND else "%H:%M" if step < 86400 * _SECOND else "%d %b"
    first = math.ceil(lo / step) * step
    ticks = []
    for i in range(int((hi - first) / step) + 1 if first <= hi else 0):
        value = first + i * step
        moment = at(value)
        day = form == "%H:%M" and moment.hour == 0 and moment.minute == 0
        ticks.append((value, moment.strftime("%d %b" if day else form)))
    return ticks


def nice_ticks(lo: float, hi: float, most: int = 4) -> list[float]:
    """Round values that span `lo` to `hi`: the first is at or below, the last at or above."""
    if not (math.isfinite(lo) and math.isfinite(hi)):
        return [0.0, 1.0]
    lo, hi = max(lo, -1e300), min(hi, 1e300)
    if hi - lo <= max(abs(lo) * 1e-9, 1e-300):
        pad = max(abs(lo) / 2, 1e-9) if lo else 1.0
        lo, hi = (0.0, lo + pad) if lo >= 0 else (lo - pad, 0.0)
    raw = (hi - lo) / most
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(m * base for m in (1, 2, 2.5, 5, 10) if m * base >= raw * (1 - 1e-9))
    first, last = math.floor(lo / step + 1e-9), math.ceil(hi / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def duration(seconds: float) -> str:
    """A length of time in its two largest units.

    Example:
        >>> duration(192), duration(0.4), duration(7300), duration(200000)
        ('3m 12s', '0.4s', '2h 01m', '2d 07h')
    """
    sign, left = ("-" if seconds < 0 else ""), abs(seconds)
    if left < 10 and left != int(left):
        return f"{sign}{left:.1f}s"
    whole = round(left)
    if whole < 60:
        return f"{sign}{whole}s"
    if whole < 3600:
        return f"{sign}{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{sign}{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{sign}{whole // 86400}d {whole % 86400 // 3600:02d}h"


def as_floats(values: Any) -> Any:
    """A float array of numbers, with NaN for None and for what is no number."""
    import numpy as np

    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return values.astype(float)
    listed = list(values)
    try:
        read = np.array(listed, dtype=float)
    except (TypeError, ValueError, OverflowError):
        read = np.empty(0)
    if read.shape == (len(listed),):
        return read
    return np.array(
        [v if isinstance(v, int | float) and abs(v) < 1e300 else np.nan for v in listed],
        dtype=float,
    )


def decimate(
    x: Sequence[float],
    y: Sequence[float | None],
    lo: float,
    hi: float,
    buckets: int,
    breaks: Sequence[tuple[float, float]] = (),
) -> list[list[tuple[float, float]]]:
    """The points of `stretches` as pairs.

    Example:
        >>> decimate([0, 1, 2, 3], [5, None, 7, 8], 0, 3, 10)
        [[(0.0, 5.0)], [(2.0, 7.0), (3.0, 8.0)]]
    """
    found = stretches(x, y, lo, hi, buckets, breaks)
    return [list(zip(px.tolist(), py.tolist(), strict=True)) for px, py in found]


def stretches(
    x: Any,
    y: Any,
    lo: float,
    hi: float,
    buckets: int,
    breaks: Sequence[tuple[float, float]] = (),
) -> list[tuple[Any, Any]]:
    """The smallest and largest point of each bucket, as arrays of x and y, one for each stretch.

    No peak is lost: within each of `buckets` equal slices of `lo` to `hi` the minimum and the
    maximum are kept, in their order.  A value that is missing, or a break between two points,
    ends a stretch.  Points outside `lo` to `hi` are left out.  `x` must not go backwards; where
    it does (a loop), every point up to a fixed number is kept instead.
    """
    import numpy as np

    xs: Any = np.asarray(x, dtype=float)
    ys: Any = as_floats(y)
    size = min(len(xs), len(ys))
    xs, ys = xs[:size], ys[:size]
    good = (np.abs(xs) <= FARTHEST) & (np.abs(ys) <= LARGEST)
    inside = (xs >= lo) & (xs <= hi)
    stretch = np.cumsum(~good)
    for start, end in breaks:
        stretch = stretch + (xs >= end) + (xs > start)
    keep = np.flatnonzero(good & inside)
    if not len(keep):
        return []
    kx, ky, ks = xs[keep], ys[keep], stretch[keep]
    forward = bool(np.all(np.diff(kx) >= 0))
    if len(kx) > 2 * buckets and forward:
        slot = np.minimum(((kx - lo) / max(hi - lo, 1e-12) * buckets).astype(int), buckets - 1)
        group = ks.astype(np.int64) * (buckets + 1) + slot
        order = np.lexsort((ky, group))
        edges = np.flatnonzero(np.diff(group[order], prepend=group[order][0] - 1))
        ends = np.append(edges[1:], len(order)) - 1
        chosen = np.unique(np.concatenate([order[edges], order[ends]]))
        kx, ky, ks = kx[chosen], ky[chosen], ks[chosen]
    elif len(kx) > 2 * buckets:
        every = math.ceil(len(kx) / (2 * buckets))
        kx, ky, ks = kx[::every], ky[::every], ks[::every]
    cuts = np.flatnonzero(np.diff(ks)) + 1
    return list(zip(np.split(kx, cuts), np.split(ky, cuts), strict=True))
