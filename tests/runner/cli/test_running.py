"""`irkit run`: any notebook, with or without a config; a failure is a page and an exit code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

if TYPE_CHECKING:
    from conftest import Told, Type


def notebook(path: Path, *cells: str, parameters: str = "") -> Path:
    made = nbformat.v4.new_notebook()
    if parameters:
        tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        made.cells.append(tagged)
    made.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(made, path)
    return path


def paths(told: Told) -> dict[str, Path]:
    return {k: Path(v) for k, v in re.findall(r"^(\w+): +(\S+)$", told.out, re.MULTILINE)}


def test_any_notebook_without_a_config(tmp_path: Path, type_in: Type) -> None:
    notebook(tmp_path / "any.ipynb", "print('it is', 6 * n)", parameters="n: int = 1")
    told = type_in(tmp_path, "run", "any.ipynb", "-p", "n=7")
    assert told.code == 0, told.err
    made = paths(told)
    assert set(made) == {"notebook", "page", "evidence"}
    assert "it is 42" in made["page"].read_text()
    executed = nbformat.read(made["notebook"], as_version=4)
    assert "it is 42" in str(executed.cells[-1].outputs)
    assert nbformat.read(tmp_path / "any.ipynb", as_version=4).cells[-1].outputs == []


def test_two_runs_in_one_second_do_not_meet(tmp_path: Path, type_in: Type) -> None:
    notebook(tmp_path / "any.ipynb", "1 + 1")
    first, second = (paths(type_in(tmp_path, "run", "any.ipynb")) for _ in range(2))
    assert first["notebook"] != second["notebook"]


def test_a_cell_that_raises(tmp_path: Path, type_in: Type) -> None:
    notebook(tmp_path / "bad.ipynb", "print('so far')", "1 / 0", "print('never')")
    told = type_in(tmp_path, "run", "bad.ipynb")
    assert told.code == 6
    assert "ZeroDivisionError" in told.err
    assert "cell 1" in told.err
    assert "Traceback" not in told.err
    page = paths(told)["page"].read_text()
    assert "so far" in page
    assert "ZeroDivisionError" in page
    opened = re.findall(r"<details[^>]* open[^>]*>.*?</details>", page, re.DOTALL)
    assert len(opened) == 1, "the failing cell's code, and no other, is open"
    assert "1 / 0" in re.sub(r"<[^>]+>", "", opened[0])


@pytest.mark.parametrize("given", ["m=3", "n=many", "n", "=3"])
def test_parameters_that_it_does_not_take(tmp_path: Path, type_in: Type, given: str) -> None:
    notebook(tmp_path / "any.ipynb", "n", parameters="n: int = 1")
    told = type_in(tmp_path, "run", "any.ipynb", "-p", given)
    assert told.code == 2, told.out + told.err
    assert not (tmp_path / ".irkit").exists(), "a run that never began left a folder"


def test_a_runbook_that_is_none(tmp_path: Path, type_in: Type) -> None:
    told = type_in(tmp_path, "run", "high-eror-rate")
    assert told.code == 3
    assert "did you mean 'high-error-rate'?" in told.err
    (tmp_path / "text.ipynb").write_text("not a notebook")
    told = type_in(tmp_path, "run", "text.ipynb")
    assert told.code == 2, told.err
    assert "Traceback" not in told.err


def test_an_output_that_is_taken(tmp_path: Path, type_in: Type) -> None:
    notebook(tmp_path / "any.ipynb", "1")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    told = type_in(tmp_path, "run", "any.ipynb", "--output", "full")
    assert told.code == 2
    assert "the folder is not empty" in told.err
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_replaying_a_bundle(played: Path, type_in: Type) -> None:
    bundle = played / "state" / "runs" / "IR-1-r1" / "bundle"
    told = type_in(
        played, "-c", "irkit.yaml", "run", "high-error-rate", "--replay", str(bundle),
        "-p", "service=checkout",
    )  # fmt: skip
    assert told.code == 0, told.err
    page = paths(told)["page"].read_text()
    assert "1.4.2" in page
