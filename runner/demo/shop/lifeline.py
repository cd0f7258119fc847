"""How a process of the shop is kept from outliving the one that started it.

Two ways, because each has a hole. A *lifeline* is the child's standard input: a pipe whose other
end only the starter holds, so it reads end-of-file when the starter is gone; a stopped or hung
child does not read. PDEATHSIG makes the kernel kill the child; it fires when the starting *thread*
ends, so it is used only below single-threaded processes (the supervisor, the guard).
Source: prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; `parent` is the expected pid.

    Meant to run between fork and exec, so that not even a child that is stopped while it loads is
    left behind. On systems other than Linux the lifeline alone does this.
    """
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(1)


def starter_is_gone(parent: int, wait: float, *also: int) -> bool:
    """Wait up to `wait` seconds for the lifeline or one of the descriptors `also`.

    True when the starter has closed the lifeline (standard input) or is no longer the parent: a
    forked sibling can hold a copy of the pipe, so the parent's pid is asked too.
    """
    readable, _, _ = select.select([0, *also], [], [], wait)
    return (0 in readable and os.read(0, 64) == b"") or os.getppid() != parent


def environment() -> dict[str, str]:
    """What a process of the shop may see of the starter's environment: nothing secret."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}


def python(module: str, *arguments: str) -> list[str]:
    """The argv that runs a module of this package in a new interpreter.

    Example:
        >>> python("load", "--seed", "1")[2:]
        ['-m', 'runner.demo.shop.load', '--seed', '1']
    """
    return [sys.executable, "-P", "-m", f"runner.demo.shop.{module}", *arguments]
