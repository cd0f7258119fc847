"""Plans, decisions and acts: each reason for a refusal, each way an act can end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from brokering import ONCALL, ROLLBACK, RUN, SECOND, START, Desk, asked

from irkit.errors import LookFailed, NotFound, Refused
from irkit.model import event as ev
from irkit.model.event import Draft
from irkit.session import Ask

MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk_of(tmp_path: Path) -> Iterator[MakeDesk]:
    made: list[Desk] = []

    def make(**rules: Any) -> Desk:
        made.append(Desk(tmp_path, **rules))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(desk_of: MakeDesk) -> Desk:
    return desk_of()


def refused(desk: Desk, ask: Ask = ROLLBACK, **more: Any) -> str:
    """The reason why a proposal is refused; the refusal is an event and no plan is made."""
    incident = more.get("incident", "IR-1")
    before = len(desk.bodies(ev.PlanMade, incident))
    with pytest.raises(Refused) as why:
        desk.propose(ask, **more)
    assert why.value.what
    assert desk.bodies(ev.ActRefused, incident)[-1].reason == why.value.reason
    assert len(desk.bodies(ev.PlanMade, incident)) == before
    return why.value.reason


# -- proposing -----------------------------------------------------------------------------------


def test_a_plan_says_all_that_is_decided_on(desk: Desk) -> None:
    plan = desk.propose().plan
    assert plan.title == "Roll back checkout-there 1.4.2 -> 1.4.1 in test"
    assert plan.undo.arguments == {"to": "1.4.2"}
    assert (plan.requester, plan.policy, plan.made_at) == (RUN, "approve", START)
    assert plan.check
    assert (plan.check.signal, plan.check.limit) == ("error_rate", 0.05)
    assert desk.ledger.events("IR-1")[-1].by == RUN
    assert desk.target.applied == []


def test_asking_for_a_plan_stores_nothing(desk: Desk) -> None:
    before = desk.ledger.events("IR-1")
    plan = desk.broker.plan("IR-1", ROLLBACK, RUN)
    assert desk.ledger.events("IR-1") == before
    assert desk.propose().plan.hash == plan.hash


def test_asking_twice_is_one_plan(desk: Desk) -> None:
    assert desk.propose() == desk.propose()
    assert len(desk.bodies(ev.PlanMade)) == 1


def test_not_affected(desk: Desk) -> None:
    ask = Ask(action="rollback", target="warehouse", commit=True)
    assert refused(desk, ask) == "not_affected"


def test_no_such_action(desk: Desk) -> None:
    ask = Ask(action="format_disks", target="checkout", commit=True)
    assert refused(desk, ask) == "no_such_action"


def test_impossible(desk: Desk) -> None:
    assert refused(desk, asked("9.9.9")) == "impossible"


def test_already(desk: Desk) -> None:
    assert refused(desk, asked("1.4.2")) == "already"


def test_forbidden(desk_of: MakeDesk) -> None:
    assert refused(desk_of(mode="forbid")) == "forbidden"


def test_forbidden_where_nobody_wrote_rules(desk: Desk) -> None:
    desk.policy.actions.clear()
    assert refused(desk) == "forbidden"


def test_frozen(desk_of: MakeDesk) -> None:
    assert refused(desk_of(freeze=True)) == "frozen"


def test_blast_radius(desk_of: MakeDesk) -> None:
    desk = desk_of(max_share=0.5)
    desk.target.share = (2, 3)
    assert refused(desk) == "blast_radius"
    desk.target.share = (1, 2)
    assert desk.propose().status == "waiting"


def test_locked_across_incidents(desk: Desk) -> None:
    known = desk.apply()
    assert known.status == "applied"
    assert refused(desk, asked("1.4.0"), incident="IR-2") == "locked"


def test_cooldown_then_rate(desk_of: MakeDesk) -> None:
    desk = desk_of(max_per_hour=2, cooldown_seconds=60, hold_seconds=2, within_seconds=30)
    desk.metrics.value = "0.01"
    desk.apply()
    desk.pass_time(seconds=10)
    desk.do("verify")
    assert refused(desk, incident="IR-2") == "cooldown"
    desk.pass_time(seconds=60)
    desk.apply(incident="IR-2")
    desk.pass_time(seconds=90)
    desk.do("verify", "IR-2")
    desk.target.runs["checkout-there"].append("1.5.0")
    assert refused(desk, asked("1.4.0"), incident="IR-2") == "rate"
    desk.pass_time(hours=1)
    assert desk.propose(asked("1.4.0"), incident="IR-2").status == "waiting"


def test_a_target_that_is_away_is_no_refusal(desk: Desk) -> None:
    desk.target.away = True
    with pytest.raises(LookFailed):
        desk.propose()
    assert not desk.bodies(ev.PlanMade)


# -- deciding ------------------------------------------------------------------------------------


def test_approved_applied_verified(desk: Desk) -> None:
    known = desk.apply()
    assert known.outcome
    assert known.outcome.status == "applied"
    assert desk.target.runs["checkout-there"][-1] == "1.4.1"
    desk.metrics.value = "0.01"
    desk.pass_time(seconds=30)
    desk.do("verify")
    assert desk.known(known).status == "recovered"
    assert desk.ledger.state("IR-1").state == "mitigated"
    assert [e.by for e in desk.ledger.events("IR-1") if e.kind == "approval.given"] == [ONCALL]


def decision_refused(desk: Desk, known: Any, by: str = ONCALL, plan_hash: str = "") -> str:
    before = desk.ledger.events("IR-1")
    with pytest.raises(Refused) as why:
        desk.broker.decide(
            known.plan.id, person=by, allow=True, plan_hash=plan_hash or known.plan.hash
        )
    assert desk.ledger.events("IR-1") == before
    return why.value.reason


def test_not_a_person(desk: Desk) -> None:
    for by in ("run:IR-1-r2", "hook:a", "system"):
        assert decision_refused(desk, desk.propose(), by=by) == "not_a_person"


def test_plan_changed_since_it_was_read(desk: Desk) -> None:
    assert decision_refused(desk, desk.propose(), plan_hash="0" * 64) == "plan_changed"


def test_decided(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    assert decision_refused(desk, known, by=SECOND) == "decided"


def test_expired(desk: Desk) -> None:
    known = desk.propose()
    desk.pass_time(minutes=15)
    assert decision_refused(desk, known) == "expired"
    desk.do("expire")
    assert desk.known(known).status == "expired"
    assert desk.target.applied == []


def test_same_person(desk: Desk) -> None:
    known = desk.propose(by=ONCALL)
    assert decision_refused(desk, known, by=ONCALL) == "same_person"
    assert desk.approve(known, by=SECOND).status == "approved"


def test_not_permitted(desk_of: MakeDesk) -> None:
    desk = desk_of(approvers=("second",))
    known = desk.propose()
    assert decision_refused(desk, known, by=ONCALL) == "not_permitted"
    assert desk.approve(known, by=SECOND).status == "approved"


def test_no_such_plan(desk: Desk) -> None:
    with pytest.raises(NotFound, match="irkit approvals"):
        desk.broker.decide("P-none", person=ONCALL, allow=True, plan_hash="")


def test_denied(desk: Desk) -> None:
    known = desk.propose()
    desk.broker.decide(known.plan.id, person=ONCALL, allow=False, plan_hash=known.plan.hash)
    assert desk.known(known).status == "denied"
    assert not [e for e in desk.owed() if e.kind in ("apply", "expire", "approve")]
    assert desk.propose().status == "denied", "a run does not ask again"
    assert desk.propose(by=SECOND).status == "waiting", "a person may"


def test_two_people(desk_of: MakeDesk) -> None:
    desk = desk_of(approvals_needed=2)
    known = desk.approve(desk.propose())
    assert known.status == "waiting"
    assert not [e for e in desk.owed() if e.kind == "apply"]
    assert decision_refused(desk, known, by=ONCALL) == "decided", "one person counts once"
    assert desk.approve(known, by=SECOND).status == "approved"
    assert desk.known(known).approvers_so_far == (ONCALL, SECOND)


def test_the_second_of_two_denies(desk_of: MakeDesk) -> None:
    desk = desk_of(approvals_needed=2)
    known = desk.approve(desk.propose())
    desk.broker.decide(known.plan.id, person=SECOND, allow=False, plan_hash=known.plan.hash)
    assert desk.known(known).status == "denied"


def test_the_first_decision_wins(desk: Desk) -> None:
    known = desk.propose()
    ready, ends, reasons = threading.Barrier(8), [], []

    def decide(number: int) -> None:
        ready.wait()
        try:
            desk.broker.decide(
                known.plan.id, person=f"person:p{number}", allow=bool(number % 2),
                plan_hash=known.plan.hash,
            )  # fmt: skip
            ends.append(number)
        except Refused as why:
            reasons.append(why.reason)

    threads = [threading.Thread(target=decide, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 1
    assert reasons == ["decided"] * 7
    assert desk.known(known).status == ("approved" if ends[0] % 2 else "denied")
    assert len(desk.known(known).decisions) == 1


def test_an_expired_plan_is_planned_anew(desk: Desk) -> None:
    first = desk.propose()
    desk.pass_time(minutes=16)
    desk.do("expire")
    second = desk.propose()
    assert second.status == "waiting"
    assert (second.plan.id, second.plan.key) != (first.plan.id, first.plan.key)
    assert second.plan.hash == first.plan.hash
    assert desk.propose() == second


# -- automatic -----------------------------------------------------------------------------------


def test_auto(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto")
    known = desk.propose()
    desk.do("approve")
    desk.do("apply")
    assert desk.known(known).status == "applied"
    given = desk.bodies(ev.ApprovalGiven)[0]
    assert given.policy == "actions.rollback: auto"
    assert [e.by for e in desk.ledger.events("IR-1") if e.body == given] == ["system"]


def test_auto_becomes_approve_where_runs_are_not_confined(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto", unconfined=True)
    assert desk.propose().plan.policy == "approve"


def test_unless_allowed_by_name(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto", unconfined=True, allow_unconfined=("rollback",))
    assert desk.propose().plan.policy == "auto"


def not_recovered(desk: Desk, known: Any) -> None:
    desk.pass_time(minutes=6)
    desk.do("verify")
    assert desk.known(known).status == "not_recovered"


def test_no_automatic_try_after_one_that_did_not_help(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto", cooldown_seconds=0)
    known = desk.propose()
    desk.do("approve")
    desk.do("apply")
    not_recovered(desk, known)
    second = desk.propose(asked("1.4.0"))
    assert second.plan.policy == "approve"
    assert not [e for e in desk.owed() if e.kind == "approve"]
    assert any(e.kind == "tell" and e.subject == known.plan.id for e in desk.owed())


def test_failed_before(desk_of: MakeDesk) -> None:
    """Two automatic plans were made; the first does not help, so the second is not approved."""
    desk = desk_of(mode="auto", cooldown_seconds=0)
    first, second = desk.propose(), desk.propose(asked("1.4.0"))
    effects = {e.subject: e for e in desk.owed() if e.kind == "approve"}
    desk.broker.approve_by_policy(effects[first.plan.id])
    desk.do("apply")
    not_recovered(desk, first)
    desk.broker.approve_by_policy(effects[second.plan.id])
    assert desk.known(second).status == "refused"
    assert desk.bodies(ev.ActRefused)[-1].reason == "failed_before"


def test_frozen_between_plan_and_approval(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto")
    known = desk.propose()
    desk.rule(mode="auto", freeze=True)
    desk.do("approve")
    assert desk.known(known).status == "refused"
    assert desk.bodies(ev.ActRefused)[-1].reason == "frozen"


def test_frozen_between_approval_and_act(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    desk.rule(freeze=True)
    desk.do("apply")
    assert desk.known(known).status == "refused"
    assert desk.target.applied == []


# -- acting --------------------------------------------------------------------------------------


def test_a_plan_that_changed_since_the_decision(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    desk.target.runs["checkout-there"].append("1.4.3")  # somebody deploys by hand
    desk.do("apply")
    assert desk.known(known).status == "refused"
    assert desk.bodies(ev.ActRefused)[-1].reason == "plan_changed"
    assert desk.target.applied == []
    again = desk.propose()
    assert again.status == "waiting"
    assert again.plan.change.current == "1.4.3"


def test_a_plan_that_became_impossible(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    desk.target.runs["checkout-there"] = ["1.4.2"]
    desk.do("apply")
    assert desk.known(known).status == "refused"
    assert desk.bodies(ev.ActRefused)[-1].reason == "plan_changed"


def test_already_done_by_hand(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    desk.target.runs["checkout-there"].pop()
    desk.do("apply")
    assert desk.known(known).status == "refused"
    assert desk.target.applied == []


def test_a_target_that_is_away_before_the_act_is_asked_again(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    desk.target.away = True
    with pytest.raises(LookFailed):
        desk.do("apply")
    assert desk.known(known).status == "approved"
    desk.target.away = False
    desk.do("apply")
    assert desk.known(known).status == "applied"


def test_it_acted_and_did_not_answer(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    desk.target.silent = True
    desk.do("apply")
    assert desk.known(known).status == "applied"
    assert len(desk.target.applied) == 1


def cut_off(desk: Desk, known: Any) -> None:
    """What a crash leaves between the act's start and its end."""
    body = ev.ActionStarted(plan=known.plan.id, key=known.plan.key)
    draft = Draft(key=f"start:{known.plan.id}", at=desk.clock.now(), by="system", body=body)
    desk.ledger.append("IR-1", draft)


def test_after_a_crash_what_was_done_is_not_done_again(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    cut_off(desk, known)
    desk.target.apply(msgspec.structs.replace(known.plan, target="checkout-there"))
    desk.do("apply")
    assert desk.known(known).status == "applied"
    assert len(desk.target.applied) == 1


def test_after_a_crash_what_was_not_done_is_done(desk: Desk) -> None:
    known = desk.approve(desk.propose())
    cut_off(desk, known)
    desk.do("apply")
    assert desk.known(known).status == "applied"
    assert len(desk.target.applied) == 1


def test_unknown_is_looked_up_never_repeated_and_told(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto", cooldown_seconds=600)
    known = desk.propose()
    desk.do("approve")
    cut_off(desk, known)
    desk.target.away = True
    desk.do("apply")
    ended = desk.known(known)
    assert ended.status == "failed"
    assert ended.outcome
    assert ended.outcome.status == "unknown"
    assert desk.target.applied == []
    assert not [e for e in desk.owed() if e.kind == "apply"]
    told = next(e for e in desk.owed() if e.kind == "tell")
    assert "may have been applied" in told.why
    desk.target.away = False
    assert refused(desk, asked("1.4.0")) == "cooldown", "it may have happened, so it counts"


def test_a_failed_act_is_told_and_not_tried_again(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto")
    known = desk.propose()
    desk.do("approve")
    desk.target.fail = "failed"
    desk.do("apply")
    assert desk.known(known).status == "failed"
    assert not [e for e in desk.owed() if e.kind in ("apply", "approve")]
    assert "could not be applied" in next(e for e in desk.owed() if e.kind == "tell").why
    assert desk.propose(asked("1.4.0")).plan.policy == "approve"


# -- verifying -----------------------------------------------------------------------------------


def test_checks_go_on_until_the_signal_held(desk: Desk) -> None:
    known = desk.apply()
    keys = [desk.do("verify").key for _ in range(2)]
    assert keys == [f"verify:{known.plan.id}:1", f"verify:{known.plan.id}:2"]
    desk.metrics.value = "0.01"
    for _ in range(4):
        if desk.known(known).status == "applied":
            desk.do("verify")
    assert desk.known(known).status == "recovered"
    verdict = desk.bodies(ev.EffectVerified)[0]
    assert (verdict.before, verdict.after, verdict.limit) == (0.01, 0.01, 0.05)


@pytest.mark.parametrize("trouble", ["no data", "nonsense", "down"])
def test_unknown_where_the_source_says_nothing(trouble: str, desk: Desk) -> None:
    known = desk.apply()
    desk.metrics.value = None if trouble == "no data" else "0.4"
    desk.metrics.nonsense = trouble == "nonsense"
    desk.metrics._down = trouble == "down"
    desk.do("verify")
    assert desk.known(known).status == "applied", "it is asked again"
    desk.pass_time(minutes=6)
    desk.do("verify")
    assert desk.known(known).status == "unknown"
    assert "nobody can tell" in next(e for e in desk.owed() if e.kind == "tell").why
    assert not [e for e in desk.owed() if e.kind == "undo"]


def test_without_a_signal_nobody_can_tell(desk: Desk) -> None:
    del desk.broker.catalog.services["checkout"].signals["error_rate"]
    known = desk.apply()
    assert known.plan.check is None
    desk.do("verify")
    assert desk.known(known).status == "unknown"


# -- undoing -------------------------------------------------------------------------------------


def test_undo_is_planned_by_the_runner_and_allowed_by_the_policy(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto", undo="auto", deploy="approve", unconfined=False)
    known = desk.propose()
    desk.do("approve")
    desk.do("apply")
    not_recovered(desk, known)
    desk.do("undo")
    undo = desk.ledger.state("IR-1").plans[-1].plan
    assert (undo.action, undo.undoes, undo.requester) == ("deploy", known.plan.id, "system")
    assert undo.change.target == "1.4.2"
    desk.do("approve")
    desk.do("apply")
    assert desk.target.runs["checkout-there"][-1] == "1.4.2"
    assert desk.bodies(ev.ApprovalGiven)[-1].policy == "actions.deploy: undo"
    assert desk.known(known).undone_by == undo.id
    assert not [e for e in desk.owed() if e.kind == "undo"]


def test_an_undo_needs_no_rules_of_its_own(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto", undo="auto", deploy="", unconfined=False)
    known = desk.propose()
    desk.do("approve")
    desk.do("apply")
    not_recovered(desk, known)
    desk.do("undo")
    desk.do("approve")
    desk.do("apply")
    assert desk.target.runs["checkout-there"][-1] == "1.4.2"


def test_an_undo_that_is_refused_is_told_once(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto", undo="auto", deploy="forbid")
    known = desk.propose()
    desk.do("approve")
    desk.do("apply")
    not_recovered(desk, known)
    desk.do("undo")
    assert not [e for e in desk.owed() if e.kind == "undo"]
    assert any("was not undone" in e.why for e in desk.owed() if e.kind == "tell")


def test_tell_instead_of_undo(desk_of: MakeDesk) -> None:
    desk = desk_of(mode="auto", undo="tell")
    known = desk.propose()
    desk.do("approve")
    desk.do("apply")
    not_recovered(desk, known)
    assert not [e for e in desk.owed() if e.kind == "undo"]
