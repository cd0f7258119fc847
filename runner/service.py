"""The runner as a whole: what `irkit serve` starts, and what every test of the whole starts."""

from __future__ import annotations

import logging
import threading

from irkit.clock import Clock, SystemClock
from irkit.config import Config
from irkit.errors import IrkitError, Refused
from irkit.evidence.recorder import Recorder
from irkit.evidence.redact import Redactor
from irkit.model import event as ev
from irkit.model.event import Draft
from irkit.model.incident import IncidentState, PlanState
from irkit.model.principal import SYSTEM, check_principal, is_person
from irkit.model.window import format_duration
from runner.actions.apply import Acts
from runner.actions.broker import Broker
from runner.decide import Effect
from runner.effects import Effects
from runner.export.job import Exports
from runner.intake import Intake
from runner.outside import Integrations, Outside
from runner.people import person_of
from runner.runs import confine
from runner.runs.confine import Limits
from runner.runs.execute import Recording, Runs
from runner.runs.runbooks import Runbooks
from runner.stores.database import Database
from runner.stores.inbox import Inbox
from runner.stores.ledger import Ledger

log = logging.getLogger("irkit.runner")
TRIAGE_SECONDS = 0.2


class Runner:
    """Everything that runs beside the notebooks, put together from one config.

    `recording` makes it replay a recorded incident: no source and no target is asked.

    Raises:
        AlreadyRunning: another process uses the same storage.
        LedgerBroken: a stored event cannot be read.

    Example:
        >>> with Runner(load("irkit.yaml")) as runner:            # doctest: +SKIP
        ...     runner.intake.receive("alertmanager", headers, body).result()
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        recording: Recording | None = None,
        url: str = "",
    ) -> None:
        self.config, self.clock = config, clock or SystemClock()
        self.storage = config.storage_path
        self.recording = recording
        self.database = Database(self.storage)
        self.redactor = Redactor.of(config)
        integrations = Integrations(config.integrations)
        catalog = config.services
        self.ledger = Ledger(self.database, self.clock)
        self.inbox = Inbox(self.database, self.clock)
        self.intake = Intake(
            self.ledger, self.inbox, integrations, config.routing, catalog, self.clock
        )
        self.confinement = confine.available()
        self._recorders: dict[str, Recorder] = {}
        self._making_recorders = threading.Lock()
        self.outside = Outside(integrations, self.clock, self._recorder_of)
        self.broker = Broker(
            self.ledger, self.outside, catalog, config.policy, self.clock,
            unconfined=not self.confinement.complete,
        )  # fmt: skip
        self.acts = Acts(self.broker)
        self.runbooks = Runbooks((config.home / config.runs.notebooks,))
        self.runs = Runs(
            self.storage / "runs",
            self.ledger,
            integrations,
            catalog,
            self.broker,
            self.runbooks,
            self.clock,
            self.redactor,
            limits=Limits(
                wall_seconds=config.runs.time_limit.total_seconds(),
                memory_mb=config.runs.memory_mb,
                disk_mb=config.runs.disk_mb,
            ),
            url=url,
            recording=recording,
        )
        self.exports = Exports(self.storage, self.ledger, self.clock, self.redactor)
        self.exports.flush = self._flush_looks
        self.runs.finished = self.exports.report
        self.effects = Effects(
            self.storage,
            self.ledger,
            config.policy,
            self.clock,
            {
                "run": self.runs.execute,
                "approve": self.broker.approve_by_policy,
                "expire": self.broker.expire,
                "apply": self.acts.apply,
                "verify": self.acts.verify,
                "undo": self.broker.undo,
                "tell": self._tell,
                "resolve": self._resolve,
                "export": self.exports.owed,
            },
            runs_at_once=config.runs.at_once,
        )
        self._closing = threading.Event()
        self._delivered = threading.Event()
        self._triaging = threading.Thread(target=self._triage_loop, name="triage", daemon=True)

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> Runner:
        """Start: deliveries that wait are triaged, jobs go on, what is owed is named again."""
        self.effects.start()
        self._triaging.start()
        return self

    def close(self) -> None:
        """Stop; runs under way are interrupted and resumed by the next start."""
        self._closing.set()
        self._delivered.set()
        self.effects.stop_asking()
        self.runs.stop.set()
        if self._triaging.is_alive():
            self._triaging.join()
        self.effects.close()
        self.inbox.close()
        for recorder in self._recorders.values():
            recorder.close()
        self.database.close()

    def __enter__(self) -> Runner:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def delivered(self) -> None:
        """Something came in: triage it now rather than at the next tick."""
        self._delivered.set()

    def idle(self) -> bool:
        """Whether nothing waits, nothing is under way and nothing is due."""
        return not self.inbox.backlog() and self.effects.idle()

    # -- what people do -------------------------------------------------------------------------

    def person(self, token: str) -> str:
        """The principal whose token this is; see `person_of`."""
        return person_of(self.config, token)

    def acknowledge(self, incident: str, person: str, note: str = "") -> None:
        """Take the incident; the first person to do so is recorded as the one who has it."""
        self._write(incident, person, ev.Acknowledged(note=self.redactor.text(note)), "ack")

    def note(self, incident: str, person: str, text: str) -> None:
        """Write a remark into the record."""
        self._write(incident, person, ev.NoteWritten(text=self.redactor.text(text)), "note")

    def resolve(self, incident: str, person: str, why: str) -> None:
        """Close the incident by hand, whatever its alerts say."""
        text = self.redactor.text(why) or "resolved by hand"
        self._write(incident, person, ev.IncidentResolved(why=text), "closed")

    def decide(
        self, plan: str, person: str, *, allow: bool, plan_hash: str, note: str = ""
    ) -> PlanState:
        """Approve or deny a plan; see `Broker.decide`."""
        return self.broker.decide(
            plan, person=person, allow=allow, plan_hash=plan_hash, note=self.redactor.text(note)
        )

    def waiting_plans(self) -> tuple[PlanState, ...]:
        """The plans that wait for a person, oldest first."""
        return tuple(
            p
            for state in self.ledger.states()
            for p in state.plans
            if p.status == "waiting" and p.plan.policy == "approve"
        )

    def _write(self, incident: str, person: str, body: ev.AnyBody, kind: str) -> None:
        if not is_person(check_principal(person)):
            raise Refused("only a person does this", reason="not_a_person", on=person)

        def draft(state: IncidentState) -> list[Draft]:
            now = self.clock.now()
            return [Draft(key=f"{kind}:{state.last_seq}:{person}", at=now, by=person, body=body)]

        self.ledger.extend(incident, draft)

    # -- effects --------------------------------------------------------------------------------

    def _tell(self, effect: Effect) -> None:
        body = ev.AttentionNeeded(
            why=effect.why, about=effect.subject, next="open the incident and decide by hand"
        )
        draft = Draft(key=effect.key, at=self.clock.now(), by=SYSTEM, body=body)
        self.ledger.append(effect.incident, draft)

    def _resolve(self, effect: Effect) -> None:
        state = self.ledger.state(effect.incident)
        lasted = format_duration(self.clock.now() - state.opened_at)
        body = ev.IncidentResolved(why=f"all alerts resolved, {lasted} after the first")
        draft = Draft(key=effect.key, at=self.clock.now(), by=SYSTEM, body=body)
        self.ledger.append(effect.incident, draft)

    # -- inside ---------------------------------------------------------------------------------

    def _triage_loop(self) -> None:
        told = ""
        while not self._closing.is_set():
            try:
                self.intake.triage_waiting()
                told = ""
            except Exception as why:  # boundary: the delivery stays and is tried again
                if str(why) != told:  # a full disk is told once, not five times a second
                    known = isinstance(why, IrkitError)
                    log.error("triage waits: %s", why, exc_info=None if known else why)
                told = str(why)
            self._delivered.wait(TRIAGE_SECONDS)
            self._delivered.clear()

    def _recorder_of(self, incident: str) -> Recorder:
        """The recorder of the looks that no run makes: plans, acts and their verification."""
        with self._making_recorders:
            if incident not in self._recorders:
                self._recorders[incident] = self._new_recorder(incident)
            return self._recorders[incident]

    def _flush_looks(self, incident: str) -> None:
        recorder = self._recorders.get(incident)
        if recorder is not None:
            recorder.flush()

    def _new_recorder(self, incident: str) -> Recorder:
        folder = self.storage / "incidents" / incident
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("looks-*"))) + 1
        recorded = self.recording.looks if self.recording else None
        return Recorder(
            folder / f"looks-{number}",
            now=self.ledger.state(incident).opened_at,
            clock=self.clock,
            recorded=recorded,
            mode="replay" if recorded else "live",
            redactor=self.redactor,
        )
