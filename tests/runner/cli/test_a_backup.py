"""A backup that is mounted read-only can be looked at, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

IRKIT = str(Path(sysconfig.get_path("scripts")) / "irkit")
IN_IT = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && cd "$1" && shift && exec "$@"'


def read_only(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command where the folder is on a file system that is mounted read-only."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "-r"]
    return subprocess.run(
        [*namespace, "sh", "-c", IN_IT, "sh", str(home), IRKIT, "-c", "irkit.yaml", *words],
        capture_output=True, text=True, timeout=60,
        env={k: v for k, v in os.environ.items() if not k.startswith("IRKIT_")},
    )  # fmt: skip


@pytest.fixture
def backup(played: Path) -> Path:
    """A backup as the manual makes it: the database, keys, runs and incidents."""
    (played / "irkit.yaml").chmod(0o644)
    for name in ("lock", "server.json", "irkit.db-shm", "irkit.db-wal"):
        (played / "state" / name).unlink(missing_ok=True)
    return played


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["incidents"], "IR-1"),
        (["show", "IR-1"], "IR-1  SEV1  resolved"),
        (["verify", "IR-1"], "intact: "),
        (["approvals"], "nothing waits"),
    ],
)
def test_it_is_read_as_it_is(backup: Path, words: list[str], says: str) -> None:
    done = read_only(backup, *words)
    assert done.returncode == 0, done.stderr
    assert says in done.stdout


def test_what_was_changed_in_it_is_found(backup: Path) -> None:
    page = backup / "state" / "incidents" / "IR-1" / "postmortem.html"
    page.write_bytes(page.read_bytes() + b"!")
    done = read_only(backup, "verify", "IR-1")
    assert done.returncode == 7, done.stderr
    assert "postmortem.html" in done.stdout


def test_its_newest_events_are_never_left_out_in_silence(backup: Path) -> None:
    (backup / "state" / "irkit.db-wal").write_bytes(b"a log that was copied along")
    done = read_only(backup, "show")
    assert done.returncode == 1
    assert "write-ahead log" in done.stderr
    assert "copy the folder" in done.stderr


@pytest.mark.parametrize("words", [["serve", "--listen", "127.0.0.1:0"], ["postmortem", "IR-1"]])
def test_what_would_write_says_what_to_do(backup: Path, words: list[str]) -> None:
    done = read_only(backup, *words)
    assert done.returncode == 1, done.stderr
    assert "the storage cannot be written (Read-only file system)" in done.stderr
    assert "set storage.path" in done.stderr


def test_a_key_that_was_lost_is_told_and_not_made_anew(backup: Path) -> None:
    shutil.rmtree(backup / "state" / "keys")
    done = read_only(backup, "verify", "IR-1")
    assert done.returncode == 7, done.stderr
    assert "the head's signature is not the runner's" in done.stdout
