"""Blocks of JSON lines to Arrow tables: Arrow where it can be exact, line by line where not."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

RAW = "\0raw"  # holds lines that are no objects; no field of a log is named so
_BLANKS = b" \t\r"
_BLOCK = 32 << 20
_WHOLE = 256 << 20  # bytes that come in one piece are not cut and copied below this size
_SMALL = 256 << 10  # a block of this size that Arrow refuses is read line by line
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_EXACT = 1 << 53  # beyond it a float no longer tells neighbouring integers apart


class Stream:
    """Chunks of bytes as blocks of whole lines, unpacked, up to a number of bytes."""

    def __init__(self, chunks: Iterable[bytes], max_bytes: int) -> None:
        self._chunks = chunks
        self._left = max_bytes
        self.truncated = False

    def blocks(self) -> Iterator[bytes]:
        held: list[bytes] = []
        size = 0
        for chunk in self._limited(self._plain()):
            step = _WHOLE if len(chunk) <= _WHOLE else _BLOCK
            for start in range(0, len(chunk), step):
                piece = chunk[start : start + step]  # a slice of all is no copy
                held.append(piece)
                size += len(piece)
                if size < _BLOCK:
                    continue
                block = b"".join(held) if len(held) > 1 else piece
                end = block.rfind(b"\n") + 1
                if end:
                    yield block[:end]
                held, size = [block[end:]] if end < len(block) else [], len(block) - end
        if size:
            yield b"".join(held) if len(held) > 1 else held[0]

    def _limited(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if len(chunk) > self._left:
                self.truncated = True
                # a line cut in two is left out, not reported as bad
                yield chunk[: max(chunk.rfind(b"\n", 0, self._left) + 1, 0)]
                return
            self._left -= len(chunk)
            yield chunk

    def _plain(self) -> Iterator[bytes]:
        chunks = iter(self._chunks)
        start = b""
        for chunk in chunks:
            start += chunk
            if len(start) >= len(_BOM):
                break
        packed = start.startswith(_GZIP)
        rest = itertools.chain([start], chunks)
        yield from self._unpacked(rest) if packed else rest

    def _unpacked(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        unpack = zlib.decompressobj(wbits=31)
        between = False  # two members
        for packed in chunks:
            while packed:
                try:
                    plain = unpack.decompress(packed, _BLOCK)
                except zlib.error:
                    self.truncated = True
                    return
                between = unpack.eof
                packed = unpack.unused_data if between else unpack.unconsumed_tail
                if between:
                    unpack = zlib.decompressobj(wbits=31)
                yield plain
        self.truncated |= not between


class BlockReader:
    """Blocks of lines to Arrow tables; remembers which fields are text that looks like times."""

    def __init__(self) -> None:
        self._texts: dict[str, pa.DataType] = {}

    def read(self, block: bytes) -> pa.Table:
        """One row per line that is not blank; lines that are no JSON object stand in `_raw`."""
        if not block.isascii():
            block = _utf8(block)
        return concatenate(self._read(block))

    def _read(self, block: bytes) -> list[pa.Table]:
        table = self._fast(block)
        if table is None and len(block) <= _BLOCK:
            table = self._without_bad_lines(block)
        if table is not None:
            return [table]
        middle = block.find(b"\n", len(block) // 2) + 1
        if len(block) < _SMALL or not middle:
            return [_line_by_line(block)]
        return [*self._read(block[:middle]), *self._read(block[middle:])]

    def _fast(self, block: bytes) -> pa.Table | None:
        """The block as Arrow reads it, or None where that fails or would not be exact."""
        import numpy as np
        import pyarrow as pa
        from pyarrow import json as arrow_json

        octets = np.frombuffer(block, np.uint8)[: len(block) - block.endswith(b"\n")]
        starts = _line_starts(octets)
        # Arrow 26 crashes on a line that is `null`: only lines that begin as objects reach it.
        if not len(octets) or starts[-1] == len(octets) or (octets[starts] != ord("{")).any():
            return None

        def parse() -> pa.Table:
            schema = pa.schema(list(self._texts.items())) if self._texts else None
            return arrow_json.read_json(
                pa.BufferReader(block),
                read_options=arrow_json.ReadOptions(block_size=min(1 << 20, len(block) + 1)),
                parse_options=arrow_json.ParseOptions(explicit_schema=schema),
            )

        try:
            table = parse()
            texts = {f.name: _as_text(f.type) for f in table.schema if _as_text(f.type) != f.type}
            if texts:  # Arrow took text for times; their spelling would be lost
                self._texts |= texts
                table = parse()
            absent = [name for name in self._texts if table[name].null_count == len(table)]
            table = _flatten(table.drop_columns(absent))
            for column in table.columns:
                if pa.types.is_nested(column.type):  # lists that mix null and objects come broken
                    column.validate(full=True)
        except pa.ArrowInvalid:
            return None
        # one row a line: no line held two objects, and the table has columns to know its rows by
        whole = len(table) == len(starts) and table.column_names
        return table if whole and not any(map(_rounded, table.columns)) else None

    def _without_bad_lines(self, block: bytes) -> pa.Table | None:
        """The same after lines are set aside that show at their ends that they are no objects."""
        import numpy as np
        import pyarrow as pa

        lines = [line.strip(_BLANKS) for line in block.split(b"\n")]
        lines = [line for line in lines if line]
        good = np.array([line[:1] == b"{" and line[-1:] == b"}" for line in lines])
        kept = b"\n".join(itertools.compress(lines, good))
        table = self._fast(kept) if len(kept) < len(block) - 1 else None
        if table is None:
            return None
        rows = pa.array(np.cumsum(good) - 1, mask=~good)
        raw = [None if ok else _text(line) for line, ok in zip(lines, good, strict=True)]
        return table.take(rows).append_column(RAW, pa.array(raw, pa.string()))


def _line_starts(octets: np.ndarray) -> np.ndarray:
    """Where lines begin; read in pieces that stay in the processor's cache."""
    import numpy as np

    size = 1 << 20
    found = [
        np.flatnonzero(octets[start : start + size] == ord("\n")) + start + 1
        for start in range(0, len(octets), size)
    ]
    return np.concatenate([[0], *found])


def _line_by_line(block: bytes) -> pa.Table:
    """The slow and sure way: each line on its own."""
    import pyarrow as pa

    decoder = msgspec.json.Decoder()
    columns: dict[str, list[Any]] = {}
    rows = 0
    for line in block.split(b"\n"):
        if not line.strip(_BLANKS):
            continue
        try:
            value = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError):
            value = _lenient(line)
        record = _flat(value) if isinstance(value, dict) else {RAW: _text(line)}
        for name, one in record.items():
            column = columns.setdefault(name, [])
            column.extend([None] * (rows - len(column)))
            column.append(one)
        rows += 1
    arrays = {}
    for name, column in columns.items():
        column.extend([None] * (rows - len(column)))
        arrays[name] = _array(column)
    arrays.setdefault(RAW, pa.nulls(rows, pa.string()))
    return pa.table(arrays)


def _lenient(line: bytes) -> Any:
    """What Python's own reader makes of a line: it takes NaN and Infinity."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        path = prefix + name
        inner = _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
        for key, one in inner.items():
            flat[_free(key, flat)] = one
    return flat


def _flatten(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    names: dict[str, None] = {}
    for name in table.column_names:
        names[_free(name, names)] = None
    return table.rename_columns(list(names))


def _free(name: str, taken: Iterable[str]) -> str:
    """`name`, or `name_2` where an outer field and a dotted one meet."""
    while name in taken:
        name += "_2"
    return name


def _array(column: list[Any]) -> pa.Array:
    import pyarrow as pa

    kinds = {type(one) for one in column if one is not None}
    if kinds <= {int, float} or len(kinds) <= 1:
        try:
            array = pa.array(column)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            return pa.array([_json_text(one) for one in column], pa.string())
        if not (kinds == {int, float} and _rounded(pa.chunked_array([array]))):
            return array
    return pa.array([_json_text(one) for one in column], pa.string())


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _as_text(kind: pa.DataType) -> pa.DataType:
    """The same type with every time replaced by text."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_text(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(_as_text(kind.value_type))
    return kind


def _rounded(column: pa.ChunkedArray) -> bool:
    """Whether a column of floats may hold integers that lost their last digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return False
    top = pc.max(pc.abs(column)).as_py()
    return top is not None and top >= _EXACT and top != float("inf")


def concatenate(tables: list[pa.Table]) -> pa.Table:
    """One table; a field that has several types in different blocks becomes JSON text."""
    import pyarrow as pa

    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    shared = {name: _shared_type(types - {pa.null()}) for name, types in kinds.items()}
    same = [
        pa.table({name: cast(table[name], shared[name]) for name in table.column_names})
        for table in tables
        if len(table)
    ]
    return pa.concat_tables(same, promote_options="default") if same else pa.table({})


def _shared_type(types: set[pa.DataType]) -> pa.DataType:
    import pyarrow as pa

    if len(types) <= 1:
        return next(iter(types), pa.string())
    return pa.float64() if types == {pa.int64(), pa.float64()} else pa.string()


def cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    if column.type == kind:
        return column
    if pa.types.is_string(kind) and not pa.types.is_null(column.type):
        if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
            return column.cast(kind)
        texts = pa.array([_json_text(one) for one in column.to_pylist()], pa.string())
        return pa.chunked_array([texts])
    return column.cast(kind, safe=False)


def _utf8(block: bytes) -> bytes:
    """The block itself, or with replacement characters where it is not UTF-8."""
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(errors="replace").encode()
    return block


def _text(line: bytes) -> str:
    return line.decode(errors="replace").strip(" \t\r")
