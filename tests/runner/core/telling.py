"""A runner with its world, in a process that may be killed: an alert source and a person.

    telling.py < lines of HOME PERSON KILL_AT WHOM

Imports are done once: for each line a child is forked, its exit code is the line that is answered,
and what it says lies in HOME/said and HOME/complained.

The alert source delivers until it was acknowledged, as Alertmanager does.  With PERSON `yes` a
person takes the incident and approves what is proposed.  Once, right after event KILL_AT was
committed, the runner is killed: WHOM is `all` (with its children) or `runner`.  When the incident
is over, exported and quiet, the process prints what it knows and ends with 0.
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import dbos  # noqa: F401 - imported before the fork, as are the next two
import pandas  # noqa: F401
from killing import kill_tree

from irkit.config import load
from irkit.model.event import Event
from irkit.model.times import four_times
from runner.export.files import export  # noqa: F401
from runner.service import Runner

STARTED = "2026-03-01T14:02:00Z"


def delivery(status: str) -> bytes:
    alert = {
        "status": status,
        "labels": {"alertname": "HighErrorRate", "service": "checkout", "severity": "critical"},
        "annotations": {"summary": "checkout fails"},
        "startsAt": STARTED,
        "endsAt": datetime.now(UTC).isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": "c0ffee",
    }
    return json.dumps({"version": "4", "receiver": "irkit", "alerts": [alert]}).encode()


def deliver(home: Path, runner: Runner, status: str) -> None:
    """Post until it was acknowledged."""
    acknowledged = home / f"acknowledged-{status}"
    if not acknowledged.exists():
        runner.intake.receive("alertmanager", {}, delivery(status)).result()
        runner.delivered()
        acknowledged.touch()


def approve(runner: Runner) -> None:
    for known in runner.waiting_plans():
        if not runner.ledger.state(known.plan.incident).acked_at:
            runner.acknowledge(known.plan.incident, "person:oncall")
        runner.decide(known.plan.id, "person:oncall", allow=True, plan_hash=known.plan.hash)


def tell(home: Path, *, person: bool, kill_at: int, whom: str) -> None:
    logging.basicConfig(level="WARNING")
    signal.alarm(90)  # a story that hangs is a failed test, with what was complained of
    (home / "pid").write_text(str(os.getpid()))
    runner = Runner(load(home / "irkit.yaml"))
    mutex = threading.Lock()

    def watch(events: tuple[Event, ...]) -> None:
        with mutex:
            if not (home / "killed").exists() and any(e.seq == kill_at for e in events):
                (home / "killed").write_text(events[-1].kind)
                if whom == "all":
                    kill_tree(os.getpid())
                os.kill(os.getpid(), signal.SIGKILL)

    runner.ledger.listen(watch)
    with runner:
        while True:
            deliver(home, runner, "firing")
            if "rolled" in (home / "metrics-said").read_text():
                deliver(home, runner, "resolved")
            if person:
                approve(runner)
            states = runner.ledger.states()
            over = states and all(s.resolved_at and not runner.effects.owed(s.id) for s in states)
            if over and runner.idle():
                break
            time.sleep(0.05)
        state = runner.ledger.states()[0]
        told = {
            "incidents": len(states),
            "kinds": [e.kind for e in runner.ledger.events(state.id)],
            "events": [str(e.body)[:400] for e in runner.ledger.events(state.id)],
            "last": runner.ledger.head(state.id).seq,
            "broken": runner.ledger.verify(state.id).broken,
            "plans": [p.status for p in state.plans],
            "runs": [[r.run, r.status, r.attempt] for r in state.runs],
            "acked": state.acked_by,
            "deliveries": runner.inbox.count(),
            "times": {s.name: s.unknown for s in four_times(state)},
        }
    print(json.dumps(told))


def main() -> None:
    for line in sys.stdin:
        home, person, kill_at, whom = line.split()
        child = os.fork()
        if child == 0:
            for fd, name in ((0, os.devnull), (1, f"{home}/said"), (2, f"{home}/complained")):
                os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), fd)
            os.chdir(home)
            tell(Path(home), person=person == "yes", kill_at=int(kill_at), whom=whom)
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


main()
