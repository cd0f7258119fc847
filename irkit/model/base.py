"""What every value of the model shares: frozen, typed, with one canonical form."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen value without I/O; equal when its fields are equal."""


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a naive one is refused, for it names no moment."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone names no moment: {moment!r}")
    return moment.astimezone(UTC)


def canonical(value: Any) -> bytes:
    """The one JSON form of a value: sorted keys, no blanks, UTF-8; equal values, equal bytes.

    Hashes of plans and of the ledger's chain are taken over this form.

    Example:
        >>> canonical({"b": 1, "a": [True, None]})
        b'{"a":[true,null],"b":1}'
    """
    return msgspec.json.encode(msgspec.to_builtins(value), order="deterministic")


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def decode(data: bytes | str, type: type[T]) -> T:
    """Read a value back from JSON; raises `msgspec.ValidationError` where it does not fit."""
    return msgspec.json.decode(data, type=type)
