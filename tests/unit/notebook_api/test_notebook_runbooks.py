"""The shipped runbooks run to their end on whatever they meet, and propose only what fits."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest
from msgspec.structs import replace
from notebook_world import CATALOG, OPENED, MemorySession, acted, chain, waiting
from test_notebook_looks import safe

import irkit.evidence
from irkit.model.catalog import Catalog, Service

FOLDER = Path(__file__).parents[3] / "notebooks"
RUNBOOKS = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def play(runbook: str, session: MemorySession, **parameters: str) -> dict[str, Any]:
    """Run the cells in order; returns what each code cell shows, by the cell's id."""
    patch = pytest.MonkeyPatch()
    patch.setattr(irkit.evidence, "connect", lambda: session)
    names: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    try:
        for cell in nbformat.read(FOLDER / f"{runbook}.ipynb", 4).cells:
            if cell.cell_type != "code":
                continue
            tree = ast.parse(cell.source)
            last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, cell.id, "exec"), names)
            if isinstance(last, ast.Expr):
                shown[cell.id] = eval(compile(ast.Expression(last.value), cell.id, "eval"), names)
            if "parameters" in cell.metadata.get("tags", ()):
                names |= parameters
    finally:
        patch.undo()
    for value in shown.values():
        safe(value)
    return shown


def test_both_runbooks_are_here() -> None:
    assert RUNBOOKS == ["general-triage", "high-error-rate"]


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_a_runbook_is_well_formed(runbook: str) -> None:
    notebook = nbformat.read(FOLDER / f"{runbook}.ipynb", 4)
    nbformat.validate(notebook)
    cells = notebook.cells
    assert len({cell.id for cell in cells}) == len(cells)
    assert [c.id for c in cells if "parameters" in c.metadata.get("tags", ())] == ["parameters"]
    for before, cell in pairwise(cells):
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
            assert before.cell_type == "markdown"
            assert len([line for line in cell.source.splitlines() if line]) <= 5
    for words in ("Use it", "What it may do", "What it cannot see"):
        assert words in cells[0].source


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_a_bad_release_is_found_and_its_rollback_planned(runbook: str) -> None:
    session = MemorySession(events=chain(*OPENED))
    session.proposal = waiting
    shown = play(runbook, session)
    top = shown["suspects"].top
    assert top.service == "checkout"
    assert "1.4.2" in top.change
    assert "Roll back checkout" in repr(shown["plan"])
    committed = [ask for ask in session.asked if ask.commit]
    assert len(committed) == (runbook == "high-error-rate")
    (note,) = session.notes
    assert note.suspects is not None
    assert note.suspects[0].service == "checkout"
    assert note.onset is not None


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_with_nothing_wrong_nothing_is_proposed(runbook: str) -> None:
    session = MemorySession(broken=False)
    session.proposal = waiting
    shown = play(runbook, session, service="checkout")
    assert not shown["suspects"].top
    assert "nothing stands out" in repr(shown["suspects"])
    assert "nothing proposed" in repr(shown["plan"])
    assert session.asked == []
    assert session.notes[0].suspects == ()


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_after_the_act_the_earlier_outcome_is_told(runbook: str) -> None:
    shown = play(runbook, MemorySession(events=acted()))
    if runbook == "high-error-rate":
        assert "recovered" in repr(shown["run"])
        assert shown["after"]
    else:
        assert "recovered" in repr(shown["acts"])


@pytest.mark.parametrize("runbook", RUNBOOKS)
@pytest.mark.parametrize(
    "down", [("prom",), ("logs",), ("history", "web"), ("prom", "logs", "history", "web")]
)
def test_sources_that_are_down_are_gaps_and_not_the_end(
    runbook: str, down: tuple[str, ...]
) -> None:
    shown = play(runbook, MemorySession(events=chain(*OPENED), failing=down))
    assert shown["suspects"].gaps
    if "prom" in down and "logs" in down:
        assert not shown["suspects"].top


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_a_bare_or_unknown_service_is_all_gaps(runbook: str) -> None:
    bare = Catalog(services={"lonely": Service(name="lonely")})
    shown = play(runbook, MemorySession(catalog=bare), service="lonely")
    assert shown["suspects"].gaps
    assert not shown["suspects"].top
    play(runbook, MemorySession(catalog=bare))
    play(runbook, MemorySession(events=chain(*OPENED), catalog=bare))


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_a_service_without_a_rollback_gets_no_proposal(runbook: str) -> None:
    services = {name: replace(s, actions={}) for name, s in CATALOG.services.items()}
    session = MemorySession(events=chain(*OPENED), catalog=Catalog(services=services))
    shown = play(runbook, session)
    assert shown["suspects"].top.service == "checkout"
    assert "the catalog allows no such action" in repr(shown["plan"])
    assert session.asked == []
