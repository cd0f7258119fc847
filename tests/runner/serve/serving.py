"""Real processes for the tests of `irkit serve`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
IRKIT = str(Path(sysconfig.get_path("scripts")) / "irkit")
SECRETS = {
    "AM_TOKEN": "token-of-the-alertmanager",
    "ADA_TOKEN": "token-of-ada",
    "BEN_TOKEN": "token-of-ben",
}


def until(look: Callable[[], T | None], what: str, seconds: float = 40) -> T:
    """Ask until there is an answer, and fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def irkit(
    folder: Path, *args: str, token: str = "", secrets: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One `irkit` command in a folder, as from a cron job: without a terminal."""
    return subprocess.run(
        [IRKIT, *args],
        cwd=folder, env=environment(SECRETS if secrets is None else secrets, token),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
    )  # fmt: skip


def environment(secrets: dict[str, str], token: str = "") -> dict[str, str]:
    """What an operator's shell has: the secrets, and none of the test's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("IRKIT_")}
    return kept | secrets | ({"IRKIT_TOKEN": token} if token else {})


class Serving:
    """`irkit serve` as a process of its own; what it prints goes to files."""

    def __init__(self, folder: Path) -> None:
        self.out, self.err = folder / "serve.out", folder / "serve.err"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [IRKIT, "-c", "irkit.yaml", "serve"],
                cwd=folder, env=environment(SECRETS) | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        try:
            self.link = until(self._link, "it says where it is")
        except AssertionError:
            self.end()
            raise AssertionError(self.err.read_text()) from None
        self.url = self.link.partition("/login")[0]

    def _link(self) -> str | None:
        assert self.process.poll() is None, self.err.read_text()
        found = re.search(r"^pages +(\S+)", self.out.read_text(), re.MULTILINE)
        return found[1] if found else None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def end(self) -> None:
        """Kill it if it is still there."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
