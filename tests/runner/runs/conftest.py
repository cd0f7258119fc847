"""Runbooks made on the spot, and real runs of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runner.runs.launch import Limits, RunResult, RunSpec, launch

Write = Callable[..., Path]
Run = Callable[..., RunResult]


def notebook(*cells: str, parameters: str | None = None) -> Any:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    if parameters is not None:
        cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        made.cells.insert(0, cell)
    return made


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a runbook of these cells; its path."""
    numbers = itertools.count()

    def write(*cells: str, parameters: str | None = None) -> Path:
        path = tmp_path / f"runbook-{next(numbers)}.ipynb"
        nbformat.write(notebook(*cells, parameters=parameters), path)
        return path

    return write


@pytest.fixture
def run(tmp_path: Path, write: Write) -> Run:
    """Runs these cells to their end, in a folder of their own."""
    numbers = itertools.count()

    def run(
        *cells: str,
        parameters: str | None = None,
        given: dict[str, Any] | None = None,
        limits: Limits | None = None,
        on_progress: Any = None,
        stop: Any = None,
        **more: Any,
    ) -> RunResult:
        number = next(numbers)
        spec = RunSpec(
            run=f"run-{number}",
            runbook=str(write(*cells, parameters=parameters)),
            folder=str(tmp_path / f"run-{number}"),
            parameters=given or {},
            limits=limits or Limits(wall_seconds=60),
            **more,
        )
        return launch(spec, on_progress, stop)

    return run
