"""An incident played without a runner: `decide` names what is owed, a fake does it, time jumps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from irkit.model import event as ev
from irkit.model.action import BlastRadius, Change, Check, Outcome, Plan, Undo, plan_key
from irkit.model.alert import Alert
from irkit.model.base import canonical
from irkit.model.event import Draft, Event, chain_hash
from irkit.model.incident import IncidentState, advance, fold
from irkit.model.policy import ActionPolicy, Policy
from runner.decide import Effect, decide
from runner.decide.bounds import failed_before, refusal

INCIDENT = "IR-1"


@dataclass
class World:
    """What happens outside: how each run, act, check and export goes, in order, then well."""

    mode: str = "auto"
    undo: str = "tell"
    undo_refused: bool = False
    freeze: bool = False
    runs: list[str] = field(default_factory=list)
    applies: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    person: str = "approves"
    exports: list[bool] = field(default_factory=list)
    tells: list[bool] = field(default_factory=list)
    proposes: int = 1
    recovers_after: int = 600
    order: list[int] = field(default_factory=list)


def make_plan(
    at: datetime,
    *,
    arguments: dict[str, object] | None = None,
    policy: str = "auto",
    **more: object,
) -> Plan:
    """A plan as the broker would make it."""
    given = arguments or {"to": "previous"}
    key = plan_key(INCIDENT, "rollback", "checkout", given, str(more.get("undoes", "")))  # type: ignore[arg-type]
    values: dict[str, object] = {
        "id": f"P-{key[:8]}",
        "key": key,
        "incident": INCIDENT,
        "action": "rollback",
        "integration": "deploy",
        "target": "checkout",
        "arguments": given,
        "change": Change(what="checkout", current="1.4.2", target="1.4.1"),
        "blast": BlastRadius(instances=1, of=2, environment="test"),
        "undo": Undo(how="deploy 1.4.2 again", action="rollback", arguments={"to": "1.4.2"}),
        "check": Check(service="checkout", signal="error_rate", limit=0.05),
        "policy": policy,
        "requester": "run:IR-1-r1",
        "made_at": at,
        "expires_at": at + timedelta(minutes=15),
    }
    return Plan(**{**values, **more})  # type: ignore[arg-type]


def an_alert(at: datetime, *, firing: bool = True, **more: object) -> Alert:
    values: dict[str, object] = {
        "source": "alertmanager", "fingerprint": "f1", "firing": firing, "name": "HighErrorRate",
        "starts_at": at, "service": "checkout", "signal": "error_rate", "severity": "SEV1",
    }  # fmt: skip
    return Alert(**{**values, **more})  # type: ignore[arg-type]


def opening() -> ev.IncidentOpened:
    return ev.IncidentOpened(
        title="checkout fails", severity="SEV1", service="checkout", services=("checkout",),
        group="errors/checkout", route="errors", runbook="high-error-rate", signal="error_rate",
    )  # fmt: skip


def event_after(state: IncidentState | None, draft: Draft, at: datetime) -> Event:
    """The event that a ledger would make of a draft."""
    seq, prev = (0, ev.GENESIS) if state is None else (state_seq(state), state.head)
    digest = chain_hash(
        prev, INCIDENT, seq + 1, draft.key, draft.at, at, draft.by, canonical(draft.body)
    )
    return Event(
        incident=INCIDENT, seq=seq + 1, key=draft.key, at=draft.at, recorded=at, by=draft.by,
        body=draft.body, prev=prev, hash=digest,
    )  # fmt: skip


_SEQS: dict[str, int] = {}


def state_seq(state: IncidentState) -> int:
    """`last_seq` passes over exports: the sequence itself is remembered by head."""
    return _SEQS[state.head]


def opened(at: datetime) -> IncidentState:
    """An incident that was only just opened."""
    event = event_after(None, Draft(key="opened", at=at, by="hook:a", body=opening()), at)
    _SEQS[event.hash] = 1
    return fold([event])


class Play:
    """Plays one incident; `state` is the fold of all events so far."""

    def __init__(self, world: World, start: datetime, *, policy: Policy | None = None) -> None:
        self.world, self.now = world, start
        self.policy = policy or Policy(
            actions={"rollback": ActionPolicy(mode=world.mode, undo=world.undo, max_per_hour=100,
                                              cooldown_seconds=0)},
            freeze=world.freeze,
        )  # fmt: skip
        self.state = opened(start)
        self.keys = {"opened"}
        self.applied: Counter[str] = Counter()
        self.most_runs_at_once = 0
        self.export_failed = False
        self.recovers_at = start + timedelta(seconds=world.recovers_after)
        self._append("fired", ev.AlertFired(alert=an_alert(start), delivery="a#1"), "hook:a")

    # -- playing --------------------------------------------------------------------------------

    def to_the_end(self) -> None:
        """Play until nothing is owed and nothing will happen any more."""
        for _ in range(3000):
            if not self.step():
                return
        raise AssertionError(f"it never comes to rest: {decide(self.state, self.policy, self.now)}")

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.step()

    def step(self) -> bool:
        """Do the first effect that is due, or let time jump; whether anything happened."""
        if self.now >= self.recovers_at and self.state.firing and not self.state.resolved_at:
            gone = an_alert(self.state.opened_at, firing=False)
            self._append("resolved", ev.AlertResolved(alert=gone, delivery="a#2"), "hook:a")
            return True
        if self._person():
            return True
        owed = decide(self.state, self.policy, self.now)
        assert len({e.key for e in owed}) == len(owed), "two debts of one name"
        due = [e for e in owed if e.due <= self.now]
        if due:
            place = self.world.order.pop(0) if self.world.order else 0
            self.do(due[place % len(due)])
            return True
        coming = [e.due for e in owed]
        if self.state.firing and not self.state.resolved_at:
            coming.append(self.recovers_at)
        self.now = min(coming, default=self.now)
        return bool(coming)

    def _person(self) -> bool:
        waiting = [
            p for p in self.state.plans
            if p.status == "waiting" and p.plan.policy == "approve" and not self.state.resolved_at
        ]  # fmt: skip
        if not waiting or self.world.person in ("sleeps", "late"):
            return False
        plan = waiting[0].plan
        if self.world.person == "denies":
            body: ev.AnyBody = ev.ApprovalDenied(plan=plan.id, plan_hash=plan.hash)
        else:
            body = ev.ApprovalGiven(plan=plan.id, plan_hash=plan.hash, expires_at=plan.expires_at)
        self._append(f"decision:{plan.id}", body, "person:oncall")
        if self.world.person == "closes":
            self._append("closed", ev.IncidentResolved(why="by hand"), "person:oncall")
        return True

    # -- doing ----------------------------------------------------------------------------------

    def do(self, effect: Effect) -> None:
        """Do an effect as the runner would; what raises is an event."""
        assert effect.attempt <= self.policy.max_attempts, "tried for ever"
        assert not effect.base.startswith("tell:tell:"), "told that telling failed"
        if not getattr(self, f"_{effect.kind}")(effect):
            failed = ev.EffectFailed(effect=effect.base, attempt=effect.attempt, error="raised")
            self._append(f"failed:{effect.key}", failed)

    def _run(self, effect: Effect) -> bool:
        known = next((r for r in self.state.runs if r.ordinal == effect.number), None)
        run = f"{INCIDENT}-r{effect.number}"
        if known and known.attempt >= 2:
            return self._finish(run, known.attempt, effect, "killed")
        attempt = known.attempt + 1 if known else 1
        self._append(
            f"started:{run}:{attempt}",
            ev.RunStarted(run=run, ordinal=effect.number, attempt=attempt, purpose="diagnose",
                          runbook="r", now=self.now, because=effect.why),
        )  # fmt: skip
        ending = self.world.runs.pop(0) if self.world.runs else "succeeded"
        self.now += timedelta(seconds=3)
        if ending in ("succeeded", "raises"):
            for number in range(self.world.proposes):
                self._propose(make_plan(
                    self.now, arguments={"to": f"1.{number}"}, policy=self.world.mode,
                ))  # fmt: skip
        return ending != "raises" and self._finish(run, attempt, effect, ending)

    def _finish(self, run: str, attempt: int, effect: Effect, status: str) -> bool:
        body = ev.RunFinished(run=run, attempt=attempt, status=status, seconds=3.0)
        self._append(f"run:{effect.number}", body)
        return True

    def _propose(self, plan: Plan) -> None:
        if self.state.plan_for(plan.key):
            return
        broken = refusal(plan, self.state.plans, self.policy, self.now)
        if broken:
            body = ev.ActRefused(
                action=plan.action, target=plan.target, reason=broken.reason, text=broken.text
            )
            self._append(f"refused:{broken.reason}", body, plan.requester)
        else:
            self._append(f"plan:{plan.id}", ev.PlanMade(plan=plan), plan.requester)

    def _approve(self, effect: Effect) -> bool:
        known = self.state.plan(effect.subject)
        assert known
        broken = refusal(known.plan, self.state.plans, self.policy, self.now) or (
            None if known.plan.undoes else failed_before(self.state)
        )
        body: ev.AnyBody
        if broken:
            body = ev.ActRefused(
                action="rollback", target="checkout", reason=broken.reason, text=broken.text,
                plan=known.plan.id,
            )  # fmt: skip
        else:
            body = ev.ApprovalGiven(
                plan=known.plan.id, plan_hash=known.plan.hash, policy="auto",
                expires_at=known.plan.expires_at,
            )  # fmt: skip
        return self._append(effect.key, body)

    def _expire(self, effect: Effect) -> bool:
        return self._append(effect.key, ev.ApprovalExpired(plan=effect.subject))

    def _apply(self, effect: Effect) -> bool:
        known = self.state.plan(effect.subject)
        assert known
        assert self.now < known.plan.expires_at or known.status == "applying"
        if known.status == "approved":
            start = ev.ActionStarted(plan=known.plan.id, key=known.plan.key)
            self._append(f"start:{known.plan.id}", start)
        ending = "applied"
        if not self.applied[known.plan.id]:
            ending = self.world.applies.pop(0) if self.world.applies else "applied"
            if ending == "raises":
                return False
            self.applied[known.plan.id] += 1
        outcome = Outcome(status=ending, text="said the target")
        done = ending == "applied"
        body = (ev.ActionApplied if done else ev.ActionFailed)(plan=known.plan.id, outcome=outcome)
        return self._append(effect.key, body)

    def _verify(self, effect: Effect) -> bool:
        ending = self.world.verdicts.pop(0) if self.world.verdicts else "recovered"
        if ending == "raises":
            return False
        if ending == "pending":
            checked = ev.EffectChecked(
                plan=effect.subject, number=effect.number, value=0.4, text="waiting"
            )
            return self._append(effect.key, checked)
        verdict = ev.EffectVerified(
            plan=effect.subject, verdict=ending, service="checkout", signal="error_rate",
            before=0.4, after=0.1, limit=0.05,
        )  # fmt: skip
        return self._append(effect.key, verdict)

    def _undo(self, effect: Effect) -> bool:
        if self.world.undo_refused:
            body = ev.ActRefused(
                action="rollback", target="checkout", reason="no_such_action", text="none",
                undoes=effect.subject,
            )  # fmt: skip
            return self._append(effect.key, body, "system")
        plan = make_plan(
            self.now, arguments={"to": "1.4.2"}, undoes=effect.subject, requester="system"
        )
        return self._append(f"plan:{plan.id}", ev.PlanMade(plan=plan))

    def _tell(self, effect: Effect) -> bool:
        if self.world.tells and not self.world.tells.pop(0):
            return False
        return self._append(effect.key, ev.AttentionNeeded(why=effect.why, about=effect.subject))

    def _resolve(self, effect: Effect) -> bool:
        return self._append(effect.key, ev.IncidentResolved(why="all alerts resolved"))

    def _export(self, effect: Effect) -> bool:
        if self.world.exports and not self.world.exports.pop(0):
            self.export_failed = effect.attempt >= self.policy.max_attempts
            return False
        self.export_failed = False
        body = ev.PostmortemExported(run="r", upto=effect.number, head=self.state.head, files={})
        return self._append(effect.key, body)

    def _append(self, key: str, body: ev.AnyBody, by: str = "system") -> bool:
        """As the ledger does: a key that is there already is passed over."""
        if key not in self.keys:
            self.keys.add(key)
            event = event_after(self.state, Draft(key=key, at=self.now, by=by, body=body), self.now)
            _SEQS[event.hash] = event.seq
            self.state = advance(self.state, event)
            running = sum(r.status == "running" for r in self.state.runs)
            self.most_runs_at_once = max(self.most_runs_at_once, running)
        return True
