"""Acts: applying what was decided, once, and verifying it on the signal that fired."""

from __future__ import annotations

import msgspec

from irkit.errors import IrkitError, LookFailed, Refused
from irkit.model import event as ev
from irkit.model.action import Outcome, Plan
from irkit.model.event import Draft
from irkit.model.incident import PlanState
from irkit.model.principal import SYSTEM
from runner.actions.broker import Broker
from runner.decide import Effect
from runner.decide.bounds import Refusal
from runner.decide.verification import Judgement, judge


class Acts:
    """Applies approved plans and verifies their effect; whatever crashes, an act is done once."""

    def __init__(self, broker: Broker) -> None:
        self.broker, self.outside = broker, broker.outside

    # -- acting ---------------------------------------------------------------------------------

    def apply(self, effect: Effect) -> None:
        """Apply an approved plan, once.

        Before it acts, the bounds are checked again and the plan is computed again: one that has
        changed is refused.  After a crash the target is asked what came of the act.
        """
        known = self.broker.known(effect.incident, effect.subject)
        plan = known.plan
        if known.status == "applying":
            outcome = self._find_out(plan)
        else:
            broken = self._stale(plan) or self.broker.broken_bound(plan)
            if broken:
                self.broker.refuse(
                    effect.incident, plan.action, plan.target, broken.reason, broken.text, SYSTEM,
                    plan=plan.id, key=f"{effect.key}:refused",
                )  # fmt: skip
                return
            self.broker.ledger.append(
                effect.incident,
                Draft(
                    key=f"start:{plan.id}",
                    at=self.broker.clock.now(),
                    by=SYSTEM,
                    body=ev.ActionStarted(plan=plan.id, key=plan.key, title=plan.title),
                ),
            )
            outcome = self._apply(plan)
        done = outcome.status in ("applied", "already")
        body = (ev.ActionApplied if done else ev.ActionFailed)(plan=plan.id, outcome=outcome)
        self.broker.append(effect, body, SYSTEM)

    def _find_out(self, plan: Plan) -> Outcome:
        """What came of an act that a crash cut off; it is repeated only if it never happened."""
        try:
            found = self.outside.lookup(plan, self._name_there(plan))
        except IrkitError as why:
            return Outcome(status="unknown", text=f"the target cannot tell what happened: {why}")
        return found or self._apply(plan)

    def _apply(self, plan: Plan) -> Outcome:
        try:
            allowed = self.broker.known(plan.incident, plan.id).approvers_so_far
            by = allowed[0] if allowed else SYSTEM
            return self.outside.apply(plan, self._name_there(plan), by=by)
        except LookFailed as why:
            return self._ask_what_happened(plan, str(why))
        except IrkitError as why:
            return Outcome(status="failed", text=str(why))

    def _ask_what_happened(self, plan: Plan, error: str) -> Outcome:
        """It did not answer and may have acted all the same: it is asked, and not repeated."""
        try:
            found = self.outside.lookup(plan, self._name_there(plan))
        except IrkitError as why:
            return Outcome(status="unknown", text=f"{error}; and it cannot tell: {why}")
        return found or Outcome(status="failed", text=error)

    def _stale(self, plan: Plan) -> Refusal | None:
        """Whether the plan, computed again now, is another one than was decided on."""
        try:
            where = self.broker.where_of(plan)
            survey = self.broker.survey(
                plan.incident, plan.target, where, plan.action, plan.arguments
            )
        except Refused as why:
            return Refusal(reason="plan_changed", text=f"it can no longer be done: {why}")
        again = msgspec.structs.replace(
            plan, change=survey.change, blast=survey.blast, undo=survey.undo
        )
        if again.hash == plan.hash and not survey.already:
            return None
        return Refusal(
            reason="plan_changed",
            text=f"what would be done has changed since the decision: now {again.title}",
        )

    # -- verifying ------------------------------------------------------------------------------

    def verify(self, effect: Effect) -> None:
        """Look at the signal that fired and say whether the act helped, or that it is too early."""
        known = self.broker.known(effect.incident, effect.subject)
        check, now = known.plan.check, self.broker.clock.now()
        if check is None:
            verdict = Judgement(verdict="unknown", value=None, text="no signal to verify it on")
            self.broker.append(effect, self._verdict(known, verdict, None), SYSTEM)
            return
        applied_at = known.applied_at or now
        samples, gap = self.outside.samples(effect.incident, self.broker.catalog, check, now=now)
        verdict = judge(samples, check, applied_at=applied_at, now=now)
        text = f"{verdict.text}; {gap}" if gap else verdict.text
        if verdict.verdict == "pending":
            body: ev.EffectChecked | ev.EffectVerified = ev.EffectChecked(
                plan=known.plan.id, number=effect.number, value=verdict.value, text=text
            )
        else:
            before = [v for at, v in samples if at <= applied_at]
            verdict = msgspec.structs.replace(verdict, text=text)
            worst = (max if check.above else min)(before, default=None)
            body = self._verdict(known, verdict, worst)
        # It happened when it was looked at; a replay finds the same verdict at the same moment.
        self.broker.append(effect, body, SYSTEM, at=now)

    def _verdict(
        self, known: PlanState, verdict: Judgement, before: float | None
    ) -> ev.EffectVerified:
        check = known.plan.check
        return ev.EffectVerified(
            plan=known.plan.id,
            verdict=verdict.verdict,
            service=check.service if check else "",
            signal=check.signal if check else "",
            before=before,
            after=verdict.value,
            limit=check.limit if check else None,
            unit=check.unit if check else "",
            text=verdict.text,
        )

    def _name_there(self, plan: Plan) -> str:
        return self.broker.where_of(plan).name
