"""The deploy history: one JSON object per line in `deploys.jsonl`, written by the supervisor only.

Each entry: `time` (RFC 3339, UTC), `service`, `version`, `previous` (null for the first), `by`,
`key`, `reason`, `commit`, `message`, `seconds` (from the request until the version was ready).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from irkit.errors import LookFailed

Entry = dict[str, Any]


def stamp(moment: datetime) -> str:
    """An aware UTC moment as RFC 3339 with milliseconds.

    Example:
        >>> from datetime import UTC
        >>> stamp(datetime(2026, 3, 1, 14, 0, 0, 5000, tzinfo=UTC))
        '2026-03-01T14:00:00.005Z'
    """
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read(path: Path) -> list[Entry]:
    """All entries, oldest first; a file that does not exist yet is an empty history.

    Raises LookFailed when it cannot be read, or a line of it is not an entry.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LookFailed(
            "the deploy history cannot be read", on=path.name, next=str(error.strerror)
        ) from error
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            entries.append({**entry, "service": entry["service"], "version": entry["version"]})
        except (ValueError, TypeError, KeyError) as error:
            raise LookFailed(
                "a line of the deploy history cannot be read",
                on=f"{path.name} line {number}",
                next="repair the line, or start the shop in a new folder",
            ) from error
    return entries


def append(path: Path, entry: Mapping[str, Any]) -> None:
    """Add one entry and make it durable, or leave the file as it was and raise OSError."""
    line = json.dumps(entry).encode() + b"\n"
    with path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            if file.write(line) != len(line):
                raise OSError(f"{path.name} could not be written whole")
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise


def by_key(entries: Iterable[Entry], key: str) -> Entry | None:
    """The entry that was written under `key`, if there is one; "" is no key."""
    return next((entry for entry in entries if key and entry.get("key") == key), None)


def current(entries: Iterable[Entry]) -> dict[str, str]:
    """What runs, as far as the history says: service -> version."""
    return {entry["service"]: entry["version"] for entry in entries}


def previous(entries: Iterable[Entry], service: str) -> str | None:
    """The version to go back to, or None.

    A version that was rolled back is forgotten: going back twice goes back two releases and never
    forward again to the one that was taken out.

    Example:
        >>> went = [{"service": "a", "version": v} for v in ("1", "2", "3", "2")]
        >>> previous(went[:3], "a"), previous(went, "a")
        ('2', '1')
    """
    stack: list[str] = []
    for entry in entries:
        if entry["service"] == service:
            version = entry["version"]
            stack = stack[: stack.index(version)] if version in stack else stack
            stack.append(version)
    return stack[-2] if len(stack) > 1 else None
