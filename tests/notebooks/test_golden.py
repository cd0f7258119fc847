"""The shipped runbooks give what they gave when their recordings were made, output by output.

The recordings are of a real shop under a real Prometheus; `record.py` makes them and the golden
notebooks.  nbval executes each golden notebook again, offline, and compares.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from record import GOLDEN, RECORDINGS, STORIES, golden_source

from irkit.evidence.bundle import Bundle


def test_each_story_has_its_golden_notebook() -> None:
    assert sorted(p.stem for p in GOLDEN.glob("*.ipynb")) == sorted(STORIES)


@pytest.mark.parametrize("name", sorted({recording for _, recording, _ in STORIES.values()}))
def test_the_recordings_are_whole(name: str) -> None:
    bundle = Bundle.open(RECORDINGS / name)
    bundle.verify()
    assert bundle.looks
    assert sum(f.stat().st_size for f in (RECORDINGS / name).rglob("*") if f.is_file()) < 1_000_000


@pytest.mark.parametrize("name", sorted(STORIES))
def test_the_golden_notebook_is_the_runbook_as_it_stands(name: str) -> None:
    golden, runbook = nbformat.read(GOLDEN / f"{name}.ipynb", 4), golden_source(name)
    assert [(c.id, c.source) for c in golden.cells] == [(c.id, c.source) for c in runbook.cells]
    # nbval compares nothing where there are no outputs: every question has an answer here.
    answered = [c.id for c in golden.cells if c.cell_type == "code" and c.outputs]
    assert {"incident", "deploys", "signals", "logs", "suspects", "plan", "timeline"} <= set(
        answered
    )
    assert "error" not in {o.output_type for c in golden.cells for o in c.get("outputs", ())}


def nbval(*paths: Path) -> subprocess.CompletedProcess[str]:
    """Execute golden notebooks again and compare every output, in kernels of their own."""
    plain = ("-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", "-o", "filterwarnings=")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plain, "--nbval", "--nbval-current-env",
         *map(str, paths)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_the_golden_notebooks_give_the_same_again() -> None:
    done = nbval(*sorted(GOLDEN.glob("*.ipynb")))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    code = [
        cell for name in STORIES for cell in nbformat.read(GOLDEN / f"{name}.ipynb", 4).cells
        if cell.cell_type == "code"
    ]  # fmt: skip
    assert f"{len(code)} passed" in done.stdout


def test_a_changed_output_is_noticed(tmp_path: Path) -> None:
    notebook = nbformat.read(GOLDEN / "general-triage-quiet.ipynb", 4)
    cell = next(c for c in notebook.cells if c.id == "deploys")
    cell.outputs[0].data["text/plain"] = "something else"
    notebook.cells[0].source = notebook.cells[0].source.replace("..", str(RECORDINGS.parent))
    changed = tmp_path / "changed.ipynb"
    nbformat.write(notebook, changed)
    done = nbval(changed)
    assert done.returncode == 1
    assert "something else" in done.stdout
