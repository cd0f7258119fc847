"""What a run may have on the disk: bounded, however it goes about it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from runs_seen import printed

from runner.runs import disk
from runner.runs.launch import Limits

MB = 1_000_000
SMALL = Limits(wall_seconds=60, disk_mb=40, file_mb=20)
FILL = """
print('began', flush=True)
import os, time
kept = []
for n in range(12):
    kept.append(open(f'part-{n}', 'wb', buffering=0))
    AND_THEN
    kept[-1].write(bytes(8_000_000))
time.sleep(600)
"""


@pytest.mark.parametrize("then", ["pass", "os.unlink(f'part-{n}')"], ids=["files", "deleted files"])
def test_a_run_that_fills_the_disk_is_ended(run: Any, then: str) -> None:
    result = run("print('before')", FILL.replace("AND_THEN", then), limits=SMALL)
    assert (result.status, result.cell) == ("killed", 2)
    assert result.error == "the run wrote more than 40 MB to the disk; the limit is runs.disk_mb"
    assert printed(result) == "before\nbegan\n"
    work = Path(result.notebook).parent / "work"
    assert os.listdir(work) == [], "what it wrote is still there"


def test_memory_that_looks_like_a_disk_is_bounded(run: Any) -> None:
    result = run(
        "try:\n"
        "    with open('/dev/shm/big', 'wb', buffering=0) as file:\n"
        "        print(sum(file.write(bytes(1_000_000)) for _ in range(100)))\n"
        "except OSError as error: print('refused', error.errno)"
    )
    assert result.status == "succeeded"
    assert printed(result).startswith("refused")


def test_what_counts(tmp_path: Path) -> None:
    def used() -> float:
        return disk.used(str(tmp_path), os.getpid(), 1e12)

    assert used() < 1 * MB
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(500 * MB)
    assert used() < 1 * MB
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(os.urandom(2 * MB))
    os.link(tmp_path / "a" / "b" / "file", tmp_path / "again")
    assert 2 * MB <= used() < 3 * MB, "a file with two names counts once"
    with open(tmp_path / "gone", "wb") as file:
        file.write(os.urandom(2 * MB))
        file.flush()
        os.unlink(tmp_path / "gone")
        assert 4 * MB <= used() < 5 * MB
    assert used() < 3 * MB
    for n in range(300):
        (tmp_path / "a" / str(n)).touch()
    assert used() > 3 * MB, "many empty files are not free"


def test_a_folder_too_deep_to_look_into_counts_as_too_much(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert disk.used(str(tmp_path), os.getpid(), 1e12) == float("inf")
    disk.clear(str(tmp_path))
    assert os.listdir(tmp_path) == []
