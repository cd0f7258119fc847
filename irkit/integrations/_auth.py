"""Who may deliver alerts: compared on the raw bytes, in constant time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from irkit.errors import Refused
from irkit.secret import Secret

AGE = timedelta(seconds=300)


def header(headers: Mapping[str, str], name: str) -> str:
    """A header's value, whatever the case of its name; empty where it is missing."""
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), "")


def check_bearer(headers: Mapping[str, str], secrets: Sequence[Secret]) -> None:
    """Accept `Authorization: Bearer` with any of the secrets.

    Raises:
        Refused: reason `unauthenticated`.
    """
    scheme, _, given = header(headers, "authorization").partition(" ")
    if (
        not _any_equal(given.strip(), [one.reveal() for one in secrets])
        or scheme.lower() != "bearer"
    ):
        raise _refused("no or another bearer token")


def check_basic(headers: Mapping[str, str], username: str, secrets: Sequence[Secret]) -> None:
    """Accept `Authorization: Basic` with that name and any of the secrets as its password.

    Raises:
        Refused: reason `unauthenticated`.
    """
    scheme, _, given = header(headers, "authorization").partition(" ")
    try:
        pair = base64.b64decode(given.strip(), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        pair = ""
    allowed = [f"{username}:{one.reveal()}" for one in secrets]
    if not _any_equal(pair, allowed) or scheme.lower() != "basic":
        raise _refused("no or another name and password")


def check_hmac(
    body: bytes, *, signature: str, timestamp: str, secrets: Sequence[Secret], now: datetime
) -> None:
    """Accept the hex HMAC-SHA256 over `TIMESTAMP.BODY` under any of the secrets.

    The timestamp is in Unix seconds, at most 300 s from `now`.

    Raises:
        Refused: reason `unauthenticated`.
    """
    signed = timestamp.encode("utf-8", "replace") + b"." + body
    allowed = [hmac.new(s.reveal().encode(), signed, hashlib.sha256).hexdigest() for s in secrets]
    if not _any_equal(signature.lower(), allowed):
        raise _refused("no or another signature")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise _refused("no timestamp in Unix seconds")
    if abs(now.timestamp() - int(timestamp)) > AGE.total_seconds():
        raise _refused("the timestamp is more than 300 s off; check both clocks")


def _any_equal(given: str, allowed: Sequence[str]) -> bool:
    raw = given.encode("utf-8", "replace")
    # every one is compared, so that the time tells nothing
    equal = [hmac.compare_digest(raw, one.encode()) for one in allowed]
    return any(equal)


def _refused(why: str) -> Refused:
    return Refused(
        "the delivery is not authenticated",
        reason="unauthenticated",
        on=why,
        next="give the sender the secret that this hook is configured with",
    )
