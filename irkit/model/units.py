"""Numbers with their units, as a person reads them."""

from __future__ import annotations

import math


def reading(value: float | None, unit: str = "") -> str:
    """A number as a person reads it, with its unit; never a made-up zero.

    `ratio` reads as per cent, `s` goes down to milliseconds, `bytes` up in steps of 1,024.

    Example:
        >>> reading(0.304, "ratio"), reading(12345, "req/s"), reading(0.0821, "s"), reading(None)
        ('30.4 %', '12.3k req/s', '82.1 ms', 'unknown')
    """
    if value is None or not math.isfinite(value):
        return "unknown"
    if unit == "ratio":
        return f"{_short(value * 100)} %"
    if unit in ("s", "seconds") and value != 0 and abs(value) < 1:
        return f"{_short(value * 1000)} ms"
    if unit == "bytes":
        for name in ("B", "KiB", "MiB", "GiB"):
            if abs(value) < 1024:
                return f"{_short(value)} {name}"
            value /= 1024
        return f"{_short(value)} TiB"
    return f"{_short(value)} {unit}".rstrip()


def _short(value: float) -> str:
    size = abs(value)
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.3g}{letter}"
    if size >= 1000:
        return f"{value:,.0f}"
    if 0 < size < 0.001:
        return f"{value:.1e}"
    return f"{value:.3g}"
