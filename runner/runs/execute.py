"""Runs of runbooks: start, resume, finish, and the session that each one speaks to."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from irkit.clock import Clock
from irkit.errors import IrkitError, Refused
from irkit.evidence.bundle import Bundle, hash_of, write_briefing
from irkit.evidence.recorder import Recorder
from irkit.evidence.redact import Redactor
from irkit.model import event as ev
from irkit.model.base import Value
from irkit.model.catalog import Catalog
from irkit.model.event import Draft, Event
from irkit.model.finding import Gap
from irkit.model.incident import IncidentState, RunState
from irkit.model.look import Reply, Request
from irkit.model.principal import SYSTEM
from irkit.session import Ask, Briefing, Note, Proposal
from runner.actions.broker import Broker
from runner.decide import Effect
from runner.outside import Integrations
from runner.runs import parameters
from runner.runs.confine import Limits, uid_outside
from runner.runs.launch import Progress, RunSpec, launch
from runner.runs.runbooks import Runbooks
from runner.runs.session_server import SessionServer
from runner.stores.ledger import Ledger

log = logging.getLogger("irkit.runner")
MOST_ATTEMPTS = 2


class Live(Value, frozen=True, kw_only=True):
    """How far a run is that is under way: cells done of all, what the last one is, since when."""

    run: str
    cells_done: int
    cells_total: int
    at: datetime


class Recording(Value, frozen=True, kw_only=True):
    """Where the replies of a recorded incident lie, for replaying it without any source.

    `runs` maps the ordinal of a run to its frozen now and bundle; `looks` is what the runner
    itself looked at and did.
    """

    runs: dict[int, tuple[datetime, Path]] = {}
    looks: Any = None


class Runs:
    """Executes what `decide` owes as runs, each in its own process with its own session."""

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        integrations: Integrations,
        catalog: Catalog,
        broker: Broker,
        runbooks: Runbooks,
        clock: Clock,
        redactor: Redactor,
        *,
        limits: Limits,
        url: str = "",
        auto_wait_seconds: float = 30.0,
        recording: Recording | None = None,
        settle: Callable[[str], None] = lambda _incident: None,
    ) -> None:
        self.folder, self.ledger, self.integrations = folder, ledger, integrations
        self.catalog, self.broker, self.runbooks = catalog, broker, runbooks
        self.clock, self.redactor, self.limits, self.url = clock, redactor, limits, url
        self.auto_wait_seconds, self.recording, self.settle = auto_wait_seconds, recording, settle
        self.finished: Callable[[RunState], object] = lambda _run: None
        self.stop = threading.Event()
        self._live: dict[str, Live] = {}
        self._changed = threading.Condition()
        ledger.listen(self._wake)

    def progress(self, run: str) -> Live | None:
        """How far a run is; None when it is not under way here."""
        return self._live.get(run)

    def folder_of(self, run: str) -> Path:
        """The folder of a run: runbook, bundle, journal, notebook, report."""
        return self.folder / run

    def execute(self, effect: Effect) -> None:
        """Do the run that is owed; one that a crash cut off is resumed once, then told of."""
        state = self.ledger.state(effect.incident)
        known = next((r for r in state.runs if r.ordinal == effect.number), None)
        if known and known.attempt >= MOST_ATTEMPTS:
            self._finish(
                state.id, known, status="killed",
                error=f"the runner stopped {known.attempt} times while it ran",
            )  # fmt: skip
            return
        run = known.run if known else f"{state.id}-r{effect.number}"
        attempt = known.attempt + 1 if known else 1
        if known:
            now = known.now
        elif self.recording and effect.number in self.recording.runs:
            now = self.recording.runs[effect.number][0]
        else:
            now = self.clock.now()
        given = self._parameters(state, run)
        started = ev.RunStarted(
            run=run,
            ordinal=effect.number,
            attempt=attempt,
            purpose="diagnose" if effect.why == "opened" else "after",
            runbook=state.runbook,
            parameters=given,
            now=now,
            because=effect.why,
        )
        draft = Draft(key=f"started:{run}:{attempt}", at=self.clock.now(), by=SYSTEM, body=started)
        self.ledger.append(state.id, draft)
        current = next(r for r in self.ledger.state(state.id).runs if r.run == run)
        self._run(state.id, current)

    # -- one run --------------------------------------------------------------------------------

    def _run(self, incident: str, run: RunState) -> None:
        folder = self.folder_of(run.run)
        recorder = None
        try:
            path = self.runbooks.path(run.runbook)
            folder.mkdir(parents=True, exist_ok=True)
            recorder = self._recorder(incident, run, folder)
            with self._session(incident, run, recorder) as session:
                result = launch(
                    RunSpec(
                        run=run.run,
                        runbook=str(path),
                        folder=str(folder),
                        parameters=run.parameters,
                        session=str(session.session_file),
                        limits=self.limits,
                        readable=self.runbooks.readable(path),
                    ),
                    on_progress=self._follow,
                    stop=self.stop,
                    clock=self.clock,
                    redactor=self.redactor,
                )
        except IrkitError as why:
            if recorder:
                recorder.close()
            self._finish(incident, run, status="refused", error=str(why))
            return
        finally:
            self._live.pop(run.run, None)
        if self.stop.is_set():
            recorder.close()
            return  # the runner is closing: the next one resumes the run
        root = recorder.seal()
        recorder.close()
        self._finish(
            incident,
            run,
            status=result.status,
            error=result.error,
            seconds=round(result.seconds, 3),
            cell=result.cell,
            looks=recorder.looks,
            gaps=recorder.failed,
            bundle=root,
            confined="; ".join(result.confinement.missing) or "yes",
        )

    def _finish(
        self, incident: str, run: RunState, *, status: str, error: str, **more: Any
    ) -> None:
        folder = self.folder_of(run.run)
        notebook = folder / "notebook.ipynb"
        body = ev.RunFinished(
            run=run.run,
            attempt=run.attempt,
            status=status,
            seconds=more.pop("seconds", 0.0),
            error=self.redactor.text(error)[:2000],
            runbook=hash_of(folder / "runbook.ipynb"),
            notebook=hash_of(notebook),
            **more,
        )
        self._append(incident, f"run:{run.ordinal}", SYSTEM, body)
        if notebook.exists():
            ended = next(r for r in self.ledger.state(incident).runs if r.run == run.run)
            try:
                self.finished(ended)
            except Exception as why:  # noqa: BLE001 - boundary: a run that ended has ended
                # The export that is owed at the end makes the report once more.
                name = "" if isinstance(why, IrkitError) else f"{type(why).__name__}: "
                log.error("the report of %s was not written: %s%s", run.run, name, why)

    def _parameters(self, state: IncidentState, run: str) -> dict[str, str | int | float | bool]:
        """What the route gives, and of our own what the runbook declares; never a label's text."""
        ours: dict[str, str | int | float | bool] = {"incident": state.id}
        if state.service in self.catalog.services:
            ours["service"] = state.service
        try:
            declared = parameters.declared(self.runbooks.path(state.runbook))
        except IrkitError:
            return dict(state.parameters)  # the launch says what is wrong with the runbook
        known = {name: value for name, value in ours.items() if name in declared}
        return {**known, **state.parameters}

    def _recorder(self, incident: str, run: RunState, folder: Path) -> Recorder:
        bundle = folder / "bundle"
        recorded, mode = None, "live"
        if self.recording and run.ordinal in self.recording.runs:
            recorded, mode = Bundle.open(self.recording.runs[run.ordinal][1]), "replay"
        elif run.attempt > 1 and (bundle / "looks.jsonl").exists():
            recorded, mode = Bundle.open(bundle), "resume"
        if run.attempt > 1:
            _set_aside(folder, run.attempt - 1)
        return Recorder(
            bundle,
            now=run.now,
            clock=self.clock,
            recorded=recorded,
            mode=mode,
            on_live=lambda count: self._append(
                incident,
                f"live:{run.run}:{run.attempt}",
                SYSTEM,
                ev.RunLive(run=run.run, attempt=run.attempt, recorded=count),
            ),
            redactor=self.redactor,
        )

    def _session(self, incident: str, run: RunState, recorder: Recorder) -> SessionServer:
        who = f"run:{run.run}"
        counter = iter(range(1, 1_000_000))

        briefing = Briefing(
            principal=who,
            run=run.run,
            now=run.now,
            events=self.ledger.events(incident),
            catalog=self.catalog,
            types=self.integrations.types(),
            url=f"{self.url}/incidents/{incident}" if self.url else "",
        )
        write_briefing(self.folder_of(run.run) / "bundle", briefing, self.redactor)

        def say(text: str) -> None:
            body = ev.MessagePosted(channel="incident page", text=self.redactor.text(text)[:4000])
            self._append(incident, f"say:{run.run}:{next(counter)}", who, body)

        def note(note: Note) -> None:
            self._note(incident, run, who, note, next(counter))

        def gap(request: Request, reply: Reply) -> None:
            found = Gap(what=f"{request.op} on {request.source}", why=reply.error, at=reply.at)
            body = ev.GapFound(run=run.run, source=request.source, gap=found)
            self._append(incident, f"gap:{run.run}:{reply.evidence}", who, body)

        return SessionServer(
            run=run.run,
            briefing=lambda: briefing,
            recorder=recorder,
            sources=self.integrations.sources(),
            propose=lambda ask: self.propose(incident, ask, who),
            say=say,
            note=note,
            gap=gap,
            events=lambda: self.ledger.events(incident),
            peer=uid_outside(),
        )

    def _note(self, incident: str, run: RunState, who: str, note: Note, number: int) -> None:
        if note.suspects is not None:
            named = ev.SuspectsNamed(
                run=run.run,
                suspects=note.suspects[:10],
                ruled_out=note.ruled_out[:50],
                gaps=note.gaps[:50],
                onset=note.onset,
                method=note.method,
            )
            self._append(incident, f"suspects:{run.run}:{number}", who, named)
        if note.text:
            text = self.redactor.text(note.text)[:8000]
            self._append(incident, f"note:{run.run}:{number}", who, ev.NoteWritten(text=text))

    # -- proposing ------------------------------------------------------------------------------

    def propose(self, incident: str, ask: Ask, requester: str) -> Proposal:
        """Answer a proposed act; with `wait`, wait for an automatic decision and what follows."""
        try:
            if not ask.commit:
                return Proposal(plan=self.broker.plan(incident, ask, requester))
            known = self.broker.propose(incident, ask, requester)
        except Refused as why:
            return Proposal(refused=str(why), reason=why.reason)
        plan = known.plan
        if plan.policy == "auto" and ask.wait > 0:
            ended = ("denied", "expired", "refused", "failed", "applied", "recovered",
                     "not_recovered", "unknown")  # fmt: skip
            self.settle(incident)
            with self._changed:
                self._changed.wait_for(
                    lambda: self.broker.known(incident, plan.id).status in ended,
                    timeout=min(ask.wait, self.auto_wait_seconds),
                )
            known = self.broker.known(incident, plan.id)
        url = f"{self.url}/incidents/{incident}#{plan.id}" if self.url else ""
        return Proposal(plan=plan, state=known, url=url)

    def _wake(self, _events: tuple[Event, ...]) -> None:
        with self._changed:
            self._changed.notify_all()

    def _follow(self, progress: Progress) -> None:
        self._live[progress.run] = Live(
            run=progress.run,
            cells_done=progress.cells_done,
            cells_total=progress.cells_total,
            at=progress.at,
        )

    def _append(self, incident: str, key: str, by: str, body: ev.AnyBody) -> None:
        self.ledger.append(incident, Draft(key=key, at=self.clock.now(), by=by, body=body))


def _set_aside(folder: Path, attempt: int) -> None:
    """Move what an interrupted attempt left out of the way; the bundle stays, it is resumed."""
    aside = folder / f"attempt-{attempt}"
    aside.mkdir(exist_ok=True)
    for name in ("runbook.ipynb", "journal", "notebook.ipynb", "work"):
        if (folder / name).exists():
            shutil.move(folder / name, aside / name)
