"""The runbook that a page builds, cell by cell, runs as it is printed there."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from notebook_world import OPENED, MemorySession, acted, chain, waiting

import irkit.evidence
from irkit.errors import BadInput
from runner.runs import parameters

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "writing-a-runbook.md").read_text(encoding="utf-8")
CELLS = re.findall(
    r"^```python\n(.*?)^```$",
    PAGE.split("## The cells")[1].split("\n## ")[0],
    re.MULTILINE | re.DOTALL,
)


def play(session: MemorySession, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Run the cells in order; returns what each one shows."""
    monkeypatch.setattr(irkit.evidence, "connect", lambda: session)
    names: dict[str, Any] = {}
    shown = []
    for number, cell in enumerate(CELLS, 1):
        tree = ast.parse(cell)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"cell {number}", "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names))
    return shown


def test_it_runs_and_proposes_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    session = MemorySession(events=chain(*OPENED))
    session.proposal = waiting
    shown = play(session, monkeypatch)
    assert len(shown) == len(CELLS) - 1, "every cell but the parameters shows something"
    assert all(one._repr_html_() for one in shown)
    assert [(ask.action, ask.target) for ask in session.asked if ask.commit] == [
        ("rollback", "checkout")
    ]


def test_it_tells_of_the_act_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = play(MemorySession(events=acted()), monkeypatch)
    assert any("recovered" in repr(one) for one in shown)


def test_its_first_cell_declares_its_parameters(tmp_path: Path) -> None:
    import nbformat

    cell = nbformat.v4.new_code_cell(CELLS[0], metadata={"tags": ["parameters"]})
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "slow-requests.ipynb")
    declared = parameters.declared(tmp_path / "slow-requests.ipynb")
    assert list(declared) == ["incident", "service", "since"]
    parameters.check(declared, {"service": "checkout", "since": "2h"})
    with pytest.raises(BadInput, match="did you mean 'since'"):
        parameters.check(declared, {"sinse": "2h"})
