"""A shop per test, and how to wait for things that happen in other processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from runner.demo.shop import Shop

Until = Callable[..., None]


@pytest.fixture
def until() -> Until:
    """Wait on a condition: `until(lambda: ..., within=seconds)`; fails when the time is over."""

    def wait(condition: Callable[[], object], within: float = 20.0) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.005)

    return wait


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "shop", seed=7) as opened:
        yield opened


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `python -m MODULE ARGUMENT...`; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(module: str, *arguments: object) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", module, *map(str, arguments)]
        process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; one that ended and waits to be reaped does not."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture
def still_alive() -> Callable[[list[psutil.Process]], list[psutil.Process]]:
    return alive


@pytest.fixture
def running() -> Callable[..., list[psutil.Process]]:
    """The live descendants of this process whose command lines hold all of `words`."""

    def find(*words: object) -> list[psutil.Process]:
        found = []
        for process in alive(psutil.Process().children(recursive=True)):
            try:
                command = " ".join(process.cmdline())
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if all(str(word) in command for word in words):
                found.append(process)
        return found

    return find
