"""Prometheus replies to DataFrames: fast, and exact to the millisecond.

The samples stay raw bytes until numpy has found the quotes; Arrow then reads the numbers where
they stand.  A reply laid out in any other way is decoded sample by sample instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

import msgspec

from irkit.errors import LookFailed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    # one series: sample times in integer milliseconds, and the values
    Samples: TypeAlias = tuple[np.ndarray, np.ndarray]

_CHUNK_BYTES = 1 << 21  # stays in the processor's cache
_RETRYABLE = {"timeout", "unavailable", "internal", "canceled"}
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """What a Prometheus query answered, one column per series.

    `frame` has one float column per series, named as Prometheus writes it (`up{job="web"}`), and
    an index `time` in UTC, exact to the millisecond: the union of all sample times, NaN where a
    series has no sample.  `labels` are the series' labels, and `histograms` (empty when there are
    none) each series' native histogram samples, both in the order of the columns.  `warnings` and
    `infos` are what Prometheus said beside the data; show them.

    Example:
        >>> read_matrix(b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}')
        <Matrix: 1 series, 1 time>
    """

    frame: pd.DataFrame
    labels: tuple[dict[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()
    histograms: tuple[tuple[dict[str, Any], ...], ...] = ()

    def __repr__(self) -> str:
        rows, columns = self.frame.shape
        return f"<Matrix: {columns} series, {rows} time{'' if rows == 1 else 's'}>"


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    values: msgspec.Raw = msgspec.Raw(b"")
    value: msgspec.Raw = msgspec.Raw(b"")
    histograms: list[tuple[float, dict[str, Any]]] = []
    histogram: tuple[float, dict[str, Any]] | None = None


class _Said(TypedDict):
    warnings: tuple[str, ...]
    infos: tuple[str, ...]


class _Data(msgspec.Struct, rename="camel"):
    result_type: str
    result: list[_Series | float | str]


class _Reply(msgspec.Struct, rename="camel"):
    status: str
    data: _Data | None = None
    error_type: str = ""
    error: str = ""
    warnings: list[str] | None = None
    infos: list[str] | None = None


class _Failure(msgspec.Struct, rename="camel"):
    """A reply of which only the error is of interest, whatever its data look like."""

    status: str
    error_type: str = ""
    error: str = ""


def read_matrix(body: bytes) -> Matrix:
    """Turn the body of a Prometheus query reply (instant or range) into a frame.

    Matrix, vector, scalar and string results are read; an instant result is one row.  Any JSON
    layout is accepted, the compact one that Prometheus writes is the fast one.  Raises LookFailed
    when Prometheus reports an error or the body is not such a reply.

    Source: https://prometheus.io/docs/prometheus/latest/querying/api/

    Example:
        >>> body = (b'{"status":"success","data":{"resultType":"matrix","result":['
        ...         b'{"metric":{"job":"web"},"values":[[1735689600.781,"0.5"]]}]}}')
        >>> read_matrix(body).frame.columns[0]
        '{job="web"}'
    """
    try:
        reply = _decode_reply(body)
        if reply.data is None:
            raise ValueError("a success without data")
        said: _Said = {"warnings": tuple(reply.warnings or ()), "infos": tuple(reply.infos or ())}
        kind, result = reply.data.result_type, reply.data.result
        if kind in ("scalar", "string"):
            at, text = msgspec.convert(result, tuple[float, str])
            column = [float(text) if kind == "scalar" else text]
            return Matrix(frame=_one_row(kind, column, at), labels=({},), **said)
        if kind in ("matrix", "vector"):
            return _read_series(kind, msgspec.convert(result, list[_Series]), said)
    except (ValueError, OverflowError) as error:  # msgspec's errors are ValueErrors
        raise LookFailed(
            "not a Prometheus query reply",
            on=f"{error} in {bytes(body[:60])!r}",
            next="check that the address is that of Prometheus' API",
        ) from error
    raise LookFailed(
        "unknown result type",
        on=kind,
        next="irkit reads matrix, vector, scalar and string results",
    )


def series_name(labels: dict[str, str]) -> str:
    """A series' name as Prometheus writes it, labels sorted by name.

    Example:
        >>> series_name({"__name__": "up", "job": 'a"b'})
        'up{job="a\\\\"b"}'
    """
    name = labels.get("__name__", "")
    inside = [
        f"{key if _LABEL.fullmatch(key) else _quoted(key)}={_quoted(value)}"
        for key, value in sorted(labels.items())
        if key != "__name__"
    ]
    if name and not _NAME.fullmatch(name):  # UTF-8 names stand, quoted, inside the braces
        name, inside = "", [_quoted(name), *inside]
    return f"{name}{{{','.join(inside)}}}" if inside or not name else name


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _decode_reply(body: bytes) -> _Reply:
    """The reply, or LookFailed with what Prometheus said was wrong."""
    if not body.isascii():
        body.decode()  # parts that nobody reads are kept raw, and would hide what is no UTF-8
    try:
        reply = msgspec.json.decode(body, type=_Reply)
        if reply.status == "success":
            return reply
        failure = _Failure(reply.status, reply.error_type, reply.error)
    except msgspec.ValidationError:  # an error's data may be of any shape
        failure = msgspec.json.decode(body, type=_Failure)
        if failure.status == "success":
            raise
    raise LookFailed(
        "Prometheus answered with an error",
        on=": ".join(filter(None, (failure.error_type, failure.error))) or "no reason given",
        next="check the query; after a time-out ask for a shorter window or a longer step",
        retryable=failure.error_type in _RETRYABLE,
    )


def _read_series(kind: str, series: list[_Series], said: _Said) -> Matrix:
    if kind == "matrix":
        samples = _read_samples([memoryview(one.values) for one in series])
    else:
        samples = [_decode(b"[%b]" % bytes(one.value)) for one in series]
    labels = tuple(one.metric for one in series)
    histograms: tuple[tuple[dict[str, Any], ...], ...] = tuple(
        tuple(
            {"time": _index([_milliseconds(at)])[0], **histogram}
            for at, histogram in [*one.histograms, *filter(None, [one.histogram])]
        )
        for one in series
    )
    return Matrix(
        frame=_pivot(samples, [series_name(one) for one in labels]),
        labels=labels,
        histograms=histograms if any(histograms) else (),
        **said,
    )


def _read_samples(raws: list[memoryview]) -> list[Samples]:
    """Each series' samples, read some megabytes at a time."""
    found: list[Samples] = []
    batch: list[memoryview] = []
    size = 0
    for raw in raws:
        batch.append(raw)
        size += len(raw)
        if size >= _CHUNK_BYTES:
            found += _read_batch(batch)
            batch, size = [], 0
    return found + (_read_batch(batch) if batch else [])


def _read_batch(raws: list[memoryview]) -> list[Samples]:
    fast = _read_compact(b"".join(raws), [len(raw) for raw in raws])
    return [_decode(raw) for raw in raws] if fast is None else fast


def _decode(raw: bytes | memoryview) -> Samples:
    """Samples of one series, whatever the layout: slow and forgiving."""
    import numpy as np

    pairs = msgspec.json.decode(raw, type=list[tuple[float, str | float]]) if raw else []
    times = np.array([_milliseconds(at) for at, _ in pairs], dtype=np.int64)
    return times, np.array([float(value) for _, value in pairs], dtype=np.float64)


def _read_compact(text: bytes, sizes: list[int]) -> list[Samples] | None:
    """Samples of several series written `[[T,"V"],[T,"V"]]` without spaces; None otherwise.

    T has ten digits, or ten and three after the point, as Prometheus writes every time from 2001
    to 2286.  Nothing is assumed: every delimiter and digit is looked at.
    """
    import numpy as np
    import pyarrow as pa

    ends = np.cumsum(sizes)
    begins = ends - sizes
    padded = text + b"\0" * 8  # so that eight bytes can be read anywhere
    octets = np.frombuffer(padded, np.uint8)
    quotes = np.flatnonzero(octets == ord('"')).astype(np.int32)
    opening, closing = quotes[::2], quotes[1::2]
    lasts = np.searchsorted(closing, ends) - 1  # each series' last sample
    firsts = np.append(0, lasts[:-1] + 1)
    if len(opening) != len(closing) or (lasts < firsts).any():
        return None  # broken, or a series without samples
    starts = np.empty(len(opening), np.int32)  # each sample's text, from its time on
    starts[1:] = closing[:-1] + 4
    starts[firsts] = begins + 2
    between = np.ndarray((len(text),), "<u4", buffer=padded, strides=(1,))
    inner = between[closing] == int.from_bytes(b'"],[', "little")
    inner[lasts] = between[closing[lasts]] & 0xFFFFFF == int.from_bytes(b'"]]', "little")
    if not (
        inner.all()
        and (closing[lasts] + 3 == ends).all()
        and (between[begins] & 0xFFFF == int.from_bytes(b"[[", "little")).all()
        and (octets[opening - 1] == ord(",")).all()
    ):
        return None
    times = _read_times(padded, starts, opening - 1)
    if times is None:
        return None

    # Arrow strings are runs between offsets; every second run is what stands between two values
    # and is marked null, so that the cast skips it and no byte is copied.
    plus = octets[opening + 1] == ord("+")  # "+Inf" is the one form that Arrow does not read
    offsets = np.empty(len(quotes) + 1, np.int32)
    offsets[:-1:2], offsets[1::2] = opening + 1 + plus, closing
    offsets[-1] = len(text)
    count = len(quotes)
    valid = np.full((count + 7) // 8, 0b01010101, np.uint8)
    strings = pa.Array.from_buffers(
        pa.utf8(), count, [pa.py_buffer(valid), pa.py_buffer(offsets), pa.py_buffer(padded)]
    )
    try:
        values = strings.cast(pa.float64()).to_numpy(zero_copy_only=False)[::2]
    except pa.ArrowInvalid:
        return None
    return [
        (times[first : last + 1], values[first : last + 1])
        for first, last in zip(firsts, lasts, strict=True)
    ]


def _read_times(padded: bytes, start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
    """Milliseconds from `DDDDDDDDDD` or `DDDDDDDDDD.DDD` between start and end; None otherwise."""
    import numpy as np

    words = np.ndarray((len(padded) - 7,), "<u8", buffer=padded, strides=(1,))
    length = end - start
    broken = length == 14
    if not (broken | (length == 10)).all():
        return None
    head = _eight_digits(words[start])
    if broken.all():  # `DD.DDD` and the two digits before it: move those over the point
        tail = words[end - 8]
        if not ((tail >> np.uint64(32)) & np.uint64(0xFF) == ord(".")).all():
            return None
        low = np.uint64(0xFFFFFFFF)
        whole = ((tail & low) << np.uint64(8)) | np.uint64(ord("0"))
        rest = _eight_digits((tail & ~np.uint64(0xFFFFFFFFFF)) | whole)
        if head is None or rest is None:
            return None
        # head is DDDDDDDD; rest is 0DDDDDDD whose first two digits repeat head's last two
        return head * 100_000 + rest % 100_000
    rest = _eight_digits(words[start + 2])
    if head is None or rest is None:
        return None
    milliseconds = (head * 100 + rest % 100) * 1000
    if broken.any():
        tail = words[end[broken] - 8]
        if not ((tail >> np.uint64(32)) & np.uint64(0xFF) == ord(".")).all():
            return None
        thousandths = _eight_digits((tail & ~np.uint64(0xFFFFFFFFFF)) | np.uint64(0x3030303030))
        if thousandths is None:
            return None
        milliseconds[broken] += thousandths
    return milliseconds


def _eight_digits(word: np.ndarray) -> np.ndarray | None:
    """The numbers that eight ASCII digits each spell, None if any byte is no digit.

    Source: Lemire, "Quickly parsing eight digits", 2018.
    """
    import numpy as np

    u = np.uint64
    digits = word - u(0x3030303030303030)
    if (((digits + u(0x7676767676767676)) | digits) & u(0x8080808080808080)).any():
        return None
    digits = digits * u(10) + (digits >> u(8))
    mask = u(0x000000FF000000FF)
    high = (digits & mask) * u(100 + (1_000_000 << 32))
    low = ((digits >> u(16)) & mask) * u(1 + (10_000 << 32))
    return ((high + low) >> u(32)).astype(np.int64)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _index(milliseconds: Any) -> pd.DatetimeIndex:
    import numpy as np
    import pandas as pd

    stamps = np.asarray(milliseconds, dtype=np.int64).view("datetime64[ms]")
    return pd.DatetimeIndex(stamps, name="time").tz_localize("UTC")


def _one_row(name: str, column: list[Any], at: float) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: column}, index=_index([_milliseconds(at)]))


def _pivot(samples: list[Samples], names: list[str]) -> pd.DataFrame:
    """One column per series on the union of their times; of a time given twice, the last value."""
    import numpy as np
    import pandas as pd

    grid = np.empty(0, np.int64)
    places: list[tuple[Any, int]] = []  # with the length of the grid for which they hold
    for times, _ in samples:
        place = _places(times, grid)
        if place is None:
            merged = np.concatenate((grid, times))
            merged.sort(kind="stable")  # merges two sorted runs in one pass
            grid = merged[np.diff(merged, prepend=-1) != 0]
        places.append((place, len(grid) if place is not None else -1))
    table = np.empty((len(samples), len(grid)))
    for row, (times, values), (place, holds) in zip(table, samples, places, strict=True):
        place = place if holds == len(grid) else _places(times, grid)
        if not isinstance(place, slice):
            row.fill(np.nan)
        row[place] = values
    index, columns = _index(grid), pd.Index(names, dtype="str")
    return pd.DataFrame(table.T, index=index, columns=columns, copy=False)


def _places(times: np.ndarray, grid: np.ndarray) -> Any:
    """Where `times` stand in the grid, or None when one of them is not in it."""
    import numpy as np

    if np.array_equal(times, grid):
        return slice(None)
    at = np.searchsorted(grid, times)
    found = at < len(grid)
    return at if found.all() and (grid[at] == times).all() else None
