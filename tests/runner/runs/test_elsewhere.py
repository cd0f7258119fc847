"""Runs on machines unlike this one, and runs whose runner is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from runs_seen import alive, executed, printed
from test_confinement import HOSTILE, script, serve, targets  # noqa: F401 - fixtures

import irkit
import runner
from runner.runs.confine import available
from runner.runs.launch import Limits, RunResult, RunSpec

ELSEWHERE = str(Path(__file__).parent / "elsewhere.py")


def there(how: str, runbook: Path, code: Path | None = None) -> RunResult:
    made = runbook.parent / "made"
    made.mkdir()
    made.chmod(0o777)
    moved = shutil.move(runbook, made)
    spec = RunSpec(run="r", runbook=str(moved), folder=str(made / "run-0"))
    done = subprocess.run(
        [sys.executable, ELSEWHERE, how, msgspec.json.encode(spec)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | ({"PYTHONPATH": str(code)} if code else {}),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=RunResult)


@pytest.mark.parametrize("how", ["no-namespaces", "container"])
def test_without_namespaces_a_run_is_held_by_landlock_and_says_what_is_not(
    how: str,
    write: Any,
    targets: dict[str, Any],  # noqa: F811
) -> None:
    marker = f"87654.{os.getpid()}"
    result = there(
        how,
        write(
            script(targets),
            f"import subprocess\nsubprocess.Popen(['sleep', '{marker}'], start_new_session=True)",
        ),
    )
    assert result.status == "succeeded", result.error_text
    assert not result.confinement.complete
    assert "Unix sockets" in str(result.confinement.missing)
    assert ("user: root's" in str(result.confinement.missing)) == (how == "container")
    reached = json.loads(printed(result))
    refused = reached.pop("refused")
    assert len(refused) + len(reached) == HOSTILE.count("@attempt(")
    # Root is root already in a container; it has no powers.
    assert set(reached) <= {"a Unix socket", "being root"}
    assert alive(marker) == []


def test_started_by_a_user_a_run_is_confined_as_well(
    write: Any,
    targets: dict[str, Any],  # noqa: F811
) -> None:
    how = "user" if os.geteuid() == 0 else "here"
    result = there(how, write(script(targets)))
    assert result.status == "succeeded", result.error_text
    reached = json.loads(printed(result))
    refused = reached.pop("refused")
    assert len(refused) + len(reached) == HOSTILE.count("@attempt(")
    if result.confinement.complete:
        assert reached == {}
    else:
        assert result.confinement.missing
    assert executed(result).metadata.irkit.status == "succeeded"


def test_code_that_only_its_owner_can_read_runs_and_the_result_says_so(
    write: Any,
    targets: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    code = tmp_path / "code"
    for package in (irkit, runner):
        source = Path(str(package.__file__)).parent
        ignored = shutil.ignore_patterns("__pycache__", "demo", "web", "*.json*")
        shutil.copytree(source, code / source.name, ignore=ignored)
    (code / "runner" / "__init__.py").chmod(0o600)
    result = there("here", write(script(targets)), code)
    assert result.status == "succeeded", result.error_text
    reached = json.loads(printed(result))
    assert set(reached) <= {"refused"} or not available().complete
    assert ("root's number" in str(result.confinement.missing)) == (os.geteuid() == 0)


def test_nothing_survives_a_runner_that_is_killed(write: Any, tmp_path: Path) -> None:
    marker = f"76543.{os.getpid()}"
    runbook = write(
        f"import subprocess\nsubprocess.Popen(['sleep', '{marker}'], start_new_session=True)",
        "while True: pass",
    )
    spec = RunSpec(
        run="r",
        runbook=str(runbook),
        folder=str(tmp_path / "run-0"),
        limits=Limits(wall_seconds=120),
    )
    process = subprocess.Popen([sys.executable, ELSEWHERE, "here", msgspec.json.encode(spec)])
    try:
        until(lambda: alive(marker), "the run's own child appears")
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 4  # the two of the run, its kernel, and what the cell started
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: not alive(marker), "what the cell started is gone")
    until(lambda: not any(living(process) for process in family), "the whole run is gone")


def living(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)
