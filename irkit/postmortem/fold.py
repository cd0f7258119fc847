"""The fold from an incident's events to the facts of its post-mortem; pure, so that it repeats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from irkit.model import event as ev
from irkit.model.event import Event
from irkit.model.finding import Gap, Suspect
from irkit.model.incident import IncidentState, fold
from irkit.model.look import LookRecord
from irkit.model.principal import is_person
from irkit.model.times import four_times
from irkit.model.units import reading
from irkit.model.window import parse_rfc3339
from irkit.postmortem.values import (
    Past,
    PostmortemFacts,
    RatedSuspect,
    Record,
    Refusal,
    Responder,
    Response,
    Review,
    Seal,
    SignalImpact,
    Strength,
)
from irkit.timeline.entries import entries, folded
from irkit.timeline.sentence import sentence


def facts(
    events: Sequence[Event], *, as_of: datetime, looks: Iterable[LookRecord] = (),
    seal: Seal | None = None, past: Iterable[Past] = (), review: Review | None = None,
    customers: str = "",
) -> PostmortemFacts:  # fmt: skip
    """What the ledger says about an incident, ready to be shown; the same events, the same facts.

    `events` are one incident's, in order; `looks` are those of the chosen run's bundle; `seal`
    says what checking the chain found; `as_of` is the moment of the export, aware, UTC.

    Raises:
        ValueError: there are no events, or the first does not open the incident.
    """
    told = _corrected(events)
    state = fold(told)
    end = state.mitigated_at or state.resolved_at
    return PostmortemFacts(
        incident=state.id,
        title=state.title,
        severity=state.severity,
        state=state.state,
        service=state.service,
        services=state.services,
        effect=_effect(told, state),
        ended=ended(state),
        over=end is not None,
        start=state.onset or state.first_alert_at or state.opened_at,
        end=end,
        first_alert_at=state.first_alert_at,
        onset=state.onset,
        times=four_times(state),
        entries=folded(entries(events)),
        evidence=_evidence(events),
        alerts=len(state.alerts),
        signals=_signals(state),
        suspects=tuple(
            RatedSuspect(suspect=s, strength=strength(s, state)) for s in state.suspects
        ),
        ruled_out=state.ruled_out,
        gaps=_gaps(told),
        failed_looks=tuple(
            dict.fromkeys(e.body.gap.what for e in told if isinstance(e.body, ev.GapFound))
        )[:5],
        method=next((e.body.method for e in told if isinstance(e.body, ev.SuspectsNamed)), ""),
        responses=_responses(told, state),
        refusals=tuple(
            Refusal(at=e.at, action=e.body.action, target=e.body.target, reason=e.body.reason,
                    text=e.body.text)
            for e in told if isinstance(e.body, ev.ActRefused)
        ),
        responders=_responders(told),
        runs=state.runs,
        looks=tuple(looks),
        records=_records(events),
        seal=seal or Seal(head=state.head),
        review=review or Review(),
        past=tuple(past),
        customers=customers,
        as_of=as_of,
    )  # fmt: skip


def strength(suspect: Suspect, state: IncidentState) -> Strength:
    """The fixed word for how sure we are; a change that was undone with success is confirmed."""
    names = {
        suspect.service,
        suspect.sentence,
        suspect.change,
        f"{suspect.service} {suspect.change}",
    }
    for plan in state.plans:
        about = (
            plan.plan.suspect in names
            if plan.plan.suspect
            else (suspect.rank == 1 and plan.plan.target == suspect.service)
        )
        if plan.status == "recovered" and about:
            return "confirmed"
    looks = {name for f in suspect.findings_for for name in f.evidence}
    if len(looks) >= 2:
        return "supported"
    return "consistent" if looks or suspect.findings_for else "untested"


def ended(state: IncidentState) -> str:
    """What ended it, in a sentence: "recovered after", for that is all that was seen."""
    for plan in state.plans:
        if plan.status == "recovered" and plan.verdict:
            who = " and ".join(plan.approvers_so_far)
            by = ", decided by policy" if who == "system" else f", approved by {who}" if who else ""
            v = plan.verdict
            moved = ""
            if v.before is not None and v.after is not None:
                moved = f": {v.signal} {reading(v.before, v.unit)} to {reading(v.after, v.unit)}"
            return f"recovered after: {plan.plan.title}{by}{moved}"
    resolved = f"resolved at {state.resolved_at:%H:%M:%SZ}" if state.resolved_at else ""
    return f"{resolved}; no act was verified as the remedy" if resolved else "not over yet"


def _corrected(events: Sequence[Event]) -> list[Event]:
    """The events with corrected times in place of the old ones; the record keeps both."""
    better: dict[int, datetime] = {}
    for event in events:
        if isinstance(event.body, ev.Corrected) and event.body.field == "at":
            moment = _moment(event.body.value)
            if moment is not None:
                better[event.body.of] = moment
    return [msgspec.structs.replace(e, at=better[e.seq]) if e.seq in better else e for e in events]


def _moment(text: str) -> datetime | None:
    """The time that a correction gives; None where a person wrote something else."""
    try:
        return parse_rfc3339(text)
    except ValueError:
        return None


def _effect(events: Iterable[Event], state: IncidentState) -> str:
    """What broke, as the first alert said it, with the signal's value before the act."""
    fired = [e.body.alert for e in events if isinstance(e.body, ev.AlertFired)]
    summary = next((a.summary for a in fired if a.summary), "")
    worst = next(
        (p.verdict for p in state.plans if p.verdict and p.verdict.before is not None), None
    )
    if worst and worst.before is not None:
        number = f"{worst.signal} of {worst.service} at {reading(worst.before, worst.unit)}"
        limit = f", limit {reading(worst.limit, worst.unit)}" if worst.limit is not None else ""
        known = not summary or summary == state.title
        return number + limit if known else f"{summary} ({number}{limit})"
    if summary and summary != state.title:
        return summary
    names = tuple(dict.fromkeys(f"{a.name} on {a.service}" if a.service else a.name for a in fired))
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"fired: {', '.join(names[:4])}{more}" if names else state.title


def _signals(state: IncidentState) -> tuple[SignalImpact, ...]:
    found: dict[tuple[str, str], SignalImpact] = {}
    for plan in state.plans:
        v = plan.verdict
        if v is None:
            continue
        known = found.get((v.service, v.signal))
        found[v.service, v.signal] = SignalImpact(
            service=v.service, signal=v.signal, unit=v.unit, limit=v.limit, after=v.after,
            worst=known.worst if known else v.before,
        )  # fmt: skip
    return tuple(found.values())


def _gaps(events: Iterable[Event]) -> tuple[Gap, ...]:
    gaps: dict[tuple[str, str], Gap] = {}
    for event in events:
        match event.body:
            case ev.GapFound(gap=gap):
                gaps[gap.what, gap.why] = _dated(gap, event.at)
            case ev.SuspectsNamed(gaps=named):
                for gap in named:
                    gaps.setdefault((gap.what, gap.why), _dated(gap, event.at))
    return tuple(gaps.values())


def _dated(gap: Gap, at: datetime) -> Gap:
    return gap if gap.at else msgspec.structs.replace(gap, at=at)


def _responses(events: Iterable[Event], state: IncidentState) -> tuple[Response, ...]:
    checks: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event.body, ev.EffectChecked):
            checks.setdefault(event.body.plan, []).append(f"{event.at:%H:%M:%SZ} {event.body.text}")
    return tuple(
        Response(state=p, made_at=p.plan.made_at, checks=tuple(checks.get(p.plan.id, ())))
        for p in state.plans
    )


def _responders(events: Iterable[Event]) -> tuple[Responder, ...]:
    found: dict[str, Responder] = {}
    for event in events:
        if not is_person(event.by):
            continue
        name = event.by.removeprefix("person:")
        did = sentence(event).replace(f" by {name}", "", 1).removeprefix(f"{name}: ")
        known = found.get(event.by)
        found[event.by] = (
            msgspec.structs.replace(known, did=(*known.did, did))
            if known
            else Responder(name=event.by, first_at=event.at, did=(did,))
        )
    return tuple(found.values())


def _records(events: Iterable[Event]) -> tuple[Record, ...]:
    return tuple(
        Record(
            seq=e.seq, at=e.at, recorded=e.recorded, kind=e.kind, by=e.by, text=sentence(e),
            hash=e.hash,
        )
        for e in events
    )  # fmt: skip


def _evidence(events: Iterable[Event]) -> dict[int, tuple[str, ...]]:
    found: dict[int, tuple[str, ...]] = {}
    for event in events:
        match event.body:
            case ev.SuspectsNamed(suspects=suspects) if suspects:
                names = (name for f in suspects[0].findings_for for name in f.evidence)
                found[event.seq] = tuple(dict.fromkeys(names))
            case ev.PlanMade(plan=plan) if plan.evidence:
                found[event.seq] = plan.evidence
    return found
