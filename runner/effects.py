"""Doing what is owed: each effect is a durable job named by its key.

The engine (DBOS) only makes sure that a job that was started is finished, in this process or the
next.  What is owed comes from `decide` alone, so an engine that is lost is rebuilt by asking again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from irkit.clock import Clock
from irkit.errors import IrkitError
from irkit.model.event import Draft, EffectFailed
from irkit.model.policy import Policy
from irkit.model.principal import SYSTEM
from runner.decide import Effect, decide
from runner.stores.ledger import Ledger

log = logging.getLogger("irkit.effects")

QUEUES = {"run": "runs", "apply": "acts", "verify": "acts", "undo": "acts", "export": "exports"}
# Fixed on purpose: with a version computed from the code, any edit would orphan pending jobs.
APPLICATION_VERSION = "irkit-1"
POLL_SECONDS = 0.1
TICK_SECONDS = 0.5
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_PAUSE_AFTER_RAISE = 5.0

_perform: Callable[[str], None] | None = None


def _effect_job(encoded: str) -> None:
    """The one durable workflow: a single step that performs one effect."""
    if _perform is None:
        raise IrkitError("the runner is not started", on="effects")
    _perform(encoded)


class Effects:
    """Asks `decide` after every append and on every tick, and has what is due done.

    `does` maps each kind of effect to the function that does it and appends its event.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        policy: Policy,
        clock: Clock,
        does: dict[str, Callable[[Effect], None]],
        *,
        runs_at_once: int = 2,
    ) -> None:
        self.folder, self.ledger, self.policy, self.clock = folder, ledger, policy, clock
        self.does, self.runs_at_once = does, runs_at_once
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._submitted: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._cut_off: set[str] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="effects", daemon=True)
        ledger.listen(lambda _events: self._wake.set())

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine; jobs that a crash cut off go on, and what is owed is named again."""
        # In a thread of its own: the engine refuses to start where an event loop runs, and whoever
        # starts a runner from a notebook or under a browser's driver has one.
        with ThreadPoolExecutor(1) as apart:
            apart.submit(self._launch).result()
        self._thread.start()

    def _launch(self) -> None:
        global _perform
        from dbos import DBOS

        _perform = self._perform
        DBOS(
            config={
                "name": "irkit",
                "system_database_url": f"sqlite:///{self.folder / 'engine.db'}",
                "application_version": APPLICATION_VERSION,
                "executor_id": "runner",
                "log_level": "CRITICAL",
            }
        )
        self._job = _registered(DBOS)
        DBOS.launch()
        self._dbos = DBOS
        for name, width in {"runs": self.runs_at_once, "acts": 1, "exports": 1, "rest": 4}.items():
            DBOS.register_queue(
                name, worker_concurrency=width, polling_interval_sec=POLL_SECONDS,
                on_conflict="always_update",
            )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether what is owed is being asked for and done."""
        return self._thread.is_alive() and not self._closing.is_set()

    def stop_asking(self) -> None:
        """Start nothing more; what is under way may end."""
        self._closing.set()
        self._wake.set()

    def close(self) -> None:
        """Stop asking and stop the engine; jobs under way are taken up by the next start."""
        self.stop_asking()
        if self._thread.is_alive():
            self._thread.join()
        if hasattr(self, "_dbos"):
            self._dbos.destroy(destroy_registry=True, workflow_completion_timeout_sec=0)

    # -- asking ---------------------------------------------------------------------------------

    def owed(self, incident: str) -> tuple[Effect, ...]:
        """What the incident owes now or later."""
        return decide(self.ledger.state(incident), self.policy, self.clock.now())

    def idle(self) -> bool:
        """Whether nothing is under way and nothing is due."""
        with self._lock:
            if self._submitted:
                return False
        now = self.clock.now()
        return not any(e.due <= now for s in self.ledger.states() for e in self.owed(s.id))

    def wake(self) -> None:
        """Ask now rather than at the next tick."""
        self._wake.set()

    def _loop(self) -> None:
        quiet: dict[str, str] = {}
        while not self._closing.is_set():
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
            for state in self.ledger.states():
                if self._closing.is_set():
                    return
                if quiet.get(state.id) == state.head:
                    continue
                try:
                    owed = self.owed(state.id)
                except Exception:  # boundary: one incident's trouble must not stop the others
                    log.exception("cannot tell what %s owes", state.id)
                    continue
                if not owed and state.resolved_at:
                    quiet[state.id] = state.head
                for effect in owed:
                    self._submit(effect)

    def _submit(self, effect: Effect) -> None:
        with self._lock:
            early = effect.due > self.clock.now()
            resting = self._not_before.get(effect.job, 0.0) > time.monotonic()
            if early or resting or effect.job in self._submitted:
                return
            self._submitted.add(effect.job)
        from dbos import SetWorkflowID

        try:
            status = self._dbos.get_workflow_status(effect.job)
            if status and (status.status in _ENDED or effect.job in self._cut_off):
                # It ended and yet it is owed: the ledger is right, so the job is done again.  One
                # that was cut off (a full disk) may not even have been able to say that it ended.
                self._dbos.delete_workflow(effect.job)
                self._cut_off.discard(effect.job)
            with SetWorkflowID(effect.job):
                queue = QUEUES.get(effect.kind, "rest")
                self._dbos.enqueue_workflow(queue, self._job, msgspec.json.encode(effect).decode())
        except Exception as why:  # noqa: BLE001 - boundary: the engine's own trouble must not stop the asking
            log.warning("cannot start %s: %s", effect.job, why)
            self._done(effect, pause=True)

    # -- doing ----------------------------------------------------------------------------------

    def _perform(self, encoded: str) -> None:
        effect = msgspec.json.decode(encoded, type=Effect)
        pause = True
        try:
            if self._still_owed(effect):
                self._do(effect)
            pause = False
        except Exception as why:
            self._cut_off.add(effect.job)
            log.error("%s was cut off and is tried again: %s", effect.job, why)
            raise
        finally:
            self._done(effect, pause=pause)

    def _still_owed(self, effect: Effect) -> bool:
        return effect.key in {e.key for e in self.owed(effect.incident)}

    def _do(self, effect: Effect) -> None:
        try:
            self.does[effect.kind](effect)
            if self._still_owed(effect) and not self._closing.is_set():
                # Never in a circle: what ends no debt counts as failed, and is told in the end.
                raise IrkitError("it was done and is owed all the same", on=effect.key)
        except Exception as why:  # boundary: what fails is an event, and tried again or told
            if not isinstance(why, IrkitError):
                log.error("%s failed: %s: %s", effect.job, type(why).__name__, why)
                log.debug("%s", effect.job, exc_info=why)
            text = str(why) if isinstance(why, IrkitError) else f"{type(why).__name__}: {why}"
            body = EffectFailed(effect=effect.base, attempt=effect.attempt, error=text[:2000])
            draft = Draft(key=f"failed:{effect.key}", at=self.clock.now(), by=SYSTEM, body=body)
            self.ledger.append(effect.incident, draft)

    def _done(self, effect: Effect, *, pause: bool) -> None:
        with self._lock:
            self._submitted.discard(effect.job)
            if pause:
                self._not_before[effect.job] = time.monotonic() + _PAUSE_AFTER_RAISE
        self._wake.set()


def _registered(dbos: Any) -> Any:
    """The workflow, registered with the engine under a fixed name."""
    return dbos.workflow(name="irkit.effect")(dbos.step(name="irkit.perform")(_effect_job))
