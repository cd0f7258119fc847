"""Values and foreign text as a person reads them: plain, one line, nothing hidden in it."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

from irkit.model.window import format_duration

# Control codes and the characters that turn the direction of text: neither belongs in a line.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_SPACES = re.compile(r"\s+")


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text as one line: no control or direction characters, at most `limit` long.

    Example:
        >>> one_line("disk\\n  full\\x1b[31m")
        'disk full [31m'
    """
    line = _SPACES.sub(" ", _UNSEEN.sub(" ", text)).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def clock(moment: datetime) -> str:
    """A moment as a page shows it: `14:02:07Z`."""
    return f"{moment:%H:%M:%S}Z"


def reading(value: float | None, unit: str = "") -> str:
    """A measured value as a person reads it: `31.2 %`, `850ms`, `12.4 requests/s`, `unknown`.

    Example:
        >>> reading(0.312, "ratio"), reading(0.85, "seconds"), reading(None)
        ('31.2 %', '850ms', 'unknown')
    """
    if value is None or math.isnan(value):
        return "unknown"
    if unit == "ratio":
        return f"{value * 100:.3g} %"
    if unit == "seconds" and abs(value) < 1e9:
        small = abs(value) < 10
        return f"{value * 1000:.3g}ms" if small else format_duration(timedelta(seconds=value))
    return f"{value:.4g} {one_line(unit, 30)}".rstrip()
