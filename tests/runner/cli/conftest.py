"""Incidents to type commands at: one that a demo left behind, one whose plan waits."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

sys.path.insert(0, str(Path(__file__).parents[2] / "web"))

import scene

from runner.cli import cli
from runner.demo.narrator import Narrator
from runner.demo.replay import replay


@dataclass(frozen=True)
class Told:
    """What a command printed, and its exit code as `main` gives it to the shell."""

    code: int
    out: str
    err: str


Type = Callable[..., Told]


def _told(result: Result) -> Told:
    from irkit.errors import IrkitError

    why = result.exception
    if isinstance(why, IrkitError):
        return Told(why.exit_code, result.stdout, result.stderr + f"error: {why}\n")
    if why is not None and not isinstance(why, SystemExit):
        raise why
    return Told(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types a command in a folder, in this process; `token` is whose token is set."""

    def type_it(folder: Path, *args: str, token: str = "", input: str = "") -> Told:
        monkeypatch.chdir(folder)
        monkeypatch.delenv("IRKIT_CONFIG", raising=False)
        monkeypatch.setenv("IRKIT_TOKEN", token)
        return _told(CliRunner().invoke(cli, args, input=input))

    return type_it


@pytest.fixture(scope="session")
def _played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("played") / "home"
    home.mkdir()
    replay("failing-release", home, Narrator())
    return home


@pytest.fixture
def played(_played: Path, tmp_path: Path) -> Path:
    """A copy of the folder of a demo that ended well: IR-1, resolved and exported."""
    return shutil.copytree(_played, tmp_path / "played")


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with IR-1, whose plan P-1a2b3c4d waits for ada or ben; no runner is running."""
    for name, value in scene.environment().items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "waiting"
    home.mkdir()
    (home / "irkit.yaml").write_text(scene.CONFIG)
    # The plan must not have expired by the wall clock, which the commands go by.
    from irkit.clock import SystemClock

    runner: Any = scene.runner_in(home, clock=SystemClock())  # type: ignore[arg-type]
    try:
        incident = scene.opened(runner)
        scene.diagnosed(runner, incident)
        scene.planned(runner, incident)
    finally:
        runner.close()
    return home
