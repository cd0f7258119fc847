"""Asking a running shop's supervisor over its Unix socket: one JSON line there, one back.

The protocol is private to this package; `deploy.py` and `Shop` speak it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from irkit.errors import AlreadyRunning, BadInput, IrkitError, LookFailed, NotFound, Refused

SOCKET = "supervisor.sock"
ANSWER_WITHIN = 30.0
"""Seconds; a deploy takes well under one, and waits for the ones before it."""
MAX_LINE = 64 * 1024


class DeployFailed(IrkitError):
    """The new version did not start, or could not be recorded; the old one still runs."""

    exit_code = 6


def encode_error(error: IrkitError) -> dict[str, str]:
    """An error as JSON for the other side of the socket."""
    reason = error.reason if isinstance(error, Refused) else ""
    return {
        "kind": type(error).__name__,
        "what": error.what,
        "on": error.on,
        "next": error.next,
        "reason": reason,
    }


def decode_error(given: dict[str, str]) -> IrkitError:
    """The error that the other side encoded."""
    if given["kind"] == "Refused":
        return Refused(given["what"], reason=given["reason"], on=given["on"], next=given["next"])
    kinds: dict[str, type[IrkitError]] = {
        kind.__name__: kind
        for kind in (AlreadyRunning, BadInput, DeployFailed, LookFailed, NotFound)
    }
    return kinds.get(given["kind"], IrkitError)(given["what"], on=given["on"], next=given["next"])


@contextmanager
def address(home: Path) -> Iterator[str]:
    """The path of the supervisor's socket, short enough for the kernel however deep `home` lies.

    A Unix socket's path may have 107 bytes (unix(7)); on Linux the folder is named through
    an open descriptor instead.
    """
    if sys.platform != "linux":
        yield str(home / SOCKET)
        return
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


def ask(home: Path, verb: str, **arguments: Any) -> dict[str, Any]:
    """Ask the supervisor of the shop in `home`; returns its answer.

    Raises NotFound when no shop runs there, LookFailed when it gives no answer (what was asked may
    still happen), and whatever error the supervisor answers with.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_WITHIN)
        try:
            with address(home) as path:
                connection.connect(path)
        except OSError as error:
            raise NotFound(
                "no shop runs here",
                on=str(home),
                next=f"start one: python -m runner.demo.shop --home {home}",
            ) from error
        try:
            connection.sendall(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
            with connection.makefile("rb") as reply:
                line = reply.readline(MAX_LINE)
            answer: dict[str, Any] = json.loads(line)
        except (OSError, ValueError) as error:
            raise LookFailed(
                "the shop's supervisor gave no answer",
                on=f"{verb} in {home}",
                next="ask for the status, or repeat it with the same key: it is done once",
            ) from error
    if "error" in answer:
        raise decode_error(answer["error"])
    return answer
