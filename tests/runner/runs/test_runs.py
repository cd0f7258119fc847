"""Real runs, in real processes: each way in which one can end, and what is left of it."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from runs_seen import alive, executed, printed

import runner.runs.launch
from irkit.clock import SystemClock
from irkit.errors import BadInput, BadParameters, IrkitError
from irkit.evidence.redact import REMOVED, Redactor
from runner.runs import journal
from runner.runs.hearing import Hearing
from runner.runs.launch import Limits, Progress, RunSpec, launch

LIMIT = Limits(wall_seconds=1000, grace_seconds=1)
FOREIGN = [
    'it\'s "quoted" \'\'\'thrice\'\'\' """and more"""',
    "line\nline\r\nline\ttab \x00 \x1b[31m",
    "{{ 7*7 }} {% raw %} ${HOME} $(id) `id` ; rm -rf / #",
    "C:\\new\\table\\u0041 \\N{BULLET} \\",
    "Füße 漢字 🙂 \u2028 \u202e",
    "<img src=x onerror=alert(1)>",
]


def test_a_run_with_parameters_succeeds_and_keeps_its_folder(run: Any, tmp_path: Path) -> None:
    result = run(
        "print(n + 1, service)",
        parameters="service = 'checkout'\nn = 1",
        given={"n": "41"},
    )
    assert result.status == "succeeded"
    assert (result.cells_done, result.cells_total, result.cell) == (3, 3, None)
    assert printed(result) == "42 checkout\n"

    folder = Path(result.notebook).parent
    assert sorted(os.listdir(folder)) == ["journal", "notebook.ipynb", "runbook.ipynb", "work"]
    assert (folder / "runbook.ipynb").read_bytes() == (tmp_path / "runbook-0.ipynb").read_bytes()
    for name in ("runbook.ipynb", "notebook.ipynb"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o444
    about = executed(result).metadata
    assert about.irkit.run == "run-0"
    assert about.irkit.status == "succeeded"
    assert about.papermill.input_path == "runbook.ipynb"
    assert str(tmp_path) not in (folder / "notebook.ipynb").read_text()


def test_foreign_text_arrives_unchanged(run: Any) -> None:
    result = run(
        "import json; print(json.dumps([text, texts]))",
        parameters="text = ''\ntexts = []",
        given={"text": FOREIGN[0], "texts": FOREIGN},
    )
    assert json.loads(printed(result)) == [FOREIGN[0], FOREIGN]


@pytest.mark.parametrize("given", [{"servic": "x"}, {"n": "many"}])
def test_wrong_parameters_are_refused_before_anything_is_made(
    write: Any, tmp_path: Path, given: dict[str, str]
) -> None:
    path = write(parameters="service = ''\nn = 1")
    folder = tmp_path / "run"
    with pytest.raises(BadParameters, match=next(iter(given))):
        launch(RunSpec(run="r", runbook=str(path), folder=str(folder), parameters=given))
    assert not folder.exists()


def test_a_file_that_is_no_notebook_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.ipynb"
    path.write_text("{}")
    with pytest.raises(BadInput, match="not a Jupyter notebook"):
        launch(RunSpec(run="r", runbook=str(path), folder=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_a_folder_holds_one_run(run: Any, write: Any, tmp_path: Path) -> None:
    run("1")
    again = RunSpec(run="r", runbook=str(write("2")), folder=str(tmp_path / "run-0"))
    with pytest.raises(IrkitError, match="holds a run already"):
        launch(again)


def test_a_cell_that_raises_is_shown_and_ends_the_run(run: Any) -> None:
    result = run("print('before')", "1 / 0", "print('after')")
    assert (result.status, result.cell) == ("failed", 2)
    assert (result.error_name, result.error_text) == ("ZeroDivisionError", "division by zero")
    assert result.error == "ZeroDivisionError: division by zero"
    assert (result.cells_done, result.cells_total) == (2, 3)
    assert printed(result) == "before\n"
    cells = executed(result).cells
    assert "papermill-error-cell" in cells[0].source
    assert [c.metadata.papermill.exception for c in cells if c.source == "1 / 0"] == [True]


def test_a_cell_has_the_number_that_its_author_saw(run: Any) -> None:
    """Neither empty cells nor the parameters that are put in shift it."""
    result = run("", "print(n)", "raise MemoryError", parameters="n = 1", given={"n": 2})
    assert (result.status, result.cell, result.error) == ("failed", 3, "MemoryError")
    made = executed(result)
    counts = {cell.source: cell.get("execution_count") for cell in made.cells}
    assert (counts["n = 1"], counts["print(n)"], counts["raise MemoryError"]) == (1, 2, 3)
    [injected] = [c for c in made.cells if "injected-parameters" in c.metadata.get("tags", ())]
    assert injected.execution_count is None
    assert "In [3]" in made.cells[0].source, "papermill's own banner"
    [error] = [o for c in made.cells for o in c.get("outputs", ()) if "ename" in o]
    assert "In[3]" in "".join(error.traceback)
    assert (made.metadata.irkit.cell, made.metadata.irkit.error) == (3, "MemoryError")


class Late:
    """A clock that jumps past the limit once a cell says a word; else it tells the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
        self.late, self.kind = 0.0, kind
        monkeypatch.setattr(runner.runs.launch.time, "monotonic", self.monotonic)

    def monotonic(self) -> float:
        return time.perf_counter() + self.late

    def on_progress(self, progress: Progress) -> None:
        if isinstance(progress.message, self.kind) and progress.message.cell == 1:
            self.late = 1000.0


def test_a_cell_that_hangs_is_interrupted_and_shows_where(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(monkeypatch, journal.CellStarted)
    result = run(
        "print('before')",
        "import time\nwhile True: time.sleep(1)",
        "print('after')",
        limits=LIMIT,
        on_progress=late.on_progress,
    )
    assert (result.status, result.cell, result.error_name) == ("timed_out", 2, "RunTimedOut")
    assert result.error == "the run passed its limit of 1000 s"
    [error] = [o for c in executed(result).cells for o in c.get("outputs", ()) if "ename" in o]
    assert error.ename == "KeyboardInterrupt"
    assert printed(result) == "before\n"


def test_a_cell_that_ignores_interrupts_is_killed_and_the_notebook_rebuilt(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(monkeypatch, journal.Shown)
    result = run(
        "print('before')\n'value'",
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\nwhile True: time.sleep(100)",
        limits=LIMIT,
        on_progress=late.on_progress,
    )
    assert result.status == "timed_out"
    made = executed(result)
    assert "did not end by itself" in made.cells[0].source
    assert printed(result) == "before\ndeaf\n"
    assert made.cells[1].outputs[1]["data"]["text/plain"] == "'value'"
    assert "The run ended in this cell" in made.cells[2].source
    assert made.cells[3].outputs[-1].ename == "RunEnded"
    assert (made.cells[3].execution_count, result.cell) == (2, 2)
    assert made.cells[3].metadata.papermill.exception is True


def test_a_run_can_be_stopped(run: Any) -> None:
    stop = threading.Event()

    def on_progress(progress: Progress) -> None:
        if isinstance(progress.message, journal.CellStarted):
            stop.set()

    result = run("import time; time.sleep(600)", on_progress=on_progress, stop=stop)
    assert (result.status, result.error_name) == ("stopped", "RunStopped")
    assert result.cell == 1


def test_a_run_whose_process_is_killed_keeps_what_it_had(run: Any) -> None:
    def on_progress(progress: Progress) -> None:
        if isinstance(progress.message, journal.Shown):
            for process in psutil.Process().children():
                process.kill()

    result = run("print('said', flush=True)\nwhile True: pass", on_progress=on_progress)
    assert (result.status, result.cell, result.error_name) == ("killed", 1, "RunKilled")
    assert "signal 9" in result.error_text
    assert printed(result) == "said\n"


def test_secrets_are_taken_out_before_anything_is_written(write: Any, tmp_path: Path) -> None:
    secret = 'hunter2-"quoted"-hunter2'
    heard: list[Progress] = []
    source = f"text = bytes.fromhex({secret.encode().hex()!r}).decode()\nprint('password', text)"
    path = write(source, "from IPython.display import JSON; JSON({'x': [text]})")
    spec = RunSpec(run="r", runbook=str(path), folder=str(tmp_path / "run"))
    result = launch(spec, heard.append, redactor=Redactor([secret]))
    assert printed(result) == f"password {REMOVED}\n"
    assert "hunter2" not in str(heard)
    left = [file for file in (tmp_path / "run").iterdir() if file.is_file()]
    assert len(left) == 3
    assert not any(b"hunter2" in file.read_bytes() for file in left)
    assert not (tmp_path / "run" / "work" / "notebook.ipynb").exists()


def test_a_full_disk_is_told(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, content: bytes) -> None:
        if path.endswith("notebook.ipynb"):
            with open("/dev/full", "wb") as file:
                file.write(content)

    monkeypatch.setattr(runner.runs.launch.nbfile, "keep", full)
    with pytest.raises(IrkitError, match="No space left"):
        run("1")


def test_sys_exit_ends_a_run_by_its_code(run: Any) -> None:
    clean = run("import sys; sys.exit()", "print('after')")
    assert (clean.status, clean.cells_done, clean.cells_total) == ("succeeded", 1, 2)
    failed = run("import sys; sys.exit('no such service')", "print('after')")
    assert (failed.status, failed.error_name) == ("failed", "SystemExit")
    assert failed.error_text == "no such service"


@pytest.mark.parametrize(
    ("cell", "how"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
    ],
)
def test_a_kernel_that_dies_is_told_in_its_cell(run: Any, cell: str, how: str) -> None:
    result = run("print('before')", cell, "print('after')")
    assert (result.status, result.cell, result.error_name) == ("failed", 2, "DeadKernel")
    assert how in result.error_text
    assert printed(result) == "before\n"


def test_limits_hold_inside(run: Any) -> None:
    result = run(
        "try: x = bytearray(700_000_000)\nexcept MemoryError: print('memory')",
        "try: open('big', 'wb').truncate(20_000_000)\nexcept OSError as e: print('file', e.errno)",
        "while True: pass",
        limits=Limits(wall_seconds=30, cpu_seconds=3, memory_mb=600, file_mb=10),
    )
    assert printed(result).splitlines() == ["memory", "file 27"]
    assert (result.status, result.error_name) == ("failed", "DeadKernel")
    assert "the limit on CPU time" in result.error_text


def test_input_fails_at_once_and_says_why(run: Any) -> None:
    result = run("input('name? ')")
    assert (result.status, result.error_name) == ("failed", "StdinNotImplementedError")
    assert "does not support input" in result.error_text


def test_output_is_capped_and_the_rest_counted(run: Any) -> None:
    result = run(
        "for _ in range(50): print('x' * 999_999)",
        "print('next')",
        limits=Limits(wall_seconds=60, output_mb=1),
    )
    assert result.status == "succeeded"
    text = printed(result)
    assert text.endswith("next\n")
    assert 0.9e6 < text.count("x") <= 1e6
    assert "[irkit: 49." in text
    assert "a cell may show 1 MB" in text
    assert (Path(result.notebook).parent / "journal").stat().st_size < 1.2e6


def test_a_picture_too_big_is_left_out_whole(run: Any) -> None:
    cell = "from IPython.display import HTML, display\ndisplay(HTML('y' * 2_000_000))\nprint('z')"
    result = run(cell, limits=Limits(output_mb=1))
    assert result.status == "succeeded"
    assert "yyy" not in Path(result.notebook).read_text()
    assert "2.0 MB more was not kept" in printed(result)


def test_nothing_that_a_run_started_survives_it(run: Any) -> None:
    marker = f"98765.{os.getpid()}"
    seen: list[int] = []

    def on_progress(progress: Progress) -> None:
        if isinstance(progress.message, journal.CellFinished):
            seen.extend(alive(marker))

    result = run(
        f"import subprocess\nsubprocess.Popen(['sleep', '{marker}'], start_new_session=True)",
        f"%%bash\nsetsid nohup sleep {marker} >/dev/null 2>&1 &",
        on_progress=on_progress,
    )
    assert result.status == "succeeded"
    assert len(set(seen)) == 2
    assert alive(marker) == []


def test_progress_arrives_while_the_cells_run(run: Any, tmp_path: Path) -> None:
    """The cell waits for a file that is only made once its first output has arrived."""
    kinds: list[str] = []

    def on_progress(progress: Progress) -> None:
        kinds.append(type(progress.message).__name__)
        if isinstance(progress.message, journal.Shown):
            (tmp_path / "run-0" / "work" / "go").touch()

    result = run(
        "import os, time\nprint('waiting', flush=True)\n"
        "while not os.path.exists('go'): time.sleep(0.01)",
        on_progress=on_progress,
        limits=Limits(wall_seconds=30),
    )
    assert result.status == "succeeded"
    assert kinds == ["Confined", "Prepared", "CellStarted", "Shown", "CellFinished", "Ended"]


def test_updates_and_clears_reach_the_journal_as_they_reach_the_notebook(run: Any) -> None:
    result = run(
        "from IPython.display import display, clear_output\n"
        "shown = display('one', display_id='d')\nprint('gone')\nclear_output()\nprint('stays')",
        "shown = display('first', display_id='e')",
        "shown.update('second')",
    )
    runbook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    lines = list(journal.read(Path(result.notebook).parent / "journal"))
    rebuilt = journal.rebuild(runbook, lines, reason="a test")
    outputs = [cell["outputs"] for cell in rebuilt["cells"][1:]]
    assert outputs == [cell.outputs for cell in executed(result).cells]
    assert "'second'" in str(outputs[1])


def test_two_runs_at_once_do_not_meet(run: Any) -> None:
    """Each waits for the other to be running, and neither sees what the other left."""
    together = threading.Barrier(2, timeout=30)
    results: dict[str, Any] = {}

    def on_progress(progress: Progress) -> None:
        if isinstance(progress.message, journal.CellStarted) and progress.message.cell == 1:
            together.wait()

    def one(name: str) -> None:
        cells = (f"open('mine', 'w').write({name!r})", "print(open('mine').read())")
        results[name] = run(*cells, on_progress=on_progress)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {name: printed(result) for name, result in results.items()} == {"a": "a\n", "b": "b\n"}


def test_papermill_runs_the_engine_without_a_runner(write: Any, tmp_path: Path) -> None:
    import papermill

    made = papermill.execute_notebook(
        str(write("print(n)", parameters="n = 1")),
        str(tmp_path / "out.ipynb"),
        parameters={"n": 5},
        engine_name="irkit",
        kernel_name="python3",
        language="python",
        progress_bar=False,
    )
    assert made.cells[-1].outputs[0].text == "5\n"
    assert (tmp_path / "out.ipynb").exists()


def test_a_notebook_without_cell_ids_runs_too(tmp_path: Path) -> None:
    path = tmp_path / "old.ipynb"
    cell = {"cell_type": "code", "metadata": {}, "source": ["print(", "1)"], "outputs": []}
    cell["execution_count"] = None
    old = {"cells": [cell, cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(old))
    result = launch(RunSpec(run="r", runbook=str(path), folder=str(tmp_path / "run")))
    assert result.status == "succeeded", result.error_text
    assert printed(result) == "1\n1\n"


def test_a_run_that_forges_its_messages_is_ended(tmp_path: Path) -> None:
    """Nothing that a cell could write into the pipe is believed beyond what it may say."""
    heard: list[Progress] = []
    with open(tmp_path / "journal", "wb") as kept:
        hearing = Hearing("r", Limits(), kept, heard.append, SystemClock())
        assert hearing.hear(journal.encode(journal.CellStarted(cell=0))[:-1])
        assert heard == []
        assert hearing.hear(b"\n")
        assert [progress.cells_done for progress in heard] == [0]
        forged = journal.Prepared(notebook={"cells": []})
        assert not hearing.hear(journal.encode(forged))
    assert hearing.verdict()[0] == "killed"


@pytest.mark.parametrize(
    "line", [b"{}", b"[" * 100_000, b'{"kind":"output","cell":-1}', b"\xff", b'{"kind":"x"}']
)
def test_nonsense_is_no_message(line: bytes) -> None:
    with pytest.raises(journal.NotAMessage):
        journal.decode(line)


def test_a_torn_last_line_of_a_journal_is_left_out(tmp_path: Path) -> None:
    line = journal.stamped(SystemClock().now(), journal.encode(journal.CellStarted(cell=3)))
    whole = line * 2
    for size in range(len(whole) + 1):
        (tmp_path / "journal").write_bytes(whole[:size])
        assert len(list(journal.read(tmp_path / "journal"))) == size // len(line)
