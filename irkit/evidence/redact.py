"""Takes secrets out of text that is stored or shown.

It stops accidents.  What stops theft is that a notebook's process holds no secret at all.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

from irkit.errors import ConfigError
from irkit.secret import Secret

REMOVED = "[secret removed]"
SHORTEST = 6
"""Configured secrets with fewer characters are not searched for: they would match by chance."""

# Each shape with literal texts of which one is in every match: looking for those first is fast.
# Sources: the token formats that GitHub, GitLab, Slack and AWS document; RFC 7519, 7468, 3986.
_SHAPES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{36,255}"),
    (("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{22,255}"),
    (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,255}"),
    (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}"),
    (("hooks.slack.com/",), r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,255}"),
    (("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    (("eyJ",), r"\beyJ[\w-]{8,4096}\.eyJ[\w-]{8,4096}\.[\w-]{8,4096}"),
    (
        ("PRIVATE KEY",),
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{1,16384}-----END [A-Z ]{0,40}KEY-----",
    ),
    (
        ("uthorization", "UTHORIZATION"),
        r"(?<=uthorization: )(?i:bearer|basic) [\w.~+/=-]{8,4096}"
        r"|(?<=UTHORIZATION: )(?i:bearer|basic) [\w.~+/=-]{8,4096}",
    ),
    (("://",), r"(?<=://)[^/\s:@\"']{1,128}:[^/\s@\"']{1,256}(?=@)"),
)
# Most of a reply is digits, marks and common letters.  What is left after deleting them is short,
# and holds what is left of every text that the reply holds: a fast way to say "not in there".
_COMMON = b'0123456789.,[]"{}: -etaoinsrdlu'


class _Needle:
    """Bytes to look for, and what is left of them without the common ones."""

    def __init__(self, whole: bytes) -> None:
        self.whole, self.rest = whole, whole.translate(None, _COMMON)

    def within(self, body: bytes, rest: bytes) -> bool:
        return self.rest in rest and self.whole in body


_NEEDLES = tuple(
    (tuple(_Needle(hint.encode()) for hint in hints), re.compile(shape.encode()))
    for hints, shape in _SHAPES
)


class Redactor:
    """Replaces the configured secrets, and what is shaped like a token, by `[secret removed]`.

    A secret is also found as JSON, HTML, URL and Base64 write it.

    Example:
        >>> Redactor(["hunter2-hunter2"]).text("password=hunter2-hunter2")
        'password=[secret removed]'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._secrets = tuple(_Needle(form) for form in sorted(forms, key=len, reverse=True))

    @classmethod
    def of(cls, *holders: Any) -> Redactor:
        """A redactor for every secret in these values: a Config, integrations, lists of them.

        A secret that is not set, or cannot be read, is passed over: it is nowhere to be found.
        """
        texts = []
        for secret in secrets_in(holders):
            try:
                texts.append(secret.reveal())
            except ConfigError:
                continue
        return cls(texts)

    def text(self, text: str) -> str:
        """The text without secrets."""
        return self.body(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")

    def body(self, body: bytes) -> bytes:
        """The bytes without secrets; the same object if there is none in them."""
        rest = body.translate(None, _COMMON)
        for secret in self._secrets:
            if secret.within(body, rest):
                body = body.replace(secret.whole, REMOVED.encode())
        for hints, shape in _NEEDLES:
            if any(hint.within(body, rest) for hint in hints):
                body = shape.sub(REMOVED.encode(), body)
        return body

    def __repr__(self) -> str:
        return f"<Redactor: {len(self._secrets)} forms of configured secrets>"


def secrets_in(value: Any) -> Iterator[Secret]:
    """Every secret reference inside a value: pydantic models, mappings and sequences are walked."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from secrets_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from secrets_in(one)
    else:
        for name in getattr(type(value), "model_fields", ()):
            yield from secrets_in(getattr(value, name))


def _forms(secret: str) -> Iterator[bytes]:
    raw = secret.encode(errors="surrogateescape")  # a variable of the environment may be any bytes
    yield raw
    for text in (
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escape(secret),
        quote(raw, safe=""),
        quote_plus(raw),
    ):
        yield text.encode(errors="surrogateescape")
    yield base64.b64encode(raw).rstrip(b"=")
