"""Exports: the report of each run, and the post-mortem of an incident that is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from irkit.clock import Clock
from irkit.evidence.bundle import Bundle, hash_of
from irkit.evidence.redact import Redactor
from irkit.model.event import Draft, PostmortemExported
from irkit.model.incident import IncidentState, RunState
from irkit.model.look import LookRecord
from irkit.model.principal import SYSTEM
from irkit.postmortem import Past, PostmortemFacts, Seal, assemble, facts
from runner.decide import Effect
from runner.runs.nbfile import nbformat
from runner.stores.ledger import Ledger


class Exports:
    """Writes `runs/RUN/report.html` and `incidents/ID/postmortem.{ipynb,html,md}`.

    `flush` makes durable what the runner itself looked at in an incident.
    """

    def __init__(self, storage: Path, ledger: Ledger, clock: Clock, redactor: Redactor) -> None:
        self.storage, self.ledger, self.clock, self.redactor = storage, ledger, clock, redactor
        self.flush: Callable[[str], object] = lambda _incident: None
        self._one_at_a_time = threading.Lock()

    def folder(self, incident: str) -> Path:
        """The incident's folder."""
        return self.storage / "incidents" / incident

    def report(self, run: RunState) -> Path:
        """Write the report of one run as it ended, and return its path."""
        from runner.export.files import export

        folder = self.storage / "runs" / run.run
        made = export(
            folder / "notebook.ipynb",
            folder=folder,
            to=("html",),
            title=f"{run.runbook}: {run.run}",
            head=[
                ("run", run.run),
                ("status", run.status),
                ("now", f"{run.now:%Y-%m-%d %H:%M:%SZ}"),
                ("seconds", f"{run.seconds:g}"),
                ("evidence", run.bundle[:16] or "none"),
            ],
            redact=self.redactor.text,
        )
        return Path(made.paths["html"])

    def owed(self, effect: Effect) -> None:
        """Do the export that is owed when an incident is over, and record its hashes."""
        with self._one_at_a_time:
            self.postmortem(effect.incident)
            state = self.ledger.state(effect.incident)
            for run in state.runs:  # a report that a crash came before
                folder = self.storage / "runs" / run.run
                if (folder / "notebook.ipynb").exists() and not (folder / "report.html").exists():
                    self.report(run)
            self._record(state, effect.key, effect.number, ("html", "md"), SYSTEM)

    def again(self, incident: str, to: Iterable[str], *, by: str) -> dict[str, str]:
        """Export by hand after edits, and record the new hashes.

        Returns the SHA-256 of each file that was asked for, by its path below the storage.

        Raises:
            NotFound: there is no such incident.
        """
        forms = tuple(to)
        with self._one_at_a_time:
            state = self.ledger.state(incident)
            self.postmortem(incident, forms, edited_by=by)
            last = self.ledger.events(incident)[-1].seq
            files = self._record(state, f"export:by-hand:{last}", state.last_seq, forms, by)
        asked = [f"incidents/{incident}/postmortem.{form}" for form in forms]
        return {name: files[name] for name in asked}

    def _record(
        self, state: IncidentState, key: str, upto: int, forms: tuple[str, ...], by: str
    ) -> dict[str, str]:
        chosen = _chosen(state)
        self.flush(state.id)
        folder = self.folder(state.id)
        paths = [folder / f"postmortem.{form}" for form in ("ipynb", *forms)]
        paths += [self.storage / "runs" / run.run / "report.html" for run in state.runs]
        paths += sorted(folder.glob("looks-*/looks.jsonl"))
        files = {
            str(path.relative_to(self.storage)): digest
            for path in paths
            if (digest := hash_of(path))
        }
        body = PostmortemExported(
            run=chosen.run if chosen else "",
            upto=upto,
            head=self.ledger.events(state.id, after=upto - 1)[0].hash,
            files=files,
        )
        self.ledger.append(state.id, Draft(key=key, at=self.clock.now(), by=by, body=body))
        return files

    def postmortem(
        self, incident: str, to: Iterable[str] = ("html", "md"), *, edited_by: str = ""
    ) -> None:
        """Write the post-mortem; texts that people edited stay, facts are folded anew.

        Raises:
            NotFound: there is no such incident.
        """
        from runner.export.files import export

        state = self.ledger.state(incident)
        told = self.facts(incident)
        folder = self.folder(incident)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / "postmortem.ipynb"
        previous = nbformat().read(target, as_version=4) if target.exists() else None
        notebook = assemble(self._notebook(state), told, previous=previous)
        _write(target, nbformat().writes(notebook))
        export(
            target,
            told,
            folder=folder,
            to=to,
            before=self._before(state),
            redact=self.redactor.text,
            edited_by=edited_by,
        )

    def facts(self, incident: str) -> PostmortemFacts:
        """What the ledger says about the incident, with the chain checked."""
        state = self.ledger.state(incident)
        verdict = self.ledger.verify(incident)
        return facts(
            self.ledger.events(incident),
            as_of=self.clock.now(),
            looks=self._looks(state),
            seal=Seal(
                head=verdict.head,
                verified=verdict.intact,
                problems=verdict.broken,
                signed_by=self.ledger.signer,
            ),
            past=[_past(s, state) for s in self.ledger.states() if s.id != incident],
        )

    def _notebook(self, state: IncidentState) -> Any:
        """The chosen run's notebook; where no run left one, the ledger alone tells the story."""
        chosen = _chosen(state)
        path = self._path(chosen) if chosen else None
        if path is None or not path.exists():
            return nbformat().v4.new_notebook()
        return nbformat().read(path, as_version=4)

    def _before(self, state: IncidentState) -> Path | None:
        """The notebook of the first run, where another run is the chosen one."""
        chosen = _chosen(state)
        first = next((r for r in state.runs if self._path(r).exists()), None)
        return self._path(first) if first and chosen and first.run != chosen.run else None

    def _looks(self, state: IncidentState) -> tuple[LookRecord, ...]:
        chosen = _chosen(state)
        bundle = self.storage / "runs" / chosen.run / "bundle" if chosen else None
        return tuple(Bundle.open(bundle).looks) if bundle and bundle.exists() else ()

    def _path(self, run: RunState) -> Path:
        return self.storage / "runs" / run.run / "notebook.ipynb"


def _chosen(state: IncidentState) -> RunState | None:
    """The run that the post-mortem shows: the last that succeeded, else the last one."""
    ended = [r for r in state.runs if r.status != "running"]
    good = [r for r in ended if r.status == "succeeded"]
    return (good or ended)[-1] if ended else None


def _past(other: IncidentState, state: IncidentState) -> Past:
    first = other.first_alert_at or other.opened_at
    same = other.group == state.group
    return Past(
        id=other.id,
        title=other.title,
        severity=other.severity,
        opened_at=other.opened_at,
        mitigate_seconds=(
            (other.mitigated_at - first).total_seconds() if other.mitigated_at else None
        ),
        resolve_seconds=(other.resolved_at - first).total_seconds() if other.resolved_at else None,
        alike="the same alert on the same service" if same else "",
    )


def _write(target: Path, text: str) -> None:
    """Replace a file in one step, so that a reader never sees half of it."""
    whole = target.with_suffix(".new")
    whole.write_text(text, encoding="utf-8")
    whole.replace(target)
