"""Values and foreign text as a person reads them: plain, one line, nothing hidden in it."""

from __future__ import annotations

import re
from datetime import datetime

# Control codes and the characters that turn the direction of text: neither belongs in a line.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_SPACES = re.compile(r"\s+")


SEVERITY_SIGNS = {"SEV1": "◆", "SEV2": "◈", "SEV3": "●", "SEV4": "○"}
"""One sign for each severity wherever it is shown; ▲, ◐ and ✓ are signs of a state."""


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
