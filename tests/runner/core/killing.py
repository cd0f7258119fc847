"""Kill -9 of a process and everything that it started, and a look at what is left."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """All descendants of a process, itself not among them."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def kill_all(pids: list[int]) -> None:
    """Kill these, those that are gone already passed over."""
    for one in pids:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def kill_tree(pid: int, *, spare_me: bool = False) -> None:
    """Kill a process and its descendants; the caller last, or not at all."""
    me = os.getpid()
    kill_all([one for one in [pid, *children_of(pid)] if one != me])
    if not spare_me:
        os.kill(me, signal.SIGKILL)


def living_in(home: Path) -> list[str]:
    """The processes that work in a folder or were started with its name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                given = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                words = given.decode(errors="replace")
                with suppress(OSError):
                    words += " in " + os.readlink(entry / "cwd")
                if str(home) in words:
                    found.append(f"{entry.name}: {words}")
    return found
