"""An incident's state: a pure fold over its events, never stored and never edited."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from irkit.model import event as ev
from irkit.model.action import Argument, Outcome, Plan
from irkit.model.alert import Alert
from irkit.model.base import Value
from irkit.model.event import Event
from irkit.model.finding import RuledOut, Suspect
from irkit.model.principal import is_person

ENDED = ("recovered", "not_recovered", "unknown", "failed")
IN_FLIGHT = ("approved", "applying", "applied")


class AlertState(Value, frozen=True, kw_only=True):
    """One alert as it stands: its newest form, and when it first and last changed."""

    alert: Alert
    stored_at: datetime
    changed_at: datetime


class RunState(Value, frozen=True, kw_only=True):
    """One run as it stands; `status` is `running` until it has finished."""

    run: str
    ordinal: int
    attempt: int
    purpose: str
    runbook: str
    parameters: dict[str, str | int | float | bool]
    now: datetime
    started_at: datetime
    because: str = ""
    status: str = "running"
    finished_at: datetime | None = None
    seconds: float = 0.0
    cell: int | None = None
    error: str = ""
    looks: int = 0
    gaps: int = 0
    bundle: str = ""
    runbook_sha256: str = ""
    notebook: str = ""
    confined: str = ""


class Decision(Value, frozen=True, kw_only=True):
    """Who decided what on a plan, when, and in which words."""

    by: str
    at: datetime
    allowed: bool
    note: str = ""
    policy: str = ""
    expires_at: datetime | None = None


class PlanState(Value, frozen=True, kw_only=True):
    """One plan as it stands.

    `status`: `waiting`, `approved`, `denied`, `expired`, `refused`, `applying`, `applied`,
    `failed`, and after verification `recovered`, `not_recovered` or `unknown`.
    """

    plan: Plan
    status: str = "waiting"
    decisions: tuple[Decision, ...] = ()
    started_at: datetime | None = None
    applied_at: datetime | None = None
    outcome: Outcome | None = None
    checks: int = 0
    checked_at: datetime | None = None
    verdict: ev.EffectVerified | None = None
    ended_at: datetime | None = None
    refusal: str = ""
    undone_by: str = ""
    undo_refused: str = ""

    @property
    def approvers_so_far(self) -> tuple[str, ...]:
        """The principals that allow it, each once."""
        return tuple(dict.fromkeys(d.by for d in self.decisions if d.allowed))

    @property
    def approval_ends_at(self) -> datetime | None:
        """When the first approval given runs out; None where nobody has approved."""
        ends = (d.expires_at for d in self.decisions if d.allowed and d.expires_at)
        return min(ends, default=None)


class Failure(Value, frozen=True, kw_only=True):
    """How often doing something owed has failed, and when last."""

    attempts: int
    at: datetime
    error: str


class IncidentState(Value, frozen=True, kw_only=True):
    """Everything that the ledger says about one incident, now.

    `state` is `open`, `mitigated` (an act was verified on the signal that fired) or `resolved`.
    """

    id: str
    title: str
    severity: str
    service: str
    services: tuple[str, ...]
    group: str
    route: str
    runbook: str
    parameters: dict[str, str | int | float | bool]
    signal: str
    opened_at: datetime
    first_alert_at: datetime | None = None
    state: str = "open"
    resolved_at: datetime | None = None
    mitigated_at: datetime | None = None
    onset: datetime | None = None
    acked_by: str = ""
    acked_at: datetime | None = None
    alerts: dict[str, AlertState] = {}
    runs: tuple[RunState, ...] = ()
    plans: tuple[PlanState, ...] = ()
    suspects: tuple[Suspect, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    suspects_run: str = ""
    failures: dict[str, Failure] = {}
    told: tuple[str, ...] = ()
    attention: tuple[str, ...] = ()
    exported_seq: int = 0
    last_seq: int = 0
    """The newest event that a post-mortem would tell of; `exported_seq` is the newest it told."""
    last_at: datetime
    head: str = ev.GENESIS

    @property
    def firing(self) -> tuple[Alert, ...]:
        """The alerts that fire now."""
        return tuple(a.alert for a in self.alerts.values() if a.alert.firing)

    def plan(self, plan_id: str) -> PlanState | None:
        """The plan of that id, or None."""
        return next((p for p in self.plans if p.plan.id == plan_id), None)

    def newest_plan(
        self, action: str, target: str, arguments: dict[str, Argument]
    ) -> PlanState | None:
        """The newest plan for an act that somebody asked for, or None."""
        wanted = (action, target, arguments)
        return next(
            (
                p for p in reversed(self.plans)
                if (p.plan.action, p.plan.target, p.plan.arguments) == wanted and not p.plan.undoes
            ),
            None,
        )  # fmt: skip

    def plan_for(self, key: str) -> PlanState | None:
        """The newest plan for the same act (see `plan_key`), or None."""
        return next((p for p in reversed(self.plans) if p.plan.key == key), None)


def fold(events: Iterable[Event]) -> IncidentState:
    """The state that these events of one incident add up to, in their order.

    Raises:
        ValueError: there are no events, or the first does not open the incident.
    """
    iterator = iter(events)
    first = next(iterator, None)
    if first is None or not isinstance(first.body, ev.IncidentOpened):
        raise ValueError("an incident's events begin with incident.opened")
    opened = first.body
    state = IncidentState(
        id=first.incident,
        title=opened.title,
        severity=opened.severity,
        service=opened.service,
        services=opened.services,
        group=opened.group,
        route=opened.route,
        runbook=opened.runbook,
        parameters=opened.parameters,
        signal=opened.signal,
        opened_at=first.at,
        last_at=first.at,
        last_seq=first.seq,
        head=first.hash,
    )
    for event in iterator:
        state = advance(state, event)
    return state


def advance(state: IncidentState, event: Event) -> IncidentState:
    """The state after one more event."""
    changes = _changes(state, event)
    if not _about_exports(event.body):
        changes["last_seq"] = event.seq
    return msgspec.structs.replace(state, last_at=event.at, head=event.hash, **changes)


def _about_exports(body: ev.AnyBody) -> bool:
    """Whether an event only tells of an export: it then makes no other export due."""
    match body:
        case ev.PostmortemExported():
            return True
        case ev.EffectFailed(effect=subject) | ev.AttentionNeeded(about=subject):
            return subject.startswith("export:")
    return False


def _changes(state: IncidentState, event: Event) -> dict[str, object]:
    body, at = event.body, event.at
    match body:
        case ev.AlertFired(alert=alert) | ev.AlertResolved(alert=alert):
            known = state.alerts.get(alert.fingerprint)
            news = AlertState(
                alert=alert,
                stored_at=known.stored_at if known else event.recorded,
                changed_at=event.recorded,
            )
            first = state.first_alert_at or event.recorded
            return {"alerts": {**state.alerts, alert.fingerprint: news}, "first_alert_at": first}
        case ev.SeverityChanged(severity=severity):
            return {"severity": severity}
        case ev.Acknowledged() if is_person(event.by) and not state.acked_at:
            return {"acked_by": event.by, "acked_at": at}
        case ev.RunStarted() | ev.RunFinished():
            return {"runs": _runs(state.runs, event)}
        case ev.SuspectsNamed():
            named: dict[str, object] = {
                "suspects": body.suspects,
                "ruled_out": body.ruled_out,
                "suspects_run": body.run,
            }
            # After an act was verified the world is another one: what was named before it stands.
            if state.suspects and (state.mitigated_at or not body.suspects):
                named = {}
            if body.onset and not state.onset:
                named["onset"] = body.onset
            return named
        case ev.PlanMade(plan=plan):
            plans = tuple(
                msgspec.structs.replace(p, undone_by=plan.id) if p.plan.id == plan.undoes else p
                for p in state.plans
            )
            return {"plans": (*plans, PlanState(plan=plan))}
        case ev.EffectVerified(verdict=verdict) if verdict == "recovered":
            mitigated = "mitigated" if state.state == "open" else state.state
            return {
                "plans": _plans(state.plans, event),
                "mitigated_at": state.mitigated_at or at,
                "state": mitigated,
            }
        case ev.ActRefused(undoes=undoes) if undoes:
            return {
                "plans": tuple(
                    msgspec.structs.replace(p, undo_refused=body.text) if p.plan.id == undoes else p
                    for p in state.plans
                )
            }
        case (
            ev.ApprovalGiven() | ev.ApprovalDenied() | ev.ApprovalExpired() | ev.ActionStarted()
            | ev.ActionApplied() | ev.ActionFailed() | ev.EffectChecked() | ev.EffectVerified()
            | ev.ActRefused()
        ):  # fmt: skip
            return {"plans": _plans(state.plans, event)}
        case ev.EffectFailed(effect=effect, attempt=attempt, error=error):
            failure = Failure(attempts=attempt, at=event.recorded, error=error)
            return {"failures": {**state.failures, effect: failure}}
        case ev.AttentionNeeded(about=about, why=why):
            return {"told": (*state.told, about), "attention": (*state.attention, why)}
        case ev.IncidentResolved() if not state.resolved_at:
            return {"state": "resolved", "resolved_at": at}
        case ev.PostmortemExported(upto=upto):
            return {"exported_seq": max(state.exported_seq, upto)}
        case _:
            return {}


def _runs(runs: tuple[RunState, ...], event: Event) -> tuple[RunState, ...]:
    body = event.body
    if isinstance(body, ev.RunStarted):
        started = RunState(
            run=body.run,
            ordinal=body.ordinal,
            attempt=body.attempt,
            purpose=body.purpose,
            runbook=body.runbook,
            parameters=body.parameters,
            now=body.now,
            started_at=event.at,
            because=body.because,
        )
        first = next((r for r in runs if r.run == body.run), None)
        if first is None:
            return (*runs, started)
        resumed = msgspec.structs.replace(first, attempt=body.attempt, status="running")
        return tuple(resumed if r.run == body.run else r for r in runs)
    assert isinstance(body, ev.RunFinished)
    return tuple(
        msgspec.structs.replace(
            r,
            status=body.status,
            finished_at=event.at,
            seconds=body.seconds,
            cell=body.cell,
            error=body.error,
            looks=body.looks,
            gaps=body.gaps,
            bundle=body.bundle,
            runbook_sha256=body.runbook,
            notebook=body.notebook,
            confined=body.confined,
        )
        if r.run == body.run
        else r
        for r in runs
    )


def _plans(plans: tuple[PlanState, ...], event: Event) -> tuple[PlanState, ...]:
    plan_id = getattr(event.body, "plan", "")
    return tuple(_plan(p, event) if p.plan.id == plan_id else p for p in plans)


def _plan(known: PlanState, event: Event) -> PlanState:
    body, at = event.body, event.at
    replace = msgspec.structs.replace
    match body:
        case ev.ApprovalGiven():
            given = Decision(
                by=event.by, at=at, allowed=True, note=body.note, policy=body.policy,
                expires_at=body.expires_at,
            )  # fmt: skip
            after = replace(known, decisions=(*known.decisions, given))
            needed = 1 if body.policy else known.plan.approvals_needed
            enough = len(after.approvers_so_far) >= needed
            return replace(after, status="approved") if enough else after
        case ev.ApprovalDenied():
            denied = Decision(by=event.by, at=at, allowed=False, note=body.note)
            return replace(known, status="denied", decisions=(*known.decisions, denied))
        case ev.ApprovalExpired():
            return replace(known, status="expired", ended_at=at)
        case ev.ActRefused():
            return replace(known, status="refused", refusal=body.text, ended_at=at)
        case ev.ActionStarted():
            return replace(known, status="applying", started_at=known.started_at or at)
        case ev.ActionApplied():
            return replace(known, status="applied", applied_at=at, outcome=body.outcome)
        case ev.ActionFailed():
            return replace(known, status="failed", outcome=body.outcome, ended_at=at)
        case ev.EffectChecked():
            return replace(known, checks=body.number, checked_at=at)
        case ev.EffectVerified():
            return replace(known, status=body.verdict, verdict=body, ended_at=at)
    return known
