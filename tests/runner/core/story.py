"""The whole story around one runner: metrics, deploy script, runbook, config; told in a child."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import nbformat
from killing import children_of, kill_all

HERE = Path(__file__).parent
RUNBOOK = """
from irkit.evidence import connect
from irkit.model.finding import Suspect
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.session import Ask, Note

session = connect()
now = session.briefing.now
asked = Request(source="metrics", op="range", arguments={"query": "errors", "step": 5.0},
                window=Window.before(now, "5m"))
seen = session.look(asked)
# --
session.say(f"looked at {len(seen.body)} bytes")
suspect = Suspect(rank=1, service=service, strength=0.9, sentence="the last deploy",
                  change="1.4.1 -> 1.4.2")
session.note(Note(suspects=(suspect,), onset=Window.before(now, "2m").start, method="test"))
# --
answer = session.propose(Ask(action="rollback", target=service, arguments={"to": "previous"},
                             commit=True, reason="the last deploy fails"))
assert answer.plan is not None, answer.refused
"""
CONFIG = """
integrations:
  alertmanager: {{type: alertmanager, insecure: true}}
  metrics: {{type: prometheus, url: "http://127.0.0.1:{port}"}}
  deploy:
    type: script
    apply: [{python}, {script}, {home}, "{{service}}", "{{version}}", "{{key}}"]
    history: {home}/deploys.jsonl
catalog:
  services:
    checkout:
      environment: test
      deploys: []
      signals:
        error_rate: {{source: metrics, query: errors, limit: 0.05, alerts: [HighErrorRate]}}
      actions:
        rollback: {{integration: deploy}}
routes:
  - {{name: errors, match: 'alertname="HighErrorRate"', runbook: story}}
actions:
  rollback:
    policy: {policy}
    verify_hold: 1s
    verify_within: {within}
    verify_every: 500ms
people:
  oncall: {{token: "file:{home}/token"}}
safety: {{allow_unconfined: [rollback]}}
storage: {{path: state}}
"""
# What the story consists of.  How often the signal is looked at before it is judged depends on how
# long the restart took, so `effect.checked` may be missing.
KINDS = {
    "incident.opened", "alert.fired", "run.started", "run.live", "message.posted",
    "suspects.named", "plan.made", "run.finished", "approval.given", "action.started",
    "action.applied", "effect.verified", "alert.resolved", "incident.resolved",
    "postmortem.exported",
}  # fmt: skip
SOMETIMES = {"effect.checked"}


def metrics_of(home: Path) -> type[BaseHTTPRequestHandler]:
    """A Prometheus that knows one thing: errors are high until the rollback."""

    class Metrics(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            lines = (home / "deploys.jsonl").read_text().splitlines()
            rolled = [json.loads(one)["time"] for one in lines if '"key"' in one]
            turn = datetime.fromisoformat(rolled[0]).timestamp() if rolled else float("inf")
            start, end = (float(form[name][0]) for name in ("start", "end"))
            step = float(form["step"][0].removesuffix("s"))
            count = int((end - start) / step) + 1
            times = (start + number * step for number in range(count))
            values = [[at, "0.4" if at < turn else "0.001"] for at in times]
            (home / "metrics-said").write_text("rolled back" if rolled else "high")
            answer = {
                "status": "success",
                "data": {"resultType": "matrix", "result": [{"metric": {}, "values": values}]},
            }
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    return Metrics


class Teller:
    """The process that forks a runner for each telling; see `telling.py`."""

    def __init__(self) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "telling.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def start(self, *words: object) -> int:
        """Fork a runner and wait for its end; its exit code, negative for a signal."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it and whatever a runner that hangs has left."""
        kill_all([*children_of(self._process.pid), self._process.pid])
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()
        self._process.wait()


class Story:
    """One incident's world in a folder; `tell` runs it to its end over any number of deaths."""

    def __init__(self, home: Path, port: int, *, policy: str, within: str = "60s") -> None:
        self.home = home
        self.policy = policy
        (home / "notebooks").mkdir(parents=True)
        cells = [nbformat.v4.new_code_cell(c.strip()) for c in RUNBOOK.split("# --\n")]
        given = nbformat.v4.new_code_cell(
            'incident = ""\nservice = ""', metadata={"tags": ["parameters"]}
        )
        nbformat.write(
            nbformat.v4.new_notebook(cells=[given, *cells]), home / "notebooks" / "story.ipynb"
        )
        (home / "token").write_text("a-token-of-the-person-on-call")
        old = datetime(2026, 3, 1, 12, tzinfo=UTC).isoformat()
        new = datetime(2026, 3, 1, 14, tzinfo=UTC).isoformat()
        (home / "deploys.jsonl").write_text(
            f'{{"time": "{old}", "service": "checkout", "version": "1.4.1"}}\n'
            f'{{"time": "{new}", "service": "checkout", "version": "1.4.2"}}\n'
        )
        (home / "metrics-said").write_text("")
        (home / "irkit.yaml").write_text(
            CONFIG.format(
                port=port,
                home=home,
                python=sys.executable,
                script=HERE / "deploying.py",
                policy=policy,
                within=within,
            )
        )

    def tell(
        self, teller: Teller, *, kill_at: int = 0, whom: str = "all", between: Any = None
    ) -> dict[str, Any]:
        """Start the runner again and again until the incident is over; what the last one said."""
        deaths = 0
        person = "yes" if self.policy == "approve" else "no"
        while True:
            code = teller.start(self.home, person, str(kill_at), whom)
            if code == 0:
                told: dict[str, Any] = json.loads((self.home / "said").read_text())
                return {**told, "deaths": deaths}
            assert code == -9, (code, (self.home / "complained").read_text())
            deaths += 1
            assert deaths < 3
            if between:
                between()

    def rollbacks(self) -> list[dict[str, str]]:
        """The lines of the history that an act wrote."""
        lines = (self.home / "deploys.jsonl").read_text().splitlines()
        return [json.loads(one) for one in lines if '"key"' in one]


@contextmanager
def world(home: Path, *, policy: str, within: str = "60s") -> Iterator[Story]:
    """A story with its metrics served while the block lasts."""
    home.mkdir(parents=True, exist_ok=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), metrics_of(home)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield Story(home, server.server_address[1], policy=policy, within=within)
        finally:
            server.shutdown()
            thread.join()
