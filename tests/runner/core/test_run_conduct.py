"""What a run does to its incident: bad endings are told, gaps are events, resumes replay."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nbformat
import pytest
from playing import an_alert, opening

from irkit.clock import SystemClock
from irkit.config import parse
from irkit.evidence.recorder import Recorder
from irkit.model import event as ev
from irkit.model.event import Draft
from irkit.model.incident import RunState
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.ports import Raw
from runner.decide import decide
from runner.service import Runner

LOOK = """
from irkit.evidence import connect
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.session import Note

session = connect()
now = session.briefing.now
seen = session.look(Request(source="metrics", op="range", arguments={"query": "errors", "step": 5},
                            window=Window.before(now, "5m")))
session.note(Note(text=f"saw {seen.body.decode() or seen.error}"))
"""
CONFIG = """
integrations:
  metrics: {{type: prometheus, url: "{url}", timeout: 1s}}
catalog: {{services: {{checkout: {{}}}}}}
runs: {{time_limit: {limit}}}
storage: {{path: state}}
"""


class Conduct:
    """A runner that was put together and not started; runs are executed by hand."""

    def __init__(self, home: Path, url: str = "http://127.0.0.1:9", limit: str = "30s") -> None:
        self.home = home
        (home / "notebooks").mkdir(exist_ok=True)
        self.runner = Runner(parse(CONFIG.format(url=url, limit=limit), file=home / "irkit.yaml"))
        self.ledger = self.runner.ledger

    def open(self, *cells: str, runbook: str = "it", **parameters: Any) -> None:
        """Write the runbook and open IR-1 for it."""
        given = nbformat.v4.new_code_cell(
            'incident = ""\nservice = ""\ncount = 1', metadata={"tags": ["parameters"]}
        )
        made = [given, *map(nbformat.v4.new_code_cell, cells)]
        nbformat.write(nbformat.v4.new_notebook(cells=made), self.home / "notebooks" / "it.ipynb")
        opened = opening()
        opened = ev.IncidentOpened(
            **{**{f: getattr(opened, f) for f in opened.__struct_fields__},
               "runbook": runbook, "parameters": parameters}
        )  # fmt: skip
        now = SystemClock().now()
        with self.ledger.writing(), self.runner.database.write() as connection:
            event = self.ledger.open_within(connection, opened, at=now, by="hook:a")
        self.ledger.committed((event,))
        self.append("f", ev.AlertFired(alert=an_alert(now), delivery="a#1"))

    def append(self, key: str, body: ev.AnyBody) -> None:
        draft = Draft(key=key, at=SystemClock().now(), by="system", body=body)
        self.ledger.append("IR-1", draft)

    def owed(self, kind: str) -> list[Any]:
        state = self.ledger.state("IR-1")
        found = decide(state, self.runner.config.policy, SystemClock().now())
        return [e for e in found if e.kind == kind]

    def run(self) -> RunState:
        """Execute the run that is owed."""
        self.runner.runs.execute(self.owed("run")[0])
        return self.ledger.state("IR-1").runs[-1]

    def bodies(self, kind: type[Any]) -> list[Any]:
        return [e.body for e in self.ledger.events("IR-1") if isinstance(e.body, kind)]

    def told(self) -> str:
        (effect,) = self.owed("tell")
        return str(effect.why)


@pytest.fixture
def conduct(tmp_path: Path) -> Iterator[Callable[..., Conduct]]:
    made: list[Conduct] = []

    def make(**more: Any) -> Conduct:
        made.append(Conduct(tmp_path, **more))
        return made[-1]

    yield make
    for one in made:
        one.runner.close()


@pytest.fixture
def server() -> Iterator[Callable[[bytes], str]]:
    """Serves one body for everything; its address."""
    servers: list[ThreadingHTTPServer] = []

    def serve(body: bytes) -> str:
        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Answers))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield serve
    for one in servers:
        one.shutdown()
        one.server_close()


def test_a_runbook_that_raises(conduct: Callable[..., Conduct]) -> None:
    desk = conduct()
    desk.open("x = 1", "raise KeyError('no such route')", "never = 1")
    run = desk.run()
    assert (run.status, run.cell) == ("failed", 3)
    assert "KeyError" in run.error
    assert "in cell In [3]" in desk.told()
    folder = desk.runner.runs.folder_of(run.run)
    kept = nbformat.read(folder / "notebook.ipynb", as_version=4)
    assert any(o.get("ename") == "KeyError" for c in kept.cells for o in c.get("outputs", []))
    assert "KeyError" in (folder / "report.html").read_text()


def test_a_report_that_cannot_be_made_costs_the_run_nothing(
    conduct: Callable[..., Conduct], caplog: pytest.LogCaptureFixture
) -> None:
    desk = conduct()
    desk.open("x = 1")

    def broken(_run: RunState) -> None:
        raise TypeError("no such thing")

    desk.runner.runs.finished = broken
    run = desk.run()
    assert run.status == "succeeded"
    [line] = [r for r in caplog.records if "report" in r.getMessage()]
    assert line.getMessage() == "the report of IR-1-r1 was not written: TypeError: no such thing"
    assert line.exc_info is None


def test_a_runbook_that_hangs(conduct: Callable[..., Conduct]) -> None:
    desk = conduct(limit="4s")
    desk.open("import time\nwhile True: time.sleep(1)")
    run = desk.run()
    assert run.status == "timed_out"
    assert "limit of 4 s" in desk.told()


def test_a_runbook_that_exits(conduct: Callable[..., Conduct]) -> None:
    desk = conduct()
    desk.open("import os\nos._exit(3)")
    run = desk.run()
    assert run.status in ("failed", "killed")
    assert run.run in desk.told()
    assert (desk.runner.runs.folder_of(run.run) / "notebook.ipynb").exists()


def test_a_runbook_that_is_not_there_still_makes_a_post_mortem(
    conduct: Callable[..., Conduct],
) -> None:
    desk = conduct()
    desk.open("x = 1", runbook="itt")
    run = desk.run()
    assert run.status == "refused"
    assert "did you mean 'it'?" in desk.told()
    desk.append("tell", ev.AttentionNeeded(why=desk.told(), about=run.run))
    desk.append("over", ev.IncidentResolved(why="by hand"))
    (effect,) = desk.owed("export")
    desk.runner.exports.owed(effect)
    assert desk.owed("export") == []
    page = desk.runner.exports.folder("IR-1") / "postmortem.html"
    assert "no such runbook" in page.read_text()


@pytest.mark.parametrize("given", [{"count": "many"}, {"cuont": 2}], ids=["type", "name"])
def test_mistyped_parameters_are_refused(
    given: dict[str, Any], conduct: Callable[..., Conduct]
) -> None:
    desk = conduct()
    desk.open("x = count + 1", **given)
    run = desk.run()
    assert run.status == "refused"
    assert "count" in desk.told()


def test_a_source_that_is_down_leaves_a_gap(conduct: Callable[..., Conduct]) -> None:
    desk = conduct()
    desk.open(LOOK, "went_on = True")
    run = desk.run()
    assert (run.status, run.looks, run.gaps) == ("succeeded", 1, 1)
    (gap,) = desk.bodies(ev.GapFound)
    assert gap.source == "metrics"
    assert gap.gap.why
    assert desk.owed("tell") == []


def test_a_source_that_answers_nonsense_leaves_a_gap(
    conduct: Callable[..., Conduct], server: Callable[[bytes], str]
) -> None:
    desk = conduct(url=server(b"<html>please log in</html>"))
    desk.open(LOOK)
    run = desk.run()
    assert (run.status, run.gaps) == ("succeeded", 1)
    assert "not a Prometheus reply" in desk.bodies(ev.GapFound)[0].gap.why


def started(desk: Conduct, attempt: int) -> RunState:
    """What a runner leaves that is killed during a run."""
    now = SystemClock().now()
    body = ev.RunStarted(
        run="IR-1-r1", ordinal=1, attempt=attempt, purpose="diagnose", runbook="it", now=now,
        parameters={"incident": "IR-1", "service": "checkout"}, because="opened",
    )  # fmt: skip
    desk.append(f"started:IR-1-r1:{attempt}", body)
    return desk.ledger.state("IR-1").runs[-1]


def test_a_resumed_run_is_answered_by_what_was_recorded(conduct: Callable[..., Conduct]) -> None:
    desk = conduct()  # its source is down: only the recording can answer
    desk.open(LOOK)
    now = started(desk, 1).now
    folder = desk.runner.runs.folder_of("IR-1-r1")
    recorder = Recorder(folder / "bundle", now=now, clock=SystemClock())
    request = Request(
        source="metrics", op="range", arguments={"query": "errors", "step": 5},
        window=Window.before(now, "5m"),
    )  # fmt: skip
    recorder.look(request, lambda _request: Raw(body=b"recorded before the crash"), "prometheus")
    recorder.close()
    run = desk.run()
    assert (run.status, run.attempt, run.looks, run.gaps) == ("succeeded", 2, 1, 0)
    assert run.now == now
    assert [n.text for n in desk.bodies(ev.NoteWritten)] == ["saw recorded before the crash"]
    assert desk.bodies(ev.RunLive) == []


def test_a_run_that_was_killed_twice_is_told_and_not_tried_again(
    conduct: Callable[..., Conduct],
) -> None:
    desk = conduct()
    desk.open("x = 1")
    started(desk, 1)
    started(desk, 2)
    run = desk.run()
    assert run.status == "killed"
    assert "stopped 2 times" in desk.told()
    assert desk.owed("run") == []


def test_a_closing_runner_leaves_its_run_to_the_next(
    conduct: Callable[..., Conduct], tmp_path: Path
) -> None:
    desk = conduct()
    desk.open("import time", "while True: time.sleep(0.1)")
    begun = threading.Event()
    desk.runner.runs._follow = lambda _progress: begun.set()  # type: ignore[method-assign]
    thread = threading.Thread(target=desk.run)
    thread.start()
    assert begun.wait(30)
    desk.runner.runs.stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert desk.ledger.state("IR-1").runs[0].status == "running"
    assert [e.base for e in desk.owed("run")] == ["run:1"]
    assert desk.bodies(ev.RunFinished) == []
