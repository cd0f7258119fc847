"""From the ledger's values to the API's shapes; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from irkit.model.event import Event
from irkit.model.incident import IncidentState, PlanState, RunState
from irkit.model.times import four_times
from irkit.timeline import entries
from runner.runs.execute import Live
from runner.web.models import (
    DecisionView,
    EntryView,
    EventView,
    IncidentDetail,
    IncidentSummary,
    PlanView,
    RunView,
    TimeView,
)

Progress = Callable[[str], Live | None]


def run(state: RunState, progress: Progress) -> RunView:
    """A run, with how far it is while it is under way."""
    live = progress(state.run) if state.status == "running" else None
    return RunView(
        run=state.run,
        purpose=state.purpose,
        runbook=state.runbook,
        status=state.status,
        started_at=state.started_at,
        finished_at=state.finished_at,
        seconds=state.seconds,
        error=state.error,
        looks=state.looks,
        gaps=state.gaps,
        cells_done=live.cells_done if live else None,
        cells_total=live.cells_total if live else None,
    )


def plan(known: PlanState) -> PlanView:
    """A plan as it stands."""
    made = known.plan
    return PlanView(
        id=made.id,
        incident=made.incident,
        title=made.title,
        action=made.action,
        target=made.target,
        status=known.status,
        hash=made.hash,
        requester=made.requester,
        approvers=list(made.approvers),
        approvals_needed=made.approvals_needed,
        approvals_given=len(known.approvers_so_far),
        expires_at=made.expires_at,
        diff=made.change.diff,
        instances=made.blast.instances,
        of=made.blast.of,
        dependants=list(made.blast.dependants),
        undo=made.undo.how or made.undo.cannot,
        suspect=made.suspect,
        contrary=made.contrary,
        gaps=list(made.gaps),
        decisions=[
            DecisionView(by=d.by, at=d.at, allowed=d.allowed, note=d.note, policy=d.policy)
            for d in known.decisions
        ],
        outcome=known.outcome.text if known.outcome else known.refusal,
        verdict=known.verdict.text or known.verdict.verdict if known.verdict else "",
    )


def summary(state: IncidentState, progress: Progress) -> IncidentSummary:
    """An incident in a list."""
    return IncidentSummary(**_summary(state, progress))


def detail(state: IncidentState, events: Iterable[Event], progress: Progress) -> IncidentDetail:
    """Everything about an incident."""
    return IncidentDetail(
        **_summary(state, progress),
        services=list(state.services),
        signal=state.signal,
        mitigated_at=state.mitigated_at,
        onset=state.onset,
        times=[
            TimeView(
                name=span.name,
                definition=span.definition,
                start=span.start,
                end=span.end,
                seconds=span.length.total_seconds() if span.length is not None else None,
                unknown=span.unknown,
            )
            for span in four_times(state)
        ],
        plans=[plan(p) for p in state.plans],
        suspects=[msgspec.to_builtins(s) for s in state.suspects],
        ruled_out=[msgspec.to_builtins(r) for r in state.ruled_out],
        attention=list(state.attention),
        timeline=[
            EntryView(
                seq=e.seq, at=e.at, recorded=e.recorded, lane=e.lane, kind=e.kind, text=e.text,
                by=e.by, corrected=e.was,
            )
            for e in entries(events)
        ],
        last_seq=state.last_seq,
        head=state.head,
    )  # fmt: skip


def event(one: Event) -> EventView:
    """An event as stored."""
    return EventView(
        incident=one.incident,
        seq=one.seq,
        key=one.key,
        kind=one.kind,
        at=one.at,
        recorded=one.recorded,
        by=one.by,
        body=msgspec.to_builtins(one.body),
        prev=one.prev,
        hash=one.hash,
    )


def _summary(state: IncidentState, progress: Progress) -> dict[str, Any]:
    return {
        "id": state.id,
        "title": state.title,
        "severity": state.severity,
        "state": state.state,
        "service": state.service,
        "opened_at": state.opened_at,
        "first_alert_at": state.first_alert_at,
        "resolved_at": state.resolved_at,
        "acked_by": state.acked_by,
        "alerts_firing": len(state.firing),
        "plans_waiting": sum(p.status == "waiting" for p in state.plans),
        "runs": [run(r, progress) for r in state.runs],
    }
