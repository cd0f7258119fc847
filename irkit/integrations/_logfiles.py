"""Finding the lines of a window in log files, without reading more than is needed."""

from __future__ import annotations

import gzip
import os
import re
import stat
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import Any

import msgspec

from irkit.errors import LookFailed
from irkit.integrations._json import UNREADABLE
from irkit.model.matchers import Matcher
from irkit.model.window import Window

_TIMES = ("time", "timestamp", "@timestamp", "ts", "t", "datetime", "date", "eventTime",
          "event_time", "asctime", "created_at", "Timestamp")  # fmt: skip
_MAX_LINE = 1 << 20
_MAX_BAD = 1000
_LARGE = 16 << 20  # from this size on, the start of the window is looked for by halving
_DISORDER = 120.0  # seconds by which lines of a large file may be out of order
_PLAIN = re.compile(r"[A-Za-z0-9 _.:-]+")  # what JSON has one form of, \\u aside
_MAGNITUDES = ((1e11, 1), (1e14, 1e3), (1e17, 1e6), (1e20, 1e9))


@dataclass(kw_only=True)
class Scan:
    """One search on its way: what is wanted, and how much may still be read.

    `cut` says what is missing: `scan` (too many bytes), `time`, `gzip` (a broken stream), or
    nothing; `over` that nothing more may be read.
    """

    window: Window
    matchers: tuple[Matcher, ...]
    time_field: str
    left: int
    until: float
    cut: str = ""
    over: bool = False

    def __post_init__(self) -> None:
        times = (self.time_field,) if self.time_field else _TIMES
        self._times = len(times)
        names = tuple(dict.fromkeys((*times, *(matcher.name for matcher in self.matchers))))
        self._places = {name: at for at, name in enumerate(names)}
        # Only these fields are read from a line; the others are passed over.
        line = msgspec.defstruct(
            "Line",
            [(f"field{at}", Any, None) for at in range(len(names))],
            rename={f"field{at}": name for name, at in self._places.items()},
        )
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(line)

    def fields(self, line: bytes) -> tuple[Any, ...] | None:
        """The fields of a line that this search looks at; None where it is no JSON object."""
        try:
            return msgspec.structs.astuple(self._decoder.decode(line))
        except UNREADABLE:
            return None

    def time(self, fields: tuple[Any, ...]) -> float | None:
        """A line's time in Unix seconds; None where it has none that can be read."""
        return next(filter(None, map(_unix_seconds, fields[: self._times])), None)

    def wants(self, fields: tuple[Any, ...]) -> bool:
        """Whether a line's fields match."""
        labels = {}
        for matcher in self.matchers:
            value = fields[self._places[matcher.name]]
            if isinstance(value, bool):
                labels[matcher.name] = "true" if value else "false"
            elif isinstance(value, str | int):
                labels[matcher.name] = str(value)
        return all(matcher.matches(labels) for matcher in self.matchers)


class Kept:
    """The newest lines so far, bounded in number and bytes, in the order of time, file and line."""

    def __init__(self, most_lines: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most_lines, most_bytes
        self._lines: list[tuple[float, int, bytes, bool]] = []
        self._bytes = self._count = 0
        self.truncated = ""

    @property
    def bad(self) -> int:
        """How many of the kept lines are no JSON or have no time."""
        return sum(bad for *_, bad in self._lines)

    def add(self, at: float, line: bytes, *, bad: bool = False) -> None:
        """Keep a line of that time (Unix seconds)."""
        self._lines.append((at, self._count, line, bad))
        self._count += 1
        self._bytes += len(line) + 1
        if len(self._lines) >= 2 * self._most or self._bytes >= 2 * self._most_bytes:
            self._trim()

    def body(self) -> bytes:
        """The lines, each ended."""
        self._trim()
        return b"".join(line + b"\n" for _, _, line, _ in self._lines)

    def _trim(self) -> None:
        self._lines.sort()
        first = max(len(self._lines) - self._most, 0)
        if first:
            self.truncated = "lines"
            self._bytes -= sum(len(line) + 1 for _, _, line, _ in self._lines[:first])
        while self._bytes > self._most_bytes:
            self.truncated = "bytes"
            self._bytes -= len(self._lines[first][2]) + 1
            first += 1
        del self._lines[:first]


def files_below(root: Path, glob: str, *, since: datetime | None = None) -> list[Path]:
    """The regular files, in order, that really lie below `root`.

    A file last written more than an hour before `since` is left out: it holds nothing newer.

    Raises:
        LookFailed: there is no such folder.
    """
    try:
        real = root.resolve(strict=True)
        if not real.is_dir():
            raise NotADirectoryError
        found = []
        for path in sorted(real.glob(glob)):
            inside = path.resolve()
            about = inside.stat() if inside.is_relative_to(real) and inside.is_file() else None
            old = about and since and about.st_mtime < since.timestamp() - 3600
            if about and not old and inside not in found:
                found.append(inside)
    except (OSError, ValueError, RuntimeError) as why:
        raise LookFailed(
            f"cannot list the log folder ({type(why).__name__})",
            on=str(root),
            next="check `root` in the config, and that the runner may read it",
        ) from None
    return found


def lines_from(path: Path, scan: Scan, kept: Kept) -> None:
    """Keep the lines of one file that are wanted."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as why:
        raise LookFailed(
            f"cannot read a log file ({type(why).__name__})",
            on=path.name,
            next="make it readable for the runner",
        ) from None
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return
        packed = file.peek(2)[:2] == b"\x1f\x8b"
        large = not packed and os.fstat(file.fileno()).st_size > _LARGE
        if large:
            _seek_start(file, scan)
        stream: Any = gzip.GzipFile(fileobj=file) if packed else file
        try:
            _select(_lines(stream, scan), scan, kept, in_order=large)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            scan.cut = "gzip"


def _select(lines: Iterator[bytes], scan: Scan, kept: Kept, *, in_order: bool) -> None:
    start, end = scan.window.start.timestamp(), scan.window.end.timestamp()
    needles = [
        matcher.value.encode()
        for matcher in scan.matchers
        if matcher.op == "=" and _PLAIN.fullmatch(matcher.value)
    ]
    last = start  # the time of the line before: what has no time belongs to it
    passed = b""  # the line before, where it was passed over unread
    bad = 0
    for line in lines:
        if (
            needles
            and line.startswith(b"{")
            and line.endswith(b"}")
            and any(needle not in line for needle in needles)
            and b"\\u" not in line
        ):
            passed = line
            continue
        fields = scan.fields(line)
        at = scan.time(fields) if fields is not None else None
        if at is None:
            if passed:
                last = scan.time(scan.fields(passed) or ()) or last
                passed = b""
            if start <= last <= end and bad < _MAX_BAD:
                bad += 1
                kept.add(last, line, bad=True)
            continue
        last, passed = at, b""
        if in_order and at > end + _DISORDER:
            return
        if start <= at <= end and fields and scan.wants(fields):
            kept.add(at, line)


def _lines(stream: Any, scan: Scan) -> Iterator[bytes]:
    """Whole lines without their ends, until the scan has read or waited enough."""
    count = 0
    while line := stream.readline(_MAX_LINE):
        scan.left -= len(line)
        if scan.left < 0:
            scan.cut, scan.over = "scan", True
            return
        count += 1
        if count % 4096 == 0 and time.monotonic() > scan.until:
            scan.cut, scan.over = "time", True
            return
        ended = line.endswith(b"\n")
        line = line.rstrip(b"\r\n")
        if not ended:
            rest = stream.readline(_MAX_LINE)
            if not rest and scan.fields(line) is None:
                return  # the last line, still being written
            while rest and not rest.endswith(b"\n"):
                scan.left -= len(rest)
                rest = stream.readline(_MAX_LINE)
        if line:
            yield line


def _seek_start(file: BufferedReader, scan: Scan) -> None:
    """Move to a line shortly before the window, by halving: large logs are in order, about."""
    target = scan.window.start.timestamp() - _DISORDER
    low, high = 0, os.fstat(file.fileno()).st_size
    while high - low > _MAX_LINE:
        middle = (low + high) // 2
        file.seek(middle)
        file.readline(_MAX_LINE)
        at = None
        for _ in range(100):
            fields = scan.fields(file.readline(_MAX_LINE))
            at = scan.time(fields) if fields is not None else None
            if at is not None:
                break
        if at is not None and at < target:
            low = middle
        else:
            high = middle
    file.seek(low)
    if low:
        file.readline(_MAX_LINE)


def _unix_seconds(value: Any) -> float | None:
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return aware.timestamp()
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return value / next(unit for limit, unit in _MAGNITUDES if value < limit)
    except (ValueError, OverflowError, StopIteration):
        return None
    return None
