"""The parts of a plotly figure's JSON, read as plain values.

Source: https://plotly.com/chart-studio-help/json-chart-schema/ and, for typed arrays
(`{"dtype": "f8", "bdata": "..."}`), plotly.js `src/lib/array.js`.
"""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

_TAG: Final = re.compile(r"<[^<>]{0,200}>")
_DTYPES: Final = {
    "i1": "<i1",
    "i2": "<i2",
    "i4": "<i4",
    "u1": "<u1",
    "u2": "<u2",
    "u4": "<u4",
    "u1c": "<u1",
    "f4": "<f4",
    "f8": "<f8",
    "i8": "<i8",
    "u8": "<u8",
}
_FORM = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?"
_SAMPLE: Final = 200
_MOST_POINTS: Final = 2_000_000


def plain(text: str) -> str:
    """Text without plotly's pseudo-markup (`<b>`, `<br>`), entities read; markup, not safety.

    Example:
        >>> plain("<b>5xx</b><br>per second &amp; route")
        '5xx per second & route'
    """
    spaced = re.sub(r"<br\s*/?>", " ", text, flags=re.IGNORECASE)
    return re.sub(r"\s+", " ", html.unescape(_TAG.sub("", spaced))).strip()[:400]


def values(array: Any) -> list[Any]:
    """A plotly array as a list: plain JSON, or a typed array in base64 (1 or 2 dimensions).

    Raises:
        ValueError: neither, or longer than is sensible.
    """
    if array is None:
        return []
    if isinstance(array, dict) and "bdata" in array:
        import numpy as np

        dtype = _DTYPES.get(str(array.get("dtype")))
        if dtype is None:
            raise ValueError(f"unknown typed array {array.get('dtype')!r}")
        raw = base64.b64decode(str(array["bdata"]), validate=True)
        flat = np.frombuffer(raw, dtype=dtype)
        if len(flat) > _MOST_POINTS:
            raise ValueError("too many points")
        shape = [int(n) for n in re.findall(r"\d+", str(array.get("shape", "")))]
        whole = flat.reshape(shape) if len(shape) > 1 else flat
        listed: list[Any] = whole.tolist()
        return listed
    if not isinstance(array, list) or len(array) > _MOST_POINTS:
        raise ValueError("not an array")
    return array


def kind_of(trace: dict[str, Any]) -> str:
    """The trace's type; scatter where it names none."""
    return str(trace.get("type", "scatter"))


def name_of(trace: dict[str, Any], i: int) -> str:
    """The trace's name, or its number."""
    return plain(str(trace.get("name") or f"trace {i}"))


def text_of(value: Any) -> str:
    """A title as plotly writes it: text, or an object with `text`."""
    if isinstance(value, dict):
        value = value.get("text")
    return value if isinstance(value, str) else ""


def axis_title(layout: dict[str, Any], axis: str) -> str:
    """The title of an axis that a trace calls `x2`."""
    name = f"{axis[0]}axis{axis[1:]}" if axis else ""
    found = layout.get(name)
    return plain(text_of(found.get("title"))) if isinstance(found, dict) else ""


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a list, whatever else is in it."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def floats(items: list[Any]) -> list[float | None]:
    """Each as a number, None where it is none."""
    return [number(v) for v in items]


def number(value: Any) -> float | None:
    """A finite number, or None; true and false are none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    return None


def moment(value: Any) -> float | None:
    """Epoch milliseconds of a plotly date: `2026-03-01 14:02:07.5`, with or without a zone."""
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d", value):
        return None
    text = re.sub(r"(\.\d{6})\d+", r"\1", value)
    try:
        moment = datetime.fromisoformat(text if len(text) > 7 else text + "-01")
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000


def moments(items: list[Any]) -> Any:
    """Epoch milliseconds of many plotly dates as a float array, NaN where one is none.

    Dates of one form (all without a zone, or all in UTC) are read at once.
    """
    import numpy as np

    if len(items) > 64 and set(map(type, items)) == {str}:
        lines = "\n".join(items) + "\n"
        zone = next((z for z in ("Z", "+00:00") if items[0].endswith(z)), "")
        if re.fullmatch(f"(?:{_FORM}{re.escape(zone)}\n)+", lines):
            bare = lines.replace(zone + "\n", "\n").split("\n")[:-1]
            if len(bare) == len(items):
                return np.array(bare, dtype="datetime64[us]").astype("int64") / 1000
    return np.array([np.nan if v is None else v for v in map(moment, items)], dtype=float)


def all_read(read: Callable[[Any], float | None], items: list[Any]) -> bool:
    """Whether nearly every item can be read that way (a stray blank does not change a scale)."""
    if not items:
        return read is number
    good = sum(read(v) is not None for v in items[:_SAMPLE])
    return good >= 0.95 * min(len(items), _SAMPLE)
