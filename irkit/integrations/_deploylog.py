"""A deploy history as JSON lines: what the shop's and anybody's deploy script appends to.

One object per line: `time` (RFC 3339), `service` and `version`; optionally `previous`, `by`,
`commit`, `message`, `reason` and `key`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from irkit.errors import LookFailed
from irkit.integrations._json import UNREADABLE
from irkit.model.deploy import Deploy
from irkit.model.window import parse_rfc3339

MAX_BYTES = 64 << 20


class _Line(msgspec.Struct):
    time: str
    service: str
    version: str
    previous: str | None = None
    by: str | None = None
    commit: str | None = None
    message: str | None = None
    reason: str | None = None
    key: str | None = None


def lines_of(path: Path) -> list[bytes]:
    """The file's whole lines; one that is still being written is left out.

    Raises:
        LookFailed: it cannot be read, or is larger than 64 MB.
    """
    try:
        with path.open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise LookFailed(
            "there is no deploy history", on=str(path), next="check the path in the config"
        ) from None
    except OSError as why:
        raise LookFailed(
            f"cannot read the deploy history ({type(why).__name__})",
            on=str(path),
            next="make the file readable for the runner",
        ) from None
    if len(body) > MAX_BYTES:
        raise LookFailed(
            "the deploy history is larger than 64 MB", on=str(path), next="archive its older part"
        )
    return [line for line in body[: body.rfind(b"\n") + 1].split(b"\n") if line.strip()]


def deploy_of(line: bytes, *, source: str = "") -> Deploy | None:
    """The deploy on a line; None where the line cannot be read."""
    try:
        given = msgspec.json.decode(line, type=_Line)
        moment = parse_rfc3339(given.time)
    except (*UNREADABLE, ValueError, OverflowError):
        return None
    if not given.service or not given.version:
        return None
    return Deploy(
        time=moment,
        service=given.service,
        version=given.version,
        previous=given.previous or "",
        by=given.by or "",
        commit=given.commit or "",
        message=given.message or "",
        reason=given.reason or "",
        key=given.key or "",
        source=source,
    )


def deploys_of(lines: Iterable[bytes], *, source: str = "") -> tuple[list[Deploy], int]:
    """The deploys in the order of time, and how many lines cannot be read."""
    read = [deploy_of(line, source=source) for line in lines]
    found = [deploy for deploy in read if deploy is not None]
    return sorted(found, key=lambda deploy: deploy.time), len(read) - len(found)


def path_back(deploys: Sequence[Deploy]) -> list[str]:
    """The versions that one service came through to what it runs now, which is the last.

    Going back to an earlier version drops those after it: who rolled back from a version does not
    want to come back to it by rolling back once more.

    Example:
        >>> from datetime import UTC, datetime
        >>> moment = datetime(2026, 3, 1, tzinfo=UTC)
        >>> path_back([Deploy(time=moment, service="web", version=v) for v in ("1", "2", "1", "3")])
        ['1', '3']
    """
    path: list[str] = []
    for deploy in deploys:
        for version in (deploy.previous, deploy.version):
            if version in path:
                del path[path.index(version) + 1 :]
            elif version:
                path.append(version)
    return path
