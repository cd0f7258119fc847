"""The bounds on acts: pure checks that name their reason."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from irkit.model.action import Plan
from irkit.model.base import Value
from irkit.model.incident import IncidentState, PlanState
from irkit.model.policy import Policy


class Refusal(Value, frozen=True, kw_only=True):
    """Why an act may not be: a fixed word and a sentence."""

    reason: str
    text: str


def refusal(
    plan: Plan, others: Iterable[PlanState], policy: Policy, now: datetime
) -> Refusal | None:
    """The first bound that this plan breaks now, or None.

    `others` are the plans of all incidents.  Checked before planning, and again before acting.
    """
    known = list(others)
    undone = next((p.plan.action for p in known if p.plan.id == plan.undoes), plan.action)
    rules = policy.undoing(plan.action, undone)
    if rules.mode == "forbid":
        return Refusal(
            reason="forbidden",
            text=f"the policy forbids {plan.action}; allow it under actions.{plan.action}",
        )
    if policy.freeze:
        return Refusal(reason="frozen", text="actions are frozen (safety.freeze)")
    if plan.blast.share > rules.max_share:
        return Refusal(
            reason="blast_radius",
            text=f"it touches {plan.blast.instances} of {plan.blast.of} instances, at most "
            f"{rules.max_share:.0%} are allowed",
        )
    same = [
        p for p in known
        if p.plan.target == plan.target and p.plan.id not in (plan.id, plan.undoes)
    ]  # fmt: skip
    for other in same:
        if other.status in ("applying", "applied"):
            return Refusal(
                reason="locked",
                text=f"{other.plan.title} ({other.plan.incident}) is under way on {plan.target}",
            )
    done = sorted(at for p in same if p.plan.action == plan.action and (at := _happened(p)))
    last_hour = [at for at in done if at > now - timedelta(hours=1)]
    if len(last_hour) >= rules.max_per_hour:
        return Refusal(
            reason="rate",
            text=f"{plan.action} ran {len(last_hour)} times on {plan.target} within the hour, "
            f"at most {rules.max_per_hour} are allowed",
        )
    if done and not plan.undoes:
        ready = done[-1] + timedelta(seconds=rules.cooldown_seconds)
        if now < ready:
            return Refusal(
                reason="cooldown", text=f"{plan.target} cools down until {ready:%H:%M:%SZ}"
            )
    return None


def _happened(known: PlanState) -> datetime | None:
    """When it was applied, or may have been: an act with unknown outcome counts as done."""
    unknown = known.outcome is not None and known.outcome.status == "unknown"
    return known.applied_at or (known.started_at if unknown else None)


def failed_before(state: IncidentState) -> Refusal | None:
    """Why no further automatic try is made in this incident, or None.

    After an act that did not help, or that nobody can tell of, only people decide.
    """
    bad = next(
        (p for p in state.plans
         if p.status in ("not_recovered", "unknown", "failed")),
        None,
    )  # fmt: skip
    if bad is None:
        return None
    return Refusal(
        reason="failed_before",
        text=f"{bad.plan.title} did not help; a person decides from here on",
    )
