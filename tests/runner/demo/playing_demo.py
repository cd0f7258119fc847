"""Runs `irkit demo` as a user does: without a terminal, or at one that answers questions."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sysconfig
import termios
import time
from pathlib import Path

IRKIT = str(Path(sysconfig.get_path("scripts")) / "irkit")


def offline() -> dict[str, str]:
    """An environment in which every request to a network fails at once."""
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return kept | {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}


def irkit(*args: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """One command without a terminal."""
    return subprocess.run(
        [IRKIT, *args], env=offline(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=seconds,
    )  # fmt: skip


def at_a_terminal(
    *args: str, prompt: str, answer: str, columns: int = 80, seconds: float = 60
) -> tuple[int, str]:
    """One command at a terminal that types `answer` when it reads `prompt`; code and screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = offline() | {"TERM": "xterm-256color"}
    for name in ("NO_COLOR", "COLUMNS", "LINES", "CI"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [IRKIT, *args], env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    screen, answered, deadline = b"", False, time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 0.2)
            try:
                screen += os.read(ours, 65536) if ready else b""
            except OSError:  # how Linux says that nobody holds the other end any more
                break
            if not answered and prompt.encode() in screen:
                os.write(ours, answer.encode() + b"\n")
                answered = True
        return process.wait(max(deadline - time.monotonic(), 1)), screen.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
