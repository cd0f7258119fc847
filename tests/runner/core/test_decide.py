"""`decide` alone: every effect that is done is owed no longer, and every incident comes to rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playing import Play, World, opened

from irkit.model.policy import ActionPolicy, Policy
from runner.decide import decide

START = datetime(2026, 3, 1, 14, 2, tzinfo=UTC)

worlds = st.builds(
    World,
    mode=st.sampled_from(["auto", "approve", "forbid"]),
    undo=st.sampled_from(["auto", "tell"]),
    undo_refused=st.booleans(),
    freeze=st.booleans(),
    runs=st.lists(
        st.sampled_from(["succeeded", "failed", "timed_out", "refused", "raises"]), max_size=8
    ),
    applies=st.lists(st.sampled_from(["applied", "failed", "unknown", "raises"]), max_size=8),
    verdicts=st.lists(
        st.sampled_from(["pending", "recovered", "not_recovered", "unknown", "raises"]), max_size=12
    ),
    person=st.sampled_from(["approves", "denies", "sleeps", "late", "closes"]),
    exports=st.lists(st.booleans(), max_size=4),
    tells=st.lists(st.booleans(), max_size=4),
    proposes=st.integers(0, 3),
    recovers_after=st.integers(0, 3600),
    order=st.lists(st.integers(0, 5), max_size=40),
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds)
def test_every_incident_comes_to_rest(world: World) -> None:
    play = Play(world, START)
    play.to_the_end()
    state = play.state
    assert state.resolved_at
    assert state.exported_seq == state.last_seq or play.export_failed
    assert len(state.runs) <= play.policy.max_runs
    assert play.most_runs_at_once <= 1
    reasons = [r.because for r in state.runs]
    assert len(set(reasons)) == len(reasons), "two runs for one reason"
    assert all(times == 1 for times in play.applied.values()), play.applied
    for plan_id in play.applied:
        known = state.plan(plan_id)
        assert known
        assert known.approvers_so_far, "acted without an approval"
    if world.mode == "forbid" or world.freeze:
        assert not play.applied
    if world.person in ("denies", "sleeps") and world.mode == "approve":
        assert not play.applied
    assert decide(state, play.policy, play.now + timedelta(days=365)) == ()


@settings(max_examples=60, deadline=None)
@given(worlds, st.integers(1, 10**6))
def test_keys_do_not_depend_on_when_one_asks(world: World, later: int) -> None:
    """Asked again, and asked later without news, it names the same; only approvals run out."""
    play = Play(world, START)
    for _ in range(6):
        play.step()
        keys = {e.key for e in decide(play.state, play.policy, play.now)}
        assert {e.key for e in decide(play.state, play.policy, play.now)} == keys
        then = {e.key for e in decide(play.state, play.policy, play.now + timedelta(seconds=later))}
        lost = {k for k in keys - then if k.split(":")[0] not in ("apply", "approve")}
        assert not lost


def test_a_month_of_incidents() -> None:
    """Three hundred incidents, hours of pauses each, without waiting for anything."""
    now = START
    for number in range(300):
        world = World(
            mode="approve" if number % 3 else "auto",
            person=["approves", "denies", "late"][number % 3],
            verdicts=["pending"] * 5 + [["recovered", "not_recovered", "unknown"][number % 3]],
            recovers_after=3600,
        )
        play = Play(world, now)
        play.to_the_end()
        assert play.state.exported_seq == play.state.last_seq
        now += timedelta(hours=2)
    assert now - START > timedelta(days=24)


def test_nothing_is_owed_before_its_time() -> None:
    play = Play(World(mode="approve", person="sleeps"), START)
    play.until(lambda: any(p.status == "waiting" for p in play.state.plans))
    plan = play.state.plans[0].plan
    expiry = [e for e in decide(play.state, play.policy, play.now) if e.kind == "expire"]
    assert [e.due for e in expiry] == [plan.expires_at]


def test_a_failed_effect_comes_back_later_under_another_key() -> None:
    play = Play(World(runs=["raises"]), START)
    first = decide(play.state, play.policy, play.now)[0]
    play.do(first)
    second = next(e for e in decide(play.state, play.policy, play.now) if e.kind == "run")
    assert (first.key, second.key, second.base) == ("run:1", "run:1:2", "run:1")
    assert second.due == play.now + timedelta(seconds=play.policy.retry_seconds)


def test_resolved_before_the_run_started_still_runs_once() -> None:
    play = Play(World(recovers_after=0), START)
    play.to_the_end()
    assert [r.because for r in play.state.runs][:1] == ["opened"]


def test_quiet_time_before_resolving() -> None:
    policy = Policy(resolve_after_seconds=600)
    play = Play(World(proposes=0, recovers_after=5), START, policy=policy)
    play.to_the_end()
    quiet_since = max(a.changed_at for a in play.state.alerts.values())
    assert play.state.resolved_at
    assert play.state.resolved_at - quiet_since >= timedelta(seconds=600)


def test_an_approval_is_worth_nothing_after_the_incident() -> None:
    play = Play(World(mode="approve", person="closes"), START)
    play.to_the_end()
    assert not play.applied
    assert [p.status for p in play.state.plans] == ["expired"]


def test_no_more_runs_than_the_policy_allows() -> None:
    policy = Policy(actions={"rollback": ActionPolicy()}, max_runs=2)
    play = Play(World(mode="approve", proposes=3), START, policy=policy)
    play.to_the_end()
    assert len(play.applied) == 3
    assert len(play.state.runs) == 2


def test_no_two_runs_at_once_while_one_is_cut_off() -> None:
    play = Play(World(mode="approve", proposes=2, runs=["succeeded", "raises"]), START)
    play.until(lambda: any(r.status == "running" for r in play.state.runs))
    while any(r.status == "running" for r in play.state.runs):
        runs = [e for e in decide(play.state, play.policy, play.now) if e.kind == "run"]
        assert [e.base for e in runs] == ["run:2"]
        play.step()
    assert play.most_runs_at_once == 1


def test_an_export_that_cannot_be_is_given_up_and_told_once() -> None:
    play = Play(World(proposes=0, exports=[False] * 50), START)
    play.to_the_end()
    assert len(play.world.exports) == 47
    assert sum("gave up on export" in why for why in play.state.attention) == 1


def test_nothing_waits_for_a_decision_once_it_is_over() -> None:
    play = Play(World(mode="approve", person="sleeps", recovers_after=60), START)
    play.to_the_end()
    (known,) = play.state.plans
    assert (known.status, known.ended_at) == ("expired", play.state.resolved_at)


@pytest.mark.parametrize("what", ["applies", "verdicts"])
def test_what_was_given_up_does_not_keep_the_incident_open(what: str) -> None:
    play = Play(World(mode="auto", **{what: ["raises"] * 3}), START)  # type: ignore[arg-type]
    play.to_the_end()
    assert play.state.resolved_at
    assert any("gave up on" in why for why in play.state.attention)


@pytest.mark.parametrize("undo_refused", [False, True])
def test_undo_follows_once_and_a_refused_undo_is_told(undo_refused: bool) -> None:
    world = World(
        mode="auto", undo="auto", undo_refused=undo_refused,
        verdicts=["not_recovered", "not_recovered"],
    )  # fmt: skip
    play = Play(world, START)
    play.to_the_end()
    undone = [p for p in play.state.plans if p.plan.undoes]
    assert len(undone) == (0 if undo_refused else 1)
    told = [why for why in play.state.attention if "was not undone" in why]
    assert len(told) == (1 if undo_refused else 0)


def test_policy_of_an_action_without_rules_is_forbid() -> None:
    assert Policy(actions={"restart": ActionPolicy()}).action("rollback").mode == "forbid"


def test_opened_alone_owes_one_run() -> None:
    state = opened(START)
    assert [e.key for e in decide(state, Policy(), START)] == ["run:1"]
