"""`irkit run`: any notebook, with or without a config; a failure is a page and an exit code."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

if TYPE_CHECKING:
    from conftest import Told, Type


# A shell's background job, as these tests may be one, passes on a SIGINT that is ignored.
IRKIT = (
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from runner.cli import main; main()",
)


def notebook(path: Path, *cells: str, parameters: str = "") -> Path:
    made = nbformat.v4.new_notebook()
    if parameters:
        tagged = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        made.cells.append(tagged)
    made.cells += [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(made, path)
    return path


def paths(told: Told) -> dict[str, Path]:
    return paths_in(told.out)


def paths_in(text: str) -> dict[str, Path]:
    return {k: Path(v) for k, v in re.findall(r"^(\w+): +(\S+)$", text, re.MULTILINE)}


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
    assert "error: failed in cell In [2]: ZeroDivisionError: division by zero." in told.err
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_it_had(tmp_path: Path, number: signal.Signals) -> None:
    notebook(tmp_path / "slow.ipynb", "print('so', 'far', flush=True)\nwhile True: pass")
    with irkit(tmp_path, "run", "slow.ipynb", "--output", "out") as child:
        journal = tmp_path / "out" / "journal"
        until(lambda: journal.exists() and "so far" in journal.read_text())
        child.send_signal(number)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 128 + number, err
    assert "stopped in cell In [1]: the run was stopped" in err
    made = paths_in(out)
    assert "so far" in made["page"].read_text()
    assert "KeyboardInterrupt" in made["notebook"].read_text()


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('so', 'far')"
    notebook(tmp_path / "deaf.ipynb", deaf, "while True: pass")
    with irkit(tmp_path, "run", "deaf.ipynb", "--output", "out") as child:
        journal = tmp_path / "out" / "journal"
        until(lambda: journal.exists() and '"cell":1' in journal.read_text())
        assert child.stderr
        child.send_signal(signal.SIGINT)
        while "stopping" not in child.stderr.readline():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "notebook.ipynb").exists()


@contextmanager
def irkit(folder: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which a failed test does not wait for."""
    with subprocess.Popen(
        [*IRKIT, *args], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
