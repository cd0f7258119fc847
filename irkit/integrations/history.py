"""Deploys from a file of JSON lines, as a deploy script writes it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field

from irkit.config import IntegrationConfig
from irkit.errors import LookFailed
from irkit.integrations._deploylog import deploy_of, deploys_of, lines_of
from irkit.integrations._request import check_op, text, window
from irkit.model.deploy import Deploy
from irkit.model.look import Request
from irkit.ports import Raw

_MAX_BAD = 100


class History(IntegrationConfig):
    """A deploy history: one JSON object per line, appended to after each deploy.

    Each has `time` (RFC 3339 with a zone), `service`, `version`, and optionally `previous`, `by`,
    `commit`, `message`, `reason`, `key`.  Op `history` takes `service` (empty: every service) and a
    window; the reply is the lines as they stand, with those that cannot be read counted in its
    media type (`bad=2`).
    """

    type: Literal["history"] = Field(description="Always `history`.")
    path: Path = Field(description="The file, relative to the config.")

    ops: ClassVar[tuple[str, ...]] = ("history",)

    def anchored(self, base: Path) -> Self:
        """The same, with the path starting at `base`."""
        return self.model_copy(update={"path": base / self.path})

    def fetch(self, request: Request) -> Raw:
        """The lines of that service and window, oldest first, and those that cannot be read.

        Raises:
            LookFailed: the file cannot be read.
        """
        check_op(request, self.ops, ("service",))
        service, span = text(request, "service", ""), window(request)
        kept: list[bytes] = []
        bad = 0
        for line in lines_of(self.path):
            deploy = deploy_of(line)
            if deploy is None:
                bad += 1
                if bad <= _MAX_BAD:
                    kept.append(line)
            elif deploy.time in span and service in ("", deploy.service):
                kept.append(line)
        body = b"".join(line + b"\n" for line in kept)
        return Raw(body=body, media=f"application/x-ndjson; bad={bad}" if bad else _MEDIA)

    @staticmethod
    def read(request: Request, body: bytes) -> list[Deploy]:
        """The deploys, oldest first; pure.

        Raises:
            LookFailed: there are lines, and not one can be read.
        """
        deploys, bad = deploys_of(filter(None, body.split(b"\n")), source=request.source)
        if bad and not deploys:
            raise LookFailed(
                f"not a deploy history: none of {bad} lines can be read",
                on=request.source,
                next="each line is a JSON object with time, service and version",
            )
        return deploys

    def probe(self) -> str:
        """Read the file.

        Raises:
            LookFailed: it cannot be read.
        """
        deploys, bad = deploys_of(lines_of(self.path))
        unread = f", {bad} lines cannot be read" if bad else ""
        return f"{len(deploys)} deploys in {self.path.name}{unread}"


_MEDIA = "application/x-ndjson"
