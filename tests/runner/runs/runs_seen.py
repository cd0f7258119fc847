"""What a run left behind."""

from __future__ import annotations

from typing import Any

import nbformat
import psutil

from runner.runs.launch import RunResult


def executed(result: RunResult) -> Any:
    """The notebook that a run left, which must be valid."""
    with open(result.notebook, encoding="utf-8") as file:
        made = nbformat.read(file, as_version=4)
    nbformat.validate(made)
    return made


def printed(result: RunResult) -> str:
    """All that a run's notebook shows as text."""
    outputs = [out for cell in executed(result).cells for out in cell.get("outputs", ())]
    return "".join(out.get("text", "") for out in outputs)


def alive(marker: str) -> list[int]:
    """The processes of this machine whose command line holds `marker`."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and marker in " ".join(process.cmdline()):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
