"""Running a command: an argv list, a clean environment, a time limit, bounded output."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from irkit.errors import LookFailed
from irkit.model.base import Value

_AFTER_EXIT = 0.2  # how long output may still trickle in from children that were left running


class Finished(Value, frozen=True, kw_only=True):
    """How a command ended; `code` is None when it was stopped at its time limit.

    `out` and `err` hold the first bytes of each, up to the limit; `cut` says that there were more.
    """

    code: int | None
    out: bytes
    err: bytes
    cut: bool
    seconds: float


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    seconds: float,
    max_bytes: int,
) -> Finished:
    """Run it without a shell and wait; at the time limit its whole process group is killed.

    It gets no input, only the environment given, and a process group of its own.

    Raises:
        LookFailed: it cannot be started.
    """
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as why:
        raise LookFailed(
            f"cannot start the command ({type(why).__name__})",
            on=argv[0],
            next="check that it is installed, executable, and that its folder exists",
        ) from None
    try:
        out, err, cut, late = _collect(process, started + seconds, max_bytes)
    finally:
        if process.poll() is None:  # late, or we were interrupted
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
        process.wait()
    return Finished(
        code=None if late else process.returncode,
        out=out,
        err=err,
        cut=cut,
        seconds=time.monotonic() - started,
    )


def _collect(
    process: subprocess.Popen[bytes], deadline: float, max_bytes: int
) -> tuple[bytes, bytes, bool, bool]:
    """Read both pipes until the command ends: output, errors, whether cut, whether too late.

    A child that it leaves running with a pipe open keeps nobody waiting.
    """
    kept: dict[int, bytearray] = {}
    cut = late = False
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None  # both were asked for
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ)
            kept[pipe.fileno()] = bytearray()
        limit, ended = deadline, False
        while selector.get_map():
            now = time.monotonic()
            if not ended and process.poll() is not None:
                limit, ended = now + _AFTER_EXIT, True
            if now >= limit:
                late = not ended
                break
            for key, _ in selector.select(min(limit - now, 0.05)):
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fileobj)
                room = max_bytes - len(kept[key.fd])
                kept[key.fd] += chunk[:room]
                cut = cut or len(chunk) > room
    if not late:
        try:  # with both pipes closed it may still go on
            process.wait(max(deadline - time.monotonic(), 0.001))
        except subprocess.TimeoutExpired:
            late = True
    out, err = (bytes(one) for one in kept.values())
    return out, err, cut, late
