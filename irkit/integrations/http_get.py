"""A page or health endpoint of a service, read with GET."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, ClassVar, Literal
from urllib.parse import unquote

import msgspec
from pydantic import Field

from irkit.errors import LookFailed
from irkit.http import status_failure
from irkit.integrations._json import UNREADABLE
from irkit.integrations._request import check_op, text
from irkit.integrations._web import WebConfig
from irkit.model.base import Value
from irkit.model.look import Request
from irkit.ports import Raw

_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")


class HttpReply(Value, frozen=True, kw_only=True):
    """What the endpoint answered: status, seconds to the whole answer, and the JSON or text."""

    status: int
    seconds: float
    body: Any = None

    @property
    def ok(self) -> bool:
        """Whether the status is a success (200 to 299)."""
        return 200 <= self.status < 300


class HttpGet(WebConfig):
    """Reads addresses below `url` with GET; op `get` takes `path`.

    Every status is an answer: a 503 from a health endpoint says that the service is unwell, and
    that is what was asked.  No connection, or none in time, is a failed look: it does not say
    whether the service or the way to it is at fault.
    """

    type: Literal["http"] = Field(description="Always `http`.")
    max_kb: int = Field(
        1024,
        ge=1,
        le=65536,
        description="How much of an answer is kept; a longer one is cut and kept as text.",
    )

    ops: ClassVar[tuple[str, ...]] = ("get",)

    def fetch(self, request: Request) -> Raw:
        """Read the path; the reply is `{"status":..., "seconds":..., "body":...}`.

        Raises:
            LookFailed: no answer, or a path that leads out of `url`.
        """
        check_op(request, self.ops, ("path",))
        answer = self.call("GET", _below(text(request, "path", "")))
        body: Any = answer.body[: self.max_kb << 10].decode("utf-8", "replace")
        if len(answer.body) <= self.max_kb << 10:
            with suppress(*UNREADABLE):
                body = msgspec.json.decode(answer.body)  # otherwise it stays the text it is
        reply = HttpReply(status=answer.status, seconds=round(answer.seconds, 4), body=body)
        return Raw(body=msgspec.json.encode(reply))

    @staticmethod
    def read(request: Request, body: bytes) -> HttpReply:
        """Read a reply; pure.

        Raises:
            LookFailed: the reply is nonsense.
        """
        try:
            return msgspec.json.decode(body, type=HttpReply)
        except UNREADABLE:
            raise LookFailed(
                "not a reply of this source", on=request.source, next="look again"
            ) from None

    def probe(self) -> str:
        """Read `url` itself.

        Raises:
            LookFailed: no answer, or a credential that is not accepted.
        """
        answer = self.call("GET", "")
        if answer.status in (401, 403):
            raise status_failure(answer, secrets=self.secrets())
        return f"{self.url} answers with HTTP {answer.status}"


def _below(path: str) -> str:
    """The path, which must stay below the configured address."""
    plain = unquote(unquote(path.partition("?")[0]))
    steps = plain.split("/")
    if not _PATH.fullmatch(path) or "\\" in plain or ".." in steps or "." in steps:
        raise LookFailed(
            "not a path below the configured address",
            on=repr(path)[:80],
            next="write it like /healthz, percent-encoded",
        )
    return "/" + path.lstrip("/") if path else ""
