"""Deploys as a git repository tells them: tags, or commits on a branch."""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator

from irkit.config import IntegrationConfig, Name
from irkit.errors import LookFailed
from irkit.http import said_by
from irkit.integrations._process import run
from irkit.integrations._request import check_op, text, window
from irkit.model.deploy import Deploy
from irkit.model.look import Request
from irkit.model.window import Window, parse_rfc3339
from irkit.ports import Raw

_FIELDS = 6  # time, version, previous, commit, by, message
_MAX_BYTES = 8 << 20
_MOST = 2000


class Git(IntegrationConfig):
    """A local git repository whose tags, or whose commits on one branch, stand for deploys.

    Op `history` takes `service` (empty: every service) and a window.  The time is that of the tag
    or the commit, which is when the change was made ready and not when it began to run: where
    something knows the deploys themselves, prefer that.

    Source: https://git-scm.com/docs/git-log and https://git-scm.com/docs/git-for-each-ref
    """

    type: Literal["git"] = Field(description="Always `git`.")
    path: Path = Field(description="The repository, relative to the config.")
    branch: str = Field("HEAD", description="The branch whose commits are deploys.")
    tags: str = Field(
        "", description="A pattern such as v*: tags of that form are deploys, commits are not."
    )
    services: dict[Name, list[str]] = Field(
        {}, description="The paths of each service; empty: the whole repository is any service's."
    )

    ops: ClassVar[tuple[str, ...]] = ("history",)

    @field_validator("branch", "tags")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if value.startswith("-") or "\0" in value or "\n" in value:
            raise ValueError("not a name of a branch or tag")
        return value

    def anchored(self, base: Path) -> Self:
        """The same, with the repository's path starting at `base`."""
        return self.model_copy(update={"path": (base / self.path).resolve()})

    def fetch(self, request: Request) -> Raw:
        """Ask git; six NUL-ended fields for each: time, version, previous, commit, by, message.

        Raises:
            LookFailed: no such repository or branch, or git does not end in time.
        """
        check_op(request, self.ops, ("service",))
        service, span = text(request, "service", ""), window(request)
        if self.services and service and service not in self.services:
            return Raw(body=b"", media=_MEDIA)
        paths = self.services.get(service, [])
        rows = self._tags(span) if self.tags else self._commits(span, paths)
        body = b"".join(field + b"\0" for row in rows for field in row)
        cut = "; truncated=lines" if len(rows) >= _MOST else ""
        return Raw(body=body, media=_MEDIA + cut)

    @staticmethod
    def read(request: Request, body: bytes) -> list[Deploy]:
        """The deploys, oldest first; pure.

        Raises:
            LookFailed: the reply is nonsense.
        """
        fields = body.split(b"\0")
        service = str(request.arguments.get("service") or "")
        if fields.pop() or len(fields) % _FIELDS:
            raise _nonsense(request.source)
        deploys = []
        for at in range(0, len(fields), _FIELDS):
            when, version, previous, commit, by, message = (
                one.decode("utf-8", "replace") for one in fields[at : at + _FIELDS]
            )
            try:
                moment = parse_rfc3339(when)
            except (ValueError, OverflowError):
                raise _nonsense(request.source) from None
            deploys.append(
                Deploy(
                    time=moment,
                    service=service,
                    version=version,
                    previous=previous,
                    by=by,
                    commit=commit,
                    message=message,
                    source=request.source,
                )
            )
        return sorted(deploys, key=lambda deploy: deploy.time)

    def probe(self) -> str:
        """Ask for the newest commit.

        Raises:
            LookFailed: there is none.
        """
        out = self._git("rev-parse", "--verify", "--end-of-options", f"{self.branch}^{{commit}}")
        return f"{self.path.name} at {out[:12].decode('ascii', 'replace')}"

    def _commits(self, span: Window, paths: list[str]) -> list[list[bytes]]:
        out = self._git(
            "log",
            "-z",
            "--first-parent",
            "--no-show-signature",
            f"--max-count={_MOST}",
            # git stops at the first older commit; clocks that disagree need some room
            f"--since={(span.start - timedelta(days=1)).isoformat()}",
            f"--until={span.end.isoformat()}",
            "--format=tformat:%cI%x00%h%x00%p%x00%H%x00%an%x00%s",
            "--end-of-options",
            self.branch,
            "--",
            *[f":(literal){path}" for path in paths],
        )
        rows = _rows(out)
        for row in rows:
            row[2] = row[2].split(b" ")[0]  # the first parent is what ran before
        return [row for row in rows if _in(span, row[0])]

    def _tags(self, span: Window) -> list[list[bytes]]:
        out = self._git(
            "for-each-ref",
            "--sort=creatordate",
            "--format=%(creatordate:iso-strict)%00%(refname:strip=2)%00%00"
            "%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)%00"
            "%(if)%(taggername)%(then)%(taggername)%(else)%(authorname)%(end)%00"
            "%(contents:subject)%00",
            f"refs/tags/{self.tags}",
        )
        rows = _rows(out.replace(b"\0\n", b"\0"))
        for before, row in pairwise(rows):
            row[2] = before[1]
        return [row for row in rows if _in(span, row[0])][-_MOST:]

    def _git(self, *words: str) -> bytes:
        ended = run(
            [
                "git", "--no-pager", "--no-optional-locks", "--no-replace-objects",
                "-c", f"safe.directory={self.path}",
                "-c", "core.fsmonitor=false",
                "-c", "core.hooksPath=/dev/null",
                "-C", str(self.path),
                *words,
            ],
            cwd=Path("/"),
            environment=_ENVIRONMENT | {"PATH": os.environ.get("PATH", os.defpath)},
            seconds=self.timeout.total_seconds(),
            max_bytes=_MAX_BYTES,
        )  # fmt: skip
        if ended.code is None:
            raise LookFailed(
                f"git did not end within {self.timeout.total_seconds():g} s",
                on=str(self.path),
                next="ask for a shorter window, or raise `timeout`",
                retryable=True,
            )
        if ended.code != 0:
            raise LookFailed(
                f"git: {said_by(ended.err)}", on=str(self.path), next="check path, branch and tags"
            )
        if ended.cut:
            raise LookFailed(
                "git's answer is larger than 8 MB", on=str(self.path), next="ask for less"
            )
        return ended.out


_MEDIA = "application/octet-stream"
# Nothing of the runner's own environment, no configuration but the repository's, no network.
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}


def _rows(out: bytes) -> list[list[bytes]]:
    fields = out.split(b"\0")
    whole = len(fields) - len(fields) % _FIELDS
    return [fields[at : at + _FIELDS] for at in range(0, whole, _FIELDS)]


def _in(span: Window, moment: bytes) -> bool:
    try:
        return parse_rfc3339(moment.decode("ascii", "replace")) in span
    except (ValueError, OverflowError):
        return False


def _nonsense(source: str) -> LookFailed:
    return LookFailed("not a reply of git", on=source, next="look again")
