"""What must hold before a change of the config or a runbook is merged."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from runner.runs.parameters import declared

ROOT = Path(__file__).resolve().parent.parent
RUNBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def irkit(*words: str) -> str:
    """What `irkit` prints; a failure shows its error."""
    command = [sys.executable, "-c", "from runner.cli import main; main()", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_a_runbook() -> None:
    assert RUNBOOKS


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_is_a_notebook_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    dirty = [
        number
        for number, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count)
    ]
    assert not dirty, f"clear the outputs of cells {dirty} of {path.name}"


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_declares_what_a_run_is_told(path: Path) -> None:
    known = declared(path)
    assert {"incident", "service", "since"} <= set(known)
    assert all(one.help for one in known.values()), "say beside each parameter what it is"


def test_the_config_is_right() -> None:
    assert "all is well" in irkit("check")


def test_the_sample_alert_starts_the_runbook() -> None:
    (found,) = json.loads(irkit("route", "tests/alert.json", "--json"))
    assert found["runbook"] == "my-error-rate"
    assert found["service"] == "checkout"
    assert found["firing"] is True
