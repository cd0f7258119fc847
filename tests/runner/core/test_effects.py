"""The engine: what is due is done once, later is later, failures come back, circles are broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playing import an_alert, make_plan, opening

from irkit.clock import SetClock
from irkit.errors import IrkitError
from irkit.model import event as ev
from irkit.model.event import Draft
from irkit.model.policy import ActionPolicy, Policy
from runner.decide import Effect
from runner.effects import Effects
from runner.stores.database import Database
from runner.stores.ledger import Ledger

START = datetime(2026, 3, 1, 14, 2, tzinfo=UTC)
POLICY = Policy(actions={"rollback": ActionPolicy()}, retry_seconds=10)


class Engine:
    """Effects on a ledger with one incident; what they do is given by each test."""

    def __init__(self, folder: Path, **does: Callable[[Effect], None]) -> None:
        self.clock = SetClock(START)
        self.database = Database(folder)
        self.ledger = Ledger(self.database, self.clock)
        self.done: list[str] = []
        self._mutex = threading.Lock()
        self.effects = Effects(
            folder, self.ledger, POLICY, self.clock,
            {kind: self._noting(do) for kind, do in does.items()},
        )  # fmt: skip

    def _noting(self, do: Callable[[Effect], None]) -> Callable[[Effect], None]:
        def noted(effect: Effect) -> None:
            with self._mutex:
                self.done.append(effect.key)
            do(effect)

        return noted

    def open(self) -> None:
        with self.ledger.writing(), self.database.write() as connection:
            event = self.ledger.open_within(connection, opening(), at=START, by="hook:a")
        self.ledger.committed((event,))
        self.append("f", ev.AlertFired(alert=an_alert(START), delivery="a#1"))

    def append(self, key: str, body: ev.AnyBody) -> None:
        self.ledger.append("IR-1", Draft(key=key, at=self.clock.now(), by="system", body=body))

    def finish_run(self, effect: Effect) -> None:
        run = f"IR-1-r{effect.number}"
        self.append(f"started:{run}", ev.RunStarted(
            run=run, ordinal=effect.number, attempt=1, purpose="diagnose", runbook="r", now=START,
            because=effect.why,
        ))  # fmt: skip
        self.append(effect.key, ev.RunFinished(run=run, attempt=1, status="succeeded", seconds=1))

    def tell(self, effect: Effect) -> None:
        self.append(effect.key, ev.AttentionNeeded(why=effect.why, about=effect.subject))

    def expire(self, effect: Effect) -> None:
        self.append(effect.key, ev.ApprovalExpired(plan=effect.subject))


@pytest.fixture
def closing() -> Iterator[list[Engine]]:
    engines: list[Engine] = []
    yield engines
    for engine in engines:
        engine.effects.close()
        engine.database.close()


def wait(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_due_is_done_once_and_later_is_later(tmp_path: Path, closing: list[Engine]) -> None:
    engine = Engine(tmp_path, run=lambda e: engine.finish_run(e), expire=lambda e: engine.expire(e))
    closing.append(engine)
    engine.open()
    engine.append("plan", ev.PlanMade(plan=make_plan(START, policy="approve")))
    engine.effects.start()
    wait(lambda: "run:1" in engine.done and engine.effects.idle(), "the run is not done")
    engine.clock.advance(timedelta(minutes=14))
    engine.effects.wake()
    wait(engine.effects.idle, "not idle")
    assert engine.done == ["run:1"]
    engine.clock.advance(timedelta(minutes=2))
    engine.effects.wake()
    wait(lambda: engine.ledger.state("IR-1").plans[0].status == "expired", "it does not expire")
    assert len(engine.done) == 2


def test_what_raises_comes_back_later_and_is_told_in_the_end(
    tmp_path: Path, closing: list[Engine]
) -> None:
    def fall(_effect: Effect) -> None:
        raise IrkitError("it fell over", on="the run")

    engine = Engine(tmp_path, run=fall, tell=lambda e: engine.tell(e))
    closing.append(engine)
    engine.open()
    engine.effects.start()
    for key, pause in (("run:1", 10), ("run:1:2", 40), ("run:1:3", 0)):
        wait(lambda key=key: key in engine.done and engine.effects.idle(), f"{key} is not tried")
        engine.clock.advance(timedelta(seconds=pause))
        engine.effects.wake()
    wait(lambda: engine.ledger.state("IR-1").attention, "nobody is told")
    assert [k for k in engine.done if k.startswith("run")] == ["run:1", "run:1:2", "run:1:3"]
    (told,) = engine.ledger.state("IR-1").attention
    assert "gave up on run:1 after 3 tries: it fell over" in told


def test_done_and_owed_all_the_same_is_no_circle(tmp_path: Path, closing: list[Engine]) -> None:
    engine = Engine(tmp_path, run=lambda _effect: None, tell=lambda e: engine.tell(e))
    closing.append(engine)
    engine.open()
    engine.effects.start()
    wait(lambda: engine.ledger.state("IR-1").failures, "it is not noticed")
    wait(engine.effects.idle, "not idle")
    assert engine.done == ["run:1"]
    assert "owed all the same" in engine.ledger.state("IR-1").failures["run:1"].error


def test_a_lost_engine_is_rebuilt(tmp_path: Path, closing: list[Engine]) -> None:
    first = Engine(tmp_path, run=lambda e: first.finish_run(e))
    first.open()
    first.effects.start()
    wait(lambda: first.done and first.effects.idle(), "the run is not done")
    first.effects.close()
    first.database.close()
    for file in tmp_path.glob("engine.db*"):
        file.unlink()
    second = Engine(tmp_path, run=lambda e: second.finish_run(e))
    closing.append(second)
    second.effects.start()
    second.append("plan", ev.PlanMade(plan=make_plan(START, policy="approve")))
    over = ev.ActionFailed(plan=make_plan(START).id, outcome=_failed())
    second.append("end", over)
    wait(lambda: second.done and second.effects.idle(), "the second run is not done")
    assert second.done == ["run:2"], "the first run is done and stays done"


def _failed() -> Any:
    from irkit.model.action import Outcome

    return Outcome(status="failed", text="no")


def test_a_job_that_a_full_disk_cut_off_is_done_when_there_is_room(
    tmp_path: Path, closing: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.effects._PAUSE_AFTER_RAISE", 0.1)
    full = threading.Event()
    full.set()
    engine = Engine(tmp_path, run=lambda e: engine.finish_run(e))
    closing.append(engine)
    engine.open()
    store = engine.ledger.append

    def append(*args: Any) -> Any:
        if full.is_set():
            raise IrkitError("the disk is full, nothing was stored", on="the ledger")
        return store(*args)

    monkeypatch.setattr(engine.ledger, "append", append)
    engine.effects.start()
    status = engine.effects._dbos.get_workflow_status

    def pending(job: str) -> Any:
        """What the engine says of a job whose end it could not store either."""
        known = status(job)
        if known is not None:
            known.status = "PENDING"
        return known

    monkeypatch.setattr(engine.effects._dbos, "get_workflow_status", pending)
    wait(lambda: len(engine.done) > 1, "it is not tried again while the disk is full")
    full.clear()
    wait(lambda: engine.ledger.state("IR-1").runs, "it is not done after the disk is freed")
    assert engine.ledger.state("IR-1").runs[0].status == "succeeded"
