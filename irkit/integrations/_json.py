"""Reading JSON that strangers send: strictly, and naming the place of every mistake."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any, NoReturn

import msgspec

from irkit.errors import BadAlert
from irkit.model.window import parse_rfc3339

# What msgspec raises for bytes that are not the JSON it was asked for.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MAX_DEPTH = 32
MAX_TEXT = 4096
MAX_LABELS = 128
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_ODD_ESCAPE = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_ODD = re.compile("[\x00\ud800-\udfff]")


def read_json(body: bytes) -> Any:
    """Read a body that must be JSON: UTF-8, no key twice in an object, 32 levels at the most.

    NUL characters and halves of surrogate pairs, which other programs choke on, become U+FFFD.

    Raises:
        BadAlert: it is not.
    """
    depth = 0
    for token in _TOKEN.finditer(body):
        first = token[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > MAX_DEPTH:
            raise BadAlert(
                f"nested deeper than {MAX_DEPTH} levels", on="the body", next="send it flatter"
            )
    try:
        value = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as why:
        what = str(why) if isinstance(why, json.JSONDecodeError) else type(why).__name__
        raise BadAlert(
            f"not JSON ({what})", on="the body", next="send the JSON that the sender documents"
        ) from None
    return _mended(value) if _ODD_ESCAPE.search(body) else value


def mapping(value: Any, path: str) -> dict[str, Any]:
    """An object; nothing counts as an empty one."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else _wrong(path, "an object", value)


def items(value: Any, path: str, *, most: int) -> list[Any]:
    """A list of `most` elements or fewer."""
    if not isinstance(value, list):
        _wrong(path, "a list", value)
    if len(value) > most:
        raise BadAlert(
            f"{len(value)} alerts in one delivery, {most} are read",
            on=path,
            next="limit them at the sender, such as with max_alerts",
        )
    return list(value)


def text(value: Any, path: str) -> str:
    """A text, cut to 4096 characters; nothing counts as empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        _wrong(path, "a text", value)
    return value if len(value) <= MAX_TEXT else value[: MAX_TEXT - 1] + "…"


def plain(value: Any, path: str) -> str:
    """A text, a number, true or false, as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else text(value, path)


def texts(value: Any, path: str) -> dict[str, str]:
    """An object of texts, such as labels: 128 of them at the most."""
    found = mapping(value, path)
    if len(found) > MAX_LABELS:
        raise BadAlert(
            f"{len(found)} entries, {MAX_LABELS} are read", on=path, next="send fewer labels"
        )
    return {text(name, path): text(one, f"{path}.{name[:80]}") for name, one in found.items()}


def moment(value: Any, path: str) -> datetime | None:
    """An RFC 3339 time in UTC; the year 1, which is Go's "never", and nothing are None."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        _wrong(path, "a time", value)
    if value.startswith("0001-01-01"):
        return None
    try:
        return parse_rfc3339(value)
    except (ValueError, OverflowError):
        return _wrong(path, "a time such as 2026-03-01T14:02:00Z", value)


def _wrong(path: str, wanted: str, value: Any) -> NoReturn:
    shown = repr(value)
    raise BadAlert(
        f"not {wanted}",
        on=f"{path}: {shown if len(shown) <= 60 else shown[:59] + '…'}",
        next="send what the sender documents",
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, _ in pairs if sum(one == name for one, _ in pairs) > 1)
        raise BadAlert("a key is given twice", on=repr(twice)[:80], next="send each key once")
    return found


def _no_constant(name: str) -> NoReturn:
    raise BadAlert(f"{name} is not JSON", on="the body", next="send a number or null")


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _ODD.sub("\ufffd", value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(name): _mended(one) for name, one in value.items()}
    return value
