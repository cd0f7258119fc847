"""Plans and outcomes as cards: read-only, what the runner computed, and where a person decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from irkit import display
from irkit.figures.scale import duration
from irkit.model.action import Plan
from irkit.model.finding import unopposed
from irkit.model.incident import PlanState
from irkit.model.units import reading
from irkit.session import Proposal
from irkit.text import clock, one_line

if TYPE_CHECKING:
    from irkit.figures.base import Mark

# status: the colour of its word, and the word; what is undecided is neither good nor bad
STATUS: Final[dict[str, tuple[str, str]]] = {
    "waiting": ("deploy", "waiting for a decision"),
    "approved": ("deploy", "approved, about to be applied"),
    "denied": ("sev2", "denied: nothing is applied"),
    "expired": ("sev2", "expired: nobody decided in time, nothing is applied"),
    "refused": ("sev2", "refused: nothing is applied"),
    "applying": ("deploy", "being applied"),
    "applied": ("deploy", "applied, being verified on the signal that fired"),
    "failed": ("sev1", "failed"),
    "recovered": ("ok", "applied and verified: the signal recovered after it"),
    "not_recovered": ("sev1", "applied, but the signal did not recover"),
    "unknown": ("sev2", "it is unknown what came of it"),
}


@dataclass(frozen=True, repr=False, kw_only=True)
class Planned(display.Shown):
    """What an act would do, as the runner computed it; or why there is no plan."""

    proposal: Proposal
    title: str
    problem: str = ""

    @property
    def plan(self) -> Plan | None:
        """The plan itself; None where there is none."""
        return self.proposal.plan

    def _sentence(self) -> str:
        plan = self.plan
        if self.proposal.refused:
            return f"refused ({self.proposal.refused}): {self.proposal.reason or self.title}"
        if plan is None:
            return f"no plan for {self.title}: {self.problem or self.proposal.reason}"
        reach = f"{plan.blast.instances} of {plan.blast.of} instances"
        return f"plan: {plan.title} ({reach}); undo: {plan.undo.how or plan.undo.cannot}"

    def _parts(self) -> Iterable[Markup]:
        if self.problem:
            yield display.meta(self.problem)
        if self.plan is None:
            yield display.card("sev2", display.line(display.word(self._sentence(), "sev2")))
            return
        yield display.card("deploy", *_plan_items(self.plan))
        if self.proposal.url:
            yield display.line(display.link("Open the incident's page", self.proposal.url))


@dataclass(frozen=True, repr=False, kw_only=True)
class Outcome(display.Shown):
    """What came of a proposed act so far; `pending` until it is decided, applied and verified."""

    proposal: Proposal
    title: str
    problem: str = ""

    @property
    def status(self) -> str:
        """`waiting`, `approved`, `applied`, `recovered`, ... or `refused`, or empty: no answer."""
        if self.proposal.state is not None:
            return self.proposal.state.status
        return "refused" if self.proposal.refused else ""

    @property
    def pending(self) -> bool:
        """Whether it is still under way, or waits for a person."""
        return self.status in ("waiting", "approved", "applying", "applied")

    def _sentence(self) -> str:
        plan = self.proposal.plan
        what = plan.title if plan else self.title
        if not self.status:
            return f"{what}: not proposed: {self.problem or self.proposal.reason}"
        words = STATUS.get(self.status, ("", self.status))[1]
        why = f" ({self.proposal.refused}: {self.proposal.reason})" if self.proposal.refused else ""
        return f"{what}: {words}{why}"

    def _parts(self) -> Iterable[Markup]:
        if self.problem:
            yield display.meta(self.problem)
        role = STATUS.get(self.status, ("sev2", ""))[0]
        parts = [display.line(display.word(one_line(self._sentence()), role))]
        state = self.proposal.state
        if state:
            parts += state_items(state)
        yield display.card(role, *parts)
        if self.proposal.url:
            words = "Decide on the incident's page" if self.status == "waiting" else "Open the page"
            yield display.line(display.link(words, self.proposal.url))


@dataclass(frozen=True, repr=False, kw_only=True)
class Acts(display.Shown):
    """The acts of this incident so far, as the ledger tells them; `mark=inc.acts` draws them."""

    plans: tuple[PlanState, ...]

    def __len__(self) -> int:
        return len(self.plans)

    def marks(self) -> tuple[Mark, ...]:
        """Each applied act as a diamond for a figure, each verified one as a ring."""
        from irkit.figures.base import Mark

        found = []
        for state in self.plans:
            change = state.plan.change
            if state.applied_at:
                label = one_line(f"{state.plan.verb} {change.what} to {change.target}", 60)
                at = round(state.applied_at.timestamp() * 1000)
                found.append(Mark(at=at, kind="act", label=label))
            if state.verdict and state.ended_at and state.verdict.verdict == "recovered":
                at = round(state.ended_at.timestamp() * 1000)
                found.append(Mark(at=at, kind="verified", label="verified"))
        return tuple(found)

    def _sentence(self) -> str:
        if not self.plans:
            return "no act has been proposed"
        last = self.plans[-1]
        return f"{last.plan.title}: {STATUS.get(last.status, ('', last.status))[1]}"

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(self._sentence())
        for state in self.plans:
            role, words = STATUS.get(state.status, ("muted", state.status))
            title = display.line(display.word(state.plan.title), ": ", display.word(words, role))
            yield display.card(role, title, *state_items(state))


def state_items(state: PlanState) -> list[Markup]:
    """Who decided, when it was applied, what the verification saw."""
    rows: list[tuple[str, object]] = []
    for decision in state.decisions:
        verb = "approved" if decision.allowed else "denied"
        by = f"policy {decision.policy}" if decision.policy else decision.by
        note = f": {one_line(decision.note)}" if decision.note else ""
        rows.append((verb, f"by {by} at {clock(decision.at)}{note}"))
    if state.status == "waiting":
        ends = clock(state.plan.expires_at)
        rows.append(("expires", f"{ends}; then nothing is applied"))
        given = f"{len(state.approvers_so_far)} of {state.plan.approvals_needed} given"
        asked = ", ".join(state.plan.approvers) or "any other person"
        rows.append(("who", f"{given}; asked: {asked}"))
    if state.outcome:
        when = f" at {clock(state.applied_at)}" if state.applied_at else ""
        took = f" in {duration(state.outcome.seconds)}" if state.outcome.seconds else ""
        rows.append(("applied", f"{one_line(state.outcome.text)}{when}{took}"))
    if state.verdict:
        seen = state.verdict
        was, now = reading(seen.before, seen.unit), reading(seen.after, seen.unit)
        limit = f" (limit {reading(seen.limit, seen.unit)})" if seen.limit is not None else ""
        rows.append(("verified", f"{seen.signal} of {seen.service}: {was} -> {now}{limit}"))
    if state.refusal:
        rows.append(("refused", one_line(state.refusal)))
    return [display.pairs(rows)] if rows else []


def _plan_items(plan: Plan) -> list[Markup]:
    """The card's seven items: what, reach, why, evidence, undo, expiry, who else."""
    reach = f"{plan.blast.instances} of {plan.blast.of} instances"
    if plan.blast.dependants:
        reach += f"; called by {', '.join(plan.blast.dependants)}"
    undo = plan.undo.how if not plan.undo.cannot else f"cannot be undone: {plan.undo.cannot}"
    if plan.undo.seconds:
        undo += f", about {duration(plan.undo.seconds)}"
    who = f"{plan.requester} asks; the policy is {plan.policy}"
    if plan.policy == "approve":
        asked = ", ".join(plan.approvers) or "any other person"
        who += f": {plan.approvals_needed} needed of {asked}"
    rows: list[tuple[str, object]] = [
        ("what", display.word(plan.title)),
        ("reach", reach),
        ("why", plan.suspect or plan.reason or "no suspect is named for it"),
        ("against", plan.contrary or unopposed(plan.evidence)),
        ("gaps", "; ".join(plan.gaps) or "none"),
        ("evidence", ", ".join(plan.evidence) or "none"),
        ("undo", undo),
        ("expires", f"{clock(plan.expires_at)}; then nothing is applied"),
        ("who", who),
        ("bounds", "; ".join(plan.bounds) or "none"),
        ("hash", display.code(plan.hash[:16])),
    ]
    parts = [display.pairs(rows)]
    if plan.change.diff:
        style = (
            f"background:{display.hex_of('raised')};color:{display.hex_of('ink')};"
            "font-size:13px;padding:8px;overflow-x:auto"
        )
        parts.insert(0, display.element("pre", style, plan.change.diff[:8000]))
    return parts
