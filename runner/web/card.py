"""The approval card: what a person reads before deciding, in a fixed order; pure.

Everything on it comes from the runner's plan and the ledger; nothing from what a cell printed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from irkit.actions.shown import STATUS
from irkit.errors import Refused
from irkit.figures.scale import duration
from irkit.model.base import Value
from irkit.model.finding import Finding, Suspect, unopposed
from irkit.model.incident import IN_FLIGHT, Decision, IncidentState, PlanState
from irkit.model.principal import is_person
from irkit.model.units import reading
from irkit.model.window import format_duration
from irkit.postmortem.fold import strength
from irkit.postmortem.values import MEANING
from irkit.text import clock

MOST_FINDINGS = 3


class Card(Value, frozen=True, kw_only=True):
    """One plan as a card.  Times are UTC; texts are foreign and unescaped.

    `why_not` says why the person who looks cannot decide, and is empty if they can.  `typed` is
    what must be typed to approve a plan of high risk, one that takes two people.  `version`
    changes whenever what is decided on, or how it stands, does.
    """

    id: str
    version: str
    status: str
    role: str
    status_words: str
    waiting: bool
    title: str
    verb: str
    diff: str
    reach: str
    dependants: tuple[str, ...]
    reason: str
    suspect: str
    strength: str
    strength_means: str
    contrary: str
    gaps: tuple[str, ...]
    findings: tuple[str, ...]
    evidence: tuple[str, ...]
    undo: str
    undo_cannot: str
    otherwise: str
    expires_at: datetime
    seconds_left: int
    left: str
    requester: str
    given: str
    asked: str
    bounds: tuple[str, ...]
    hash: str
    typed: str
    needed: int
    can_decide: bool
    why_not: str
    receipt: tuple[str, ...]


def version(known: PlanState) -> str:
    """A word that changes whenever the plan, or how it stands, does."""
    return f"{known.plan.hash[:16]}-{known.status}-{len(known.decisions)}"


def card(
    known: PlanState, state: IncidentState, *, person: str, now: datetime, refusal: Refused | None
) -> Card:
    """The card of a plan for one person; `refusal` is why they may not decide, if so."""
    plan = known.plan
    suspect = suspect_of(known, state)
    where = f" in {plan.blast.environment}" if plan.blast.environment else ""
    role, words = STATUS.get(known.status, ("muted", known.status))
    waiting = known.status == "waiting"
    word = strength(suspect, state) if suspect else "untested"
    contrary = plan.contrary
    if not contrary and suspect and suspect.findings_against:
        contrary = finding(suspect.findings_against[0])
    looks = (*plan.evidence, *(suspect.looks if suspect else ()))
    left = max(0, int((plan.expires_at - now).total_seconds()))
    return Card(
        id=plan.id,
        version=version(known),
        status=known.status,
        role=role,
        status_words=words,
        waiting=waiting,
        title=plan.title,
        verb=plan.action.replace("_", " "),
        diff=plan.change.diff,
        reach=f"{plan.blast.instances} of {plan.blast.of} instances{where}",
        dependants=plan.blast.dependants,
        reason=plan.reason,
        suspect=suspect.sentence if suspect else plan.suspect,
        strength=word,
        strength_means=MEANING[word],
        contrary=contrary or unopposed(looks),
        gaps=plan.gaps,
        findings=tuple(finding(f) for f in suspect.findings_for[:MOST_FINDINGS]) if suspect else (),
        evidence=plan.evidence,
        undo=_undo(known),
        undo_cannot=plan.undo.cannot,
        otherwise=_otherwise(known, state),
        expires_at=plan.expires_at,
        seconds_left=left,
        left=format_duration(timedelta(seconds=left)),
        requester=plan.requester.removeprefix("person:"),
        given=f"{len(known.approvers_so_far)} of {plan.approvals_needed} approvals given",
        asked=", ".join(plan.approvers) or "any person who did not ask for it",
        bounds=plan.bounds,
        hash=plan.hash,
        needed=plan.approvals_needed,
        typed=plan.target if plan.approvals_needed > 1 else "",
        can_decide=waiting and plan.policy == "approve" and refusal is None,
        why_not=_why_not(known, person, refusal) if waiting else "",
        receipt=_receipt(known, person),
    )


def order(plans: tuple[PlanState, ...]) -> tuple[PlanState, ...]:
    """What waits, oldest first; then what is under way; then what is over, newest first."""
    waiting = [p for p in plans if p.status == "waiting"]
    moving = [p for p in plans if p.status in IN_FLIGHT]
    over = [p for p in reversed(plans) if p not in waiting and p not in moving]
    return (*waiting, *moving, *over)


def suspect_of(known: PlanState, state: IncidentState) -> Suspect | None:
    """The suspect that the plan is about: the one it names, else the first on its target."""
    named = known.plan.suspect
    for suspect in state.suspects:
        if named in (suspect.service, suspect.sentence, suspect.change,
                     f"{suspect.service} {suspect.change}"):  # fmt: skip
            return suspect
    return next((s for s in state.suspects if s.service == known.plan.target), None)


def finding(found: Finding) -> str:
    """A finding with its two numbers, where it has them."""
    if found.before is None or found.after is None:
        return found.sentence
    was, now = reading(found.before, found.unit), reading(found.after, found.unit)
    return f"{found.sentence} ({was} -> {now})"


def _undo(known: PlanState) -> str:
    undo = known.plan.undo
    takes = f", about {duration(undo.seconds)}" if undo.seconds else ""
    return f"{undo.how}{takes}" if undo.how else ""


def _otherwise(known: PlanState, state: IncidentState) -> str:
    firing = len(state.firing)
    alerts = "1 alert keeps" if firing == 1 else f"{firing or 'no'} alerts keep"
    taken = state.acked_by.removeprefix("person:")
    who = f"{taken} is asked to look" if taken else "this page asks for a person"
    return (
        f"If nobody acts, {alerts} firing; at {clock(known.plan.expires_at)} the plan "
        f"expires, nothing is applied, and {who}."
    )


def _why_not(known: PlanState, person: str, refusal: Refused | None) -> str:
    plan = known.plan
    if plan.policy != "approve":
        return "The policy decides on this one."
    if refusal is None:
        return ""
    may = ", ".join(n for n in plan.approvers if f"person:{n}" != plan.requester)
    others = f"{may} may." if may else "Any other person may."
    given = next((d for d in known.decisions if d.by == person), None)
    if given:
        return f"You approved it at {clock(given.at)}; another person is needed. {others}"
    if refusal.reason == "same_person":
        return f"You asked for it, so you cannot approve it. {others}"
    if refusal.reason == "not_permitted":
        return f"You may not decide on {plan.action}. {others}"
    return f"{refusal.what[:1].upper()}{refusal.what[1:]}."


def _receipt(known: PlanState, person: str) -> tuple[str, ...]:
    """What was decided, by whom, when; what was done; what came of it."""
    lines = [_decision(d, person) for d in known.decisions]
    if known.status == "expired" and known.ended_at:
        lines.append(f"Expired at {clock(known.ended_at)}; nothing was applied")
    if known.refusal:
        lines.append(f"Refused: {known.refusal}")
    if known.started_at:
        lines.append(f"Begun at {clock(known.started_at)}")
    if known.outcome:
        at = f" at {clock(known.applied_at)}" if known.applied_at else ""
        how = {"applied": "Applied", "already": "Was applied already", "failed": "Failed"}
        lines.append(f"{how.get(known.outcome.status, 'Unknown')}{at}: {known.outcome.text}")
    verdict = known.verdict
    if verdict:
        was, now = reading(verdict.before, verdict.unit), reading(verdict.after, verdict.unit)
        seen = f"{verdict.signal} of {verdict.service} {was} -> {now}" if verdict.signal else ""
        lines.append(": ".join(t for t in ("Verified", seen, verdict.text) if t))
    if known.undone_by:
        lines.append(f"Undone by plan {known.undone_by}")
    if known.status == "approved" or (known.decisions and known.status == "waiting"):
        needed = known.plan.approvals_needed - len(known.approvers_so_far)
        if needed > 0:
            lines.append(f"{needed} more needed")
    return tuple(lines)


def _decision(decision: Decision, person: str) -> str:
    verb = "approved" if decision.allowed else "denied"
    name = "you" if decision.by == person else decision.by.removeprefix("person:")
    if decision.policy or not is_person(decision.by):
        name = f"the policy ({decision.policy})" if decision.policy else decision.by
    note = f": {decision.note}" if decision.note else ""
    return f"{name[:1].upper()}{name[1:]} {verb} at {clock(decision.at)}{note}"
