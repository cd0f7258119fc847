"""The broker: plans and decisions.  What an approver sees is made here.

A notebook names an action, a target and arguments; everything else is computed by the runner, from
reads that are recorded.  `runner.actions.apply` does what was decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count

import msgspec

from irkit.clock import Clock
from irkit.errors import NotFound, Refused
from irkit.model import event as ev
from irkit.model.action import Argument, Check, Plan, plan_key
from irkit.model.catalog import ActionTarget, Catalog
from irkit.model.event import Draft
from irkit.model.incident import ENDED, IncidentState, PlanState
from irkit.model.policy import ActionPolicy, Policy
from irkit.model.principal import SYSTEM, is_person
from irkit.ports import Survey
from irkit.session import Ask
from runner.decide import Effect
from runner.decide.bounds import Refusal, failed_before, refusal
from runner.outside import Outside, signal_of
from runner.stores.ledger import Ledger


class Broker:
    """Plans acts and records decisions on them; every step is an event.

    `unconfined` says that runs execute without confinement on this machine.
    """

    def __init__(
        self,
        ledger: Ledger,
        outside: Outside,
        catalog: Catalog,
        policy: Policy,
        clock: Clock,
        *,
        unconfined: bool = False,
    ) -> None:
        self.ledger, self.outside, self.catalog = ledger, outside, catalog
        self.policy, self.clock, self._unconfined = policy, clock, unconfined

    # -- planning -------------------------------------------------------------------------------

    def plan(self, incident: str, ask: Ask, requester: str, *, undoes: str = "") -> Plan:
        """Compute what an act would do; reads only, stores nothing.

        Raises:
            Refused: the act is outside the incident, unknown, impossible, forbidden or out of
                bounds; `reason` names which.
            LookFailed: the target cannot be asked.
        """
        state = self.ledger.state(incident)
        key, _ = self._standing(state, ask, requester, undoes)
        undone = state.plan(undoes)
        where = self._where(state, ask, undone)
        survey = self.survey(incident, ask.target, where, ask.action, ask.arguments)
        if survey.already:
            raise Refused(
                "nothing to do", reason="already", on=survey.change.what,
                next=f"it is at {survey.change.target} already",
            )  # fmt: skip
        now = self.clock.now()
        rules = self.policy.undoing(ask.action, undone.plan.action if undone else ask.action)
        mode = "auto" if undoes and requester == SYSTEM else self._mode(ask.action, rules, state)
        plan = Plan(
            id=f"P-{key[:8]}",
            key=key,
            incident=incident,
            action=ask.action,
            integration=where.integration,
            target=ask.target,
            arguments=ask.arguments,
            change=survey.change,
            blast=survey.blast,
            undo=survey.undo,
            check=self._check(state, rules),
            policy=mode,
            approvers=rules.approvers,
            approvals_needed=rules.approvals_needed,
            bounds=(
                f"at most {rules.max_per_hour} an hour on {ask.target}",
                f"{rules.cooldown_seconds:g} s pause between two",
                f"at most {rules.max_share:.0%} of its instances",
            ),
            requester=requester,
            reason=ask.reason,
            suspect=ask.suspect,
            strength=ask.strength,
            contrary=ask.contrary,
            gaps=ask.gaps,
            evidence=ask.evidence,
            undoes=undoes,
            made_at=now,
            expires_at=now + timedelta(seconds=rules.expires_seconds),
        )
        broken = self.broken_bound(plan)
        if broken:
            raise Refused(broken.text, reason=broken.reason, on=plan.title)
        return plan

    def propose(self, incident: str, ask: Ask, requester: str) -> PlanState:
        """Propose an act: its plan enters the ledger and waits for a decision.

        Asking again for the same act in the same incident returns how it stands, and plans nothing;
        unless nobody decided in time or the plan had changed, or a person asks for an act that
        has ended: then it is planned anew.

        Raises:
            Refused, LookFailed: as `plan`; a refusal is an event.
        """
        _, known = self._standing(self.ledger.state(incident), ask, requester)
        if known:
            return known
        try:
            plan = self.plan(incident, ask, requester)
        except Refused as why:
            self.refuse(incident, ask.action, ask.target, why.reason, str(why), requester)
            raise
        self.ledger.append(incident, self._made(plan))
        return self.known(incident, plan.id)

    @staticmethod
    def _standing(
        state: IncidentState, ask: Ask, requester: str, undoes: str = ""
    ) -> tuple[str, PlanState | None]:
        """The act's key, and how it stands; None where it is to be planned (anew)."""
        over = ("denied", *ENDED) if is_person(requester) else ()
        for again in count():
            key = plan_key(state.id, ask.action, ask.target, ask.arguments, undoes, again)
            known = state.plan_for(key)
            if known is None or known.status not in ("expired", "refused", *over):
                return key, known
        raise AssertionError("unreachable")

    def undo(self, effect: Effect) -> None:
        """Plan the opposite of an act that did not help; the policy has decided on it."""
        known = self.known(effect.incident, effect.subject)
        ask = Ask(
            action=known.plan.undo.action,
            target=known.plan.target,
            arguments=known.plan.undo.arguments,
            reason=f"{known.plan.title} did not help",
        )
        try:
            plan = self.plan(effect.incident, ask, SYSTEM, undoes=known.plan.id)
        except Refused as why:
            self.refuse(
                effect.incident, ask.action, ask.target, why.reason, str(why), SYSTEM,
                undoes=known.plan.id, key=effect.key,
            )  # fmt: skip
            return
        self.ledger.append(effect.incident, self._made(plan))

    # -- deciding -------------------------------------------------------------------------------

    def decide(
        self, plan_id: str, *, person: str, allow: bool, plan_hash: str, note: str = ""
    ) -> PlanState:
        """Record a person's decision on exactly the plan with this hash; the first one counts.

        Raises:
            NotFound: there is no such plan.
            Refused: the plan has changed or is decided, the person asked for it, or may not decide.
        """
        incident = self.incident_of(plan_id)

        def decision(state: IncidentState) -> list[Draft]:
            known = state.plan(plan_id)
            assert known
            self.may_decide(known, person, plan_hash)
            now = self.clock.now()
            number = len(known.decisions) + 1
            body: ev.ApprovalGiven | ev.ApprovalDenied
            if allow:
                body = ev.ApprovalGiven(
                    plan=plan_id, plan_hash=plan_hash, expires_at=known.plan.expires_at, note=note
                )
            else:
                body = ev.ApprovalDenied(plan=plan_id, plan_hash=plan_hash, note=note)
            return [Draft(key=f"decision:{plan_id}:{number}", at=now, by=person, body=body)]

        self.ledger.extend(incident, decision)
        return self.known(incident, plan_id)

    def may_decide(self, known: PlanState, person: str, plan_hash: str) -> None:
        """Check that a person may decide on a plan now; says so only by not raising.

        Raises:
            Refused: `reason` is `not_a_person`, `plan_changed`, `decided`, `expired`,
                `same_person` or `not_permitted`.
        """
        plan = known.plan
        if not is_person(person):
            raise Refused("only a person decides", reason="not_a_person", on=person)
        if plan.hash != plan_hash:
            raise Refused(
                "the plan is not the one you read", reason="plan_changed", on=plan.title,
                next="read it again, then decide",
            )  # fmt: skip
        if known.status != "waiting":
            who = ", ".join(d.by for d in known.decisions) or "nobody"
            raise Refused(
                f"the plan is {known.status} already (decided by: {who})", reason="decided",
                on=plan.title,
            )  # fmt: skip
        if self.clock.now() >= plan.expires_at:
            raise Refused("the plan has expired", reason="expired", on=plan.title)
        if person == plan.requester:
            raise Refused(
                "who asks does not approve", reason="same_person", on=plan.title,
                next="ask somebody else to decide",
            )  # fmt: skip
        name = person.removeprefix("person:")
        if plan.approvers and name not in plan.approvers:
            raise Refused(
                f"{name} may not decide on {plan.action}", reason="not_permitted", on=plan.title,
                next=f"these may: {', '.join(plan.approvers)}",
            )  # fmt: skip
        if any(d.by == person for d in known.decisions):
            raise Refused("you have approved it already", reason="decided", on=plan.title)

    def approve_by_policy(self, effect: Effect) -> None:
        """Allow a plan whose policy is `auto`, recorded as the policy's decision."""
        known = self.known(effect.incident, effect.subject)
        plan, state = known.plan, self.ledger.state(effect.incident)
        broken = self.broken_bound(plan) or (None if plan.undoes else failed_before(state))
        if broken:
            self.refuse(
                effect.incident, plan.action, plan.target, broken.reason, broken.text, SYSTEM,
                plan=plan.id, key=effect.key,
            )  # fmt: skip
            return
        body = ev.ApprovalGiven(
            plan=plan.id, plan_hash=plan.hash, expires_at=plan.expires_at,
            policy=f"actions.{plan.action}: {'undo' if plan.undoes else 'auto'}",
        )  # fmt: skip
        self.append(effect, body, SYSTEM)

    def expire(self, effect: Effect) -> None:
        """Close a plan that nobody decided on in time; nothing is applied."""
        self.append(effect, ev.ApprovalExpired(plan=effect.subject), SYSTEM)

    # -- shared ---------------------------------------------------------------------------------

    def incident_of(self, plan_id: str) -> str:
        """The incident a plan belongs to.

        Raises:
            NotFound: there is no such plan.
        """
        for state in self.ledger.states():
            if state.plan(plan_id):
                return state.id
        raise NotFound("no such plan", on=plan_id, next="list them with: irkit approvals")

    def known(self, incident: str, plan_id: str) -> PlanState:
        """A plan as it stands.

        Raises:
            NotFound: there is no such plan.
        """
        known = self.ledger.state(incident).plan(plan_id)
        if known is None:
            raise NotFound("no such plan", on=plan_id, next="list them with: irkit approvals")
        return known

    def _where(self, state: IncidentState, ask: Ask, undone: PlanState | None) -> ActionTarget:
        if ask.target not in state.services:
            raise Refused(
                f"{ask.target} is not affected by {state.id}", reason="not_affected",
                on=ask.action, next=f"affected: {', '.join(state.services) or 'nothing known'}",
            )  # fmt: skip
        return self._there(ask.target, ask.action, undone)

    def where_of(self, plan: Plan) -> ActionTarget:
        """Which integration carries a plan out, under which name there.

        Raises:
            Refused: the catalog no longer gives the service this action.
        """
        undone = self.ledger.state(plan.incident).plan(plan.undoes)
        return self._there(plan.target, plan.action, undone)

    def _there(self, service: str, action: str, undone: PlanState | None) -> ActionTarget:
        """Who did an act also takes it back, where the catalog says nothing else."""
        if undone and action not in self.catalog.service(service).actions:
            return self.where(service, undone.plan.action)
        return self.where(service, action)

    def where(self, service: str, action: str) -> ActionTarget:
        """Which integration carries out an action on a service, under which name there.

        Raises:
            Refused: the catalog gives the service no such action.
        """
        actions = self.catalog.service(service).actions
        if action not in actions:
            raise Refused(
                f"{service} has no action {action!r}", reason="no_such_action",
                next=f"it has: {', '.join(actions) or 'none'}",
            )  # fmt: skip
        return actions[action]

    def survey(
        self, incident: str, service: str, where: ActionTarget, action: str,
        arguments: Mapping[str, Argument],
    ) -> Survey:  # fmt: skip
        """What an act would do, with what only the catalog knows: environment and dependants."""
        found = self.outside.survey(incident, where, action, arguments)
        blast = msgspec.structs.replace(
            found.blast,
            environment=found.blast.environment or self.catalog.service(service).environment,
            dependants=found.blast.dependants or self.catalog.dependants(service),
        )
        return msgspec.structs.replace(found, blast=blast)

    def _mode(self, action: str, rules: ActionPolicy, state: IncidentState) -> str:
        """The policy's mode; `auto` falls back to `approve`.

        It does where runs are not confined (unless the action is allowed by name), and after an
        act of this incident that did not help.
        """
        loose = self._unconfined and action not in self.policy.allow_unconfined
        return "approve" if rules.mode == "auto" and (loose or failed_before(state)) else rules.mode

    def _check(self, state: IncidentState, rules: ActionPolicy) -> Check | None:
        signal = signal_of(self.catalog, state.service, state.signal)
        if signal is None or signal.limit is None:
            return None
        return Check(
            service=state.service, signal=signal.name, limit=signal.limit, above=signal.above,
            unit=signal.unit, hold_seconds=rules.hold_seconds,
            within_seconds=rules.within_seconds, every_seconds=rules.every_seconds,
        )  # fmt: skip

    def broken_bound(self, plan: Plan) -> Refusal | None:
        """The first bound the plan breaks now, seen over all incidents, or None."""
        others = [p for state in self.ledger.states() for p in state.plans]
        return refusal(plan, others, self.policy, self.clock.now())

    def _made(self, plan: Plan) -> Draft:
        return Draft(
            key=f"plan:{plan.id}", at=plan.made_at, by=plan.requester, body=ev.PlanMade(plan=plan)
        )

    def refuse(
        self, incident: str, action: str, target: str, reason: str, text: str, by: str, *,
        plan: str = "", undoes: str = "", key: str = "",
    ) -> None:  # fmt: skip
        """Record that an act is not planned, decided or applied, with a fixed reason."""
        body = ev.ActRefused(
            action=action, target=target, reason=reason, text=text, plan=plan, undoes=undoes
        )
        key = key or f"refused:{action}:{target}:{reason}"
        self.ledger.append(incident, Draft(key=key, at=self.clock.now(), by=by, body=body))

    def append(
        self, effect: Effect, body: ev.AnyBody, by: str, *, at: datetime | None = None
    ) -> None:
        """Append the event that ends an effect, under the effect's key; it happened `at`."""
        draft = Draft(key=effect.key, at=at or self.clock.now(), by=by, body=body)
        self.ledger.append(effect.incident, draft)
