"""The timeline's rows: each event in words, alike ones folded, what matters never folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from irkit.figures.timeline import Glyph, Lane
from irkit.model import event as ev
from irkit.model.event import Event
from irkit.model.incident import IncidentState
from irkit.model.principal import is_person
from irkit.postmortem.values import Entry

FOLD_FROM: Final = 4
FOLD_WITHIN: Final = timedelta(seconds=60)
_PLURAL: Final = {
    "alert.fired": "alerts", "alert.resolved": "alerts resolved", "message.posted": "messages",
    "effect.checked": "checks of the signal", "effect.failed": "failed tries",
}  # fmt: skip
Words = tuple[Lane, Glyph, str, str, bool]


def entries(events: Sequence[Event], state: IncidentState) -> tuple[Entry, ...]:
    """The rows in the order in which things happened, alike ones folded."""
    plans = {p.plan.id: p.plan.title for p in state.plans}
    corrections = {e.body.of: (e, e.body) for e in events if isinstance(e.body, ev.Corrected)}
    rows: list[Entry] = []
    seen_alert = False
    for event in events:
        words = describe(event, plans)
        if words is None:
            continue
        lane, glyph, title, detail, key = words
        if isinstance(event.body, ev.AlertFired) and not seen_alert:
            seen_alert, key, title = True, True, f"first alert: {title}"
        old = corrections.get(event.seq)
        corrected = (
            f"{old[1].field} was {old[1].was}, corrected by {old[0].by}: {old[1].why}"
            if old
            else ""
        )
        rows.append(Entry(
            seq=event.seq, at=event.at, recorded=event.recorded, lane=lane, glyph=glyph,
            kind=event.kind, title=title, detail=detail, by=event.by, key=key,
            corrected=corrected, evidence=_evidence(event),
        ))  # fmt: skip
    rows += _derived(events, state)
    rows.sort(key=lambda r: (r.at, r.seq))
    return tuple(_since(row, state.first_alert_at) for row in fold_alike(rows))


def fold_alike(rows: Sequence[Entry]) -> list[Entry]:
    """Fold four or more alike rows within 60 seconds into one that counts and contains them."""
    out: list[Entry] = []
    used: set[int] = set()
    for i, row in enumerate(rows):
        if i in used:
            continue
        if row.key or row.kind not in _PLURAL:
            out.append(row)
            continue
        group = [
            k for k in range(i, len(rows))
            if k not in used and not rows[k].key and rows[k].kind == row.kind
            and rows[k].at - row.at <= FOLD_WITHIN
        ]  # fmt: skip
        if len(group) < FOLD_FROM:
            out.append(row)
            continue
        used.update(group)
        inside = tuple(rows[k] for k in group)
        last = inside[-1].at
        out.append(msgspec.structs.replace(
            row, title=f"{len(inside)} {_PLURAL[row.kind]}, {row.at:%H:%M:%S}-{last:%H:%M:%S}",
            detail="", inside=inside, last=last, evidence=(),
        ))  # fmt: skip
    return out


def describe(event: Event, plans: dict[str, str]) -> Words | None:
    """Lane, glyph, title, detail and whether the row is key; None for bookkeeping."""
    body, who = event.body, event.by
    act = plans.get(
        getattr(body, "plan", "") if isinstance(getattr(body, "plan", ""), str) else "", "the plan"
    )
    match body:
        case ev.IncidentOpened():
            return "Signals", "other", f"incident opened: {body.title}", body.why, False
        case ev.AlertFired(alert=alert):
            return "Signals", "alert", f"{alert.name} fires", alert.summary, False
        case ev.AlertResolved(alert=alert):
            return "Signals", "resolved", f"{alert.name} no longer fires", "", False
        case ev.SeverityChanged():
            return "Signals", "other", f"{body.was} becomes {body.severity}", body.why, True
        case ev.Acknowledged():
            return "People", "ack", f"{who} acknowledges", body.note, True
        case ev.RunStarted():
            again = f", attempt {body.attempt}" if body.attempt > 1 else ""
            return (
                "Runs",
                "run",
                f"run {body.ordinal} starts ({body.purpose}{again})",
                body.because,
                False,
            )
        case ev.RunLive() if body.recorded:
            return (
                "Runs",
                "run",
                f"resumed run is live after {body.recorded} recorded looks",
                "",
                False,
            )
        case ev.RunFinished():
            bad = body.status != "succeeded"
            return (
                "Runs",
                "refused" if bad else "run",
                f"run {body.status.replace('_', ' ')}",
                body.error,
                bad,
            )
        case ev.SuspectsNamed():
            top = body.suspects[0].sentence if body.suspects else "nothing stands out"
            return "Runs", "other", f"suspect: {top}", body.method, True
        case ev.GapFound(gap=gap):
            return (
                "Runs",
                "gap",
                f"gap: {gap.what}",
                f"{gap.why}; {gap.cannot_say}".strip("; "),
                True,
            )
        case ev.PlanMade(plan=plan):
            return "Runs", "other", f"plan: {plan.title}", plan.reason, True
        case ev.ActRefused():
            return (
                "Changes",
                "refused",
                f"refused: {body.action} {body.target}",
                f"{body.reason}: {body.text}",
                True,
            )
        case ev.ApprovalGiven():
            by = f"policy {body.policy}" if body.policy else who
            return "People", "decision", f"{by} approves {act}", body.note, True
        case ev.ApprovalDenied():
            return "People", "decision", f"{who} denies {act}", body.note, True
        case ev.ApprovalExpired():
            return "People", "decision", f"nobody decided on {act}: nothing is applied", "", True
        case ev.ActionStarted():
            return "Changes", "other", f"applying {act}", "", False
        case ev.ActionApplied(outcome=outcome):
            return "Changes", "act", f"applied: {act}", outcome.text, True
        case ev.ActionFailed(outcome=outcome):
            return "Changes", "refused", f"{outcome.status}: {act}", outcome.text, True
        case ev.EffectChecked():
            return "Signals", "other", f"check {body.number}: {body.text}", "", False
        case ev.EffectVerified():
            good = body.verdict == "recovered"
            return (
                "Signals",
                "verified" if good else "alert",
                f"{body.signal} {body.verdict.replace('_', ' ')} after {act}",
                body.text,
                True,
            )
        case ev.MessagePosted():
            return "Messages", "message", f"to {body.channel}: {body.text}", "", False
        case ev.NoteWritten():
            lane: Lane = "People" if is_person(who) else "Runs"
            return lane, "other", f"note by {who}: {body.text}", "", True
        case ev.AttentionNeeded():
            return "Runs", "gap", f"a human is needed: {body.why}", body.next, True
        case ev.EffectFailed():
            return "Runs", "gap", f"{body.effect} failed, try {body.attempt}", body.error, False
        case ev.IncidentResolved():
            return "Signals", "resolved", "incident resolved", body.why, True
        case ev.Corrected():
            return (
                "People",
                "other",
                f"correction of event {body.of}: {body.field}",
                f"{body.was} becomes {body.value}: {body.why}",
                True,
            )
        case _:
            return None


def _derived(events: Iterable[Event], state: IncidentState) -> list[Entry]:
    """What a run found out about the time before the first alert: the onset and the change."""
    named = next((e for e in events if isinstance(e.body, ev.SuspectsNamed)), None)
    if named is None:
        return []
    rows = []

    def row(at: datetime, lane: Lane, glyph: Glyph, kind: str, title: str) -> Entry:
        return Entry(
            seq=named.seq,
            at=at,
            recorded=named.recorded,
            lane=lane,
            glyph=glyph,
            kind=kind,
            title=title,
            detail="found by the run",
            by=named.by,
            key=True,
        )

    if state.onset:
        rows.append(row(state.onset, "Signals", "alert", "onset", "onset of the symptom"))
    known: set[tuple[str, str]] = set()
    for suspect in state.suspects:
        if suspect.change_at and (suspect.service, suspect.change) not in known:
            known.add((suspect.service, suspect.change))
            rows.append(
                row(
                    suspect.change_at,
                    "Changes",
                    "deploy",
                    "change",
                    f"{suspect.service} {suspect.change}",
                )
            )
    return rows


def _evidence(event: Event) -> tuple[str, ...]:
    match event.body:
        case ev.SuspectsNamed(suspects=suspects) if suspects:
            return tuple(dict.fromkeys(e for f in suspects[0].findings_for for e in f.evidence))
        case ev.PlanMade(plan=plan):
            return plan.evidence
        case _:
            return ()


def _since(row: Entry, first: datetime | None) -> Entry:
    if first is None:
        return row
    return msgspec.structs.replace(
        row, since=(row.at - first).total_seconds(),
        inside=tuple(_since(r, first) for r in row.inside),
    )  # fmt: skip
