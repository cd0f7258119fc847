"""JSON-lines logs to a DataFrame: fast on good blocks, patient with bad lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from irkit.logs.jsonblocks import RAW, BlockReader, Stream, cast, concatenate

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


# The usual names of the four columns, most telling first.
_USUAL = {
    "time": (
        "time", "timestamp", "@timestamp", "ts", "t", "datetime", "date", "eventTime", "event_time",
        "asctime", "created_at", "Timestamp", "timeUnixNano", "log.timestamp",
    ),
    "level": (
        "level", "severity", "lvl", "loglevel", "log_level", "log.level", "levelname",
        "severityText", "severity_text", "SeverityText",
    ),
    "service": (
        "service", "service.name", "service_name", "serviceName", "resource.service.name",
        "app", "application", "component", "kubernetes.labels.app", "kubernetes.container_name",
        "container", "container_name", "pod",
    ),
    "message": (
        "message", "msg", "body", "event", "text", "@message", "log", "short_message", "Body",
    ),
}  # fmt: skip

_LEVELS = {
    "warning": "warn", "err": "error", "eror": "error", "critical": "fatal", "crit": "fatal",
    "panic": "fatal", "emerg": "fatal", "emergency": "fatal", "alert": "fatal",
    "information": "info", "informational": "info", "notice": "info", "verbose": "trace",
}  # fmt: skip
# Numbers: 0 to 7 are RFC 5424's (GELF, journald), 10 to 60 are pino's.
_SYSLOG = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")
_PINO = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}


@dataclass(frozen=True, kw_only=True, eq=False)
class LogTable:
    """Log lines, one row each, in the order of the file.

    `frame` begins with the columns `time` (UTC, NaT where a line has none), `level` (`trace`,
    `debug`, `info`, `warn`, `error`, `fatal`, or the line's own word in lower case), `service` and
    `message`; every other field follows under its own name, nested objects as `outer.inner`, and
    a field whose type changes from line to line as JSON text.  A line that is no JSON object
    stands in `_raw` (a column that is there only when needed) and is counted in `bad`; `undated`
    counts JSON lines without a readable time; `truncated` says that reading stopped early, at
    `max_bytes` or where a gzip stream is broken.
    """

    frame: pd.DataFrame
    bad: int = 0
    undated: int = 0
    truncated: bool = False

    def __repr__(self) -> str:
        notes = [f"{len(self.frame)} lines"]
        notes += [f"{self.bad} not JSON"] if self.bad else []
        notes += [f"{self.undated} without a time"] if self.undated else []
        notes += ["cut short"] if self.truncated else []
        return f"<LogTable: {', '.join(notes)}>"


def read_jsonl(
    source: bytes | Iterable[bytes],
    *,
    time_field: str = "auto",
    level_field: str = "auto",
    service_field: str = "auto",
    message_field: str = "auto",
    max_bytes: int = 1 << 31,
) -> LogTable:
    """Read JSON-lines logs from bytes or from chunks of bytes, plain or gzip (told by its magic).

    Times may be ISO 8601 (without a zone: UTC), Apache's form, or epoch seconds, milliseconds,
    microseconds or nanoseconds, told by magnitude.  A field given as `auto` is found among its
    usual names.  Bytes that are not UTF-8 are replaced.  A broken line never fails the read.

    Example:
        >>> read_jsonl(b'{"ts": 1735689600.5, "level": "ERROR", "msg": "boom"}\\nTraceback\\n')
        <LogTable: 2 lines, 1 not JSON>
    """
    stream = Stream([source] if isinstance(source, bytes) else source, max_bytes)
    reader = BlockReader()
    table = concatenate([reader.read(block) for block in stream.blocks()])
    names = table.column_names
    bad = len(table) - table[RAW].null_count if RAW in names else 0

    asked = {"time": time_field, "level": level_field, "service": service_field,
             "message": message_field}  # fmt: skip
    columns: dict[str, pa.ChunkedArray] = {}
    used = {RAW}
    for column, field in asked.items():
        usual = _USUAL[column] if field == "auto" else (field,)
        present = [name for name in usual if name in names]
        used.update(present[:1])
        columns[column] = _fill(column, present, table)
    undated = columns["time"].null_count - bad
    for name in names:
        if name not in used:
            columns[name if name not in columns else f"{name}_2"] = table[name]
    if bad:
        columns["_raw"] = table[RAW]
    frame = _to_frame(columns)
    return LogTable(frame=frame, bad=bad, undated=undated, truncated=stream.truncated)


def _to_frame(columns: dict[str, pa.ChunkedArray]) -> pd.DataFrame:
    """A frame that keeps integers whole where some are missing, and lists as lists."""
    import pandas as pd
    import pyarrow as pa

    frame = pa.table(columns).to_pandas()
    whole = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    for name, column in columns.items():
        if pa.types.is_nested(column.type):
            frame[name] = pd.Series(column.to_pylist(), dtype=object)
        elif column.null_count and column.type in whole:
            frame[name] = column.to_pandas(types_mapper=whole.get)
    return frame


def _fill(column: str, fields: list[str], table: pa.Table) -> pa.ChunkedArray:
    """The first field's values; where it has none, the next one's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    read = {"time": _times, "level": _levels}.get(column, _texts)
    if not fields:
        return read(pa.chunked_array([pa.nulls(len(table), pa.string())]))
    filled = read(table[fields[0]])
    for field in fields[1:]:
        if filled.null_count:
            filled = pc.coalesce(filled, read(table[field]))
    return filled


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return cast(column, pa.string())


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times in UTC to the nanosecond, null where a value is none."""
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _as_times(_epochs(column))
    texts = cast(column, pa.string())
    for kind in (pa.timestamp("ns", "UTC"), pa.timestamp("ns")):
        try:
            return texts.cast(kind).cast(pa.timestamp("ns", "UTC"))
        except pa.ArrowInvalid:
            continue
    strings = texts.to_pandas().str.strip()
    times = pd.to_datetime(
        strings.str.replace(",", ".", regex=False), format="ISO8601", utc=True, errors="coerce"
    ).astype("datetime64[ns, UTC]")
    # a bare number such as "20250101" or "1735689600" is an epoch or nothing, never a date
    numeric = strings.str.fullmatch(r"-?\d+(\.\d+)?").fillna(False).to_numpy(bool)
    if numeric.any():
        numbers = pd.to_numeric(strings.where(numeric))
        times = times.where(~numeric, _epochs(pa.chunked_array([pa.array(numbers)])))
    missing = times.isna().to_numpy(bool)
    if missing.any():
        apache = pd.to_datetime(
            strings[missing], format="%d/%b/%Y:%H:%M:%S %z", utc=True, errors="coerce"
        )
        times[missing] = apache.astype("datetime64[ns, UTC]")
    return _as_times(times)


def _as_times(times: pd.Series) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([pa.array(times, pa.timestamp("ns", "UTC"), from_pandas=True)])


def _epochs(column: pa.ChunkedArray) -> pd.Series:
    """Epoch seconds, milli-, micro- or nanoseconds, told apart by magnitude, as times in UTC."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    nulls = column.is_null().to_numpy()
    if pa.types.is_integer(column.type):
        values = column.fill_null(0).to_numpy()
        size = np.abs(values.astype(float))
        # a second now has 10 digits, a millisecond 13, a microsecond 16, a nanosecond 19
        power = np.select([size < 1e11, size < 1e14, size < 1e17], [9, 6, 3], 0)
        nulls = nulls | (size * 10.0**power > 9.2e18)  # after the year 2262
        nanoseconds = np.where(nulls, 0, values) * 10**power
    else:
        floats = np.nan_to_num(column.to_numpy(), nan=0.0, posinf=0.0, neginf=0.0)
        nulls = nulls | ~np.isfinite(column.to_numpy())
        power = np.select(
            [abs(floats) < 1e11, abs(floats) < 1e14, abs(floats) < 1e17], [6, 3, 0], -3
        )
        # a float of seconds holds microseconds, no more
        micros = np.clip(np.round(floats * 10.0**power), -9.2e15, 9.2e15)
        nanoseconds = micros.astype(np.int64) * 1000
    stamps = nanoseconds.view("datetime64[ns]")
    stamps[nulls | (nanoseconds == 0)] = np.datetime64("NaT")
    return pd.Series(stamps).dt.tz_localize("UTC")


def _levels(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Levels by their usual names; what has no usual name is kept in lower case."""
    import pyarrow as pa

    texts = cast(column, pa.string()).combine_chunks().dictionary_encode()
    names = pa.array([_level(one) for one in texts.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([names.take(texts.indices)])


def _level(text: str) -> str:
    word = text.strip().lower()
    if word.isdecimal() and len(word) <= 3:
        number = int(word)
        return _SYSLOG[number] if number < len(_SYSLOG) else _PINO.get(number, word)
    return _LEVELS.get(word, word)
