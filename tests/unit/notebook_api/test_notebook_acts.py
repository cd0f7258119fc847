"""Suspects and acts in a notebook: how sure, what against, what would be done, what came of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from notebook_world import (
    DEPLOY,
    HOSTILE,
    NOW,
    ONSET,
    OPENED,
    MemorySession,
    acted,
    chain,
    open_incident,
    plan,
    waiting,
)
from test_notebook_looks import safe

from irkit.diagnosis.suspects import Suspects
from irkit.errors import LookFailed, NotFound, Refused
from irkit.incident import Incident
from irkit.model import event as ev
from irkit.model.finding import Finding, Gap, RuledOut, Suspect
from irkit.model.incident import fold
from irkit.model.look import Request
from irkit.session import Ask, Proposal


def named(*, change: str = "1.4.1 -> 1.4.2", looks: tuple[str, ...] = ("L1", "L2")) -> Suspects:
    top = Suspect(
        rank=1, service="checkout", strength=0.8, sentence=f"checkout broke {HOSTILE}",
        change=change, change_at=DEPLOY if change else None,
        findings_for=tuple(
            Finding(kind="moved", sentence=f"rose {HOSTILE}", evidence=(look,)) for look in looks
        ),
        findings_against=(Finding(kind="moved", sentence="payments also rose"),),
    )  # fmt: skip
    return Suspects(
        suspects=(top,), ruled_out=(RuledOut(what=f"payments {HOSTILE}", why="moved later"),),
        gaps=(Gap(what="latency of payments", why=HOSTILE, cannot_say="whether it moved"),),
        onset=ONSET, method="robust scores", looks=7,
    )  # fmt: skip


def world(session: MemorySession, suspects: Suspects | None = None) -> Incident:
    inc = open_incident(session)
    inc.named = suspects
    return inc


@pytest.mark.parametrize(
    ("looks", "word"), [(("L1", "L2"), "supported"), (("L1",), "consistent"), ((), "untested")]
)
def test_strength_is_a_fixed_word_and_a_percentage_is_never_shown(
    looks: tuple[str, ...], word: str
) -> None:
    if looks:
        assert named(looks=looks).top.word == word
    else:
        bare = Suspect(rank=1, service="checkout", strength=0.5, sentence="perhaps")
        assert Suspects(suspects=(bare,)).top.word == word
    assert "80 %" not in safe(named(looks=("L1",)))


def test_an_act_that_was_verified_confirms_its_suspect() -> None:
    suspects = named()
    confirmed = Suspects(suspects=suspects.suspects, confirmed=frozenset({"checkout"}))
    assert confirmed.top.word == "confirmed"
    assert "recovered after it" in safe(confirmed)


def test_suspects_show_for_against_ruled_out_and_gaps() -> None:
    page = safe(named())
    for words in ("1.4.1 -&gt; 1.4.2", "rose &lt;img", "[L1]", "payments also rose", "Ruled out",
                  "moved later", "2px dashed", "We cannot say whether it moved"):  # fmt: skip
        assert words in page
    assert "1 gap" in repr(named())
    assert safe(named().explain()) in (safe(named().top),)
    assert list(named().df["word"]) == ["supported"]


def test_nothing_stands_out_is_false_and_proposes_nothing() -> None:
    session = MemorySession()
    inc = world(session, Suspects(suspects=(), looks=6))
    assert inc.named is not None
    top = inc.named.top
    assert not top
    assert "moved no more than usual" in repr(top)
    assert "nothing stands out in 6 looks" in repr(inc.named)
    safe(inc.named)
    safe(top.explain())
    fix = inc.fix(top)
    assert not fix
    assert not fix.addresses(top)
    assert not inc.actions.rollback(to="previous").addresses(top)
    assert "nothing proposed: nothing stands out" in repr(fix.plan())
    safe(fix.run())
    assert session.asked == []


def test_an_act_addresses_its_own_service_and_a_rollback_needs_a_change() -> None:
    inc = world(MemorySession(), named())
    assert inc.actions.rollback(to="previous").addresses(named().top)
    assert not inc.actions.rollback(to="previous", service="payments").addresses(named().top)
    assert not inc.actions.rollback(to="previous").addresses(named(change="").top)
    assert not inc.fix(named(change="").top)
    assert inc.fix(named().top).addresses(named().top)


def test_a_rollback_does_not_take_back_another_change_than_the_suspected() -> None:
    since = replace(named(), newest={"checkout": "1.4.3"})
    inc = world(MemorySession(events=chain(*OPENED)), since)
    assert not inc.actions.rollback(to="previous").addresses(since.top)
    assert "no longer the newest change" in repr(inc.fix(since.top))
    current = replace(named(), newest={"checkout": "1.4.2"})
    assert world(MemorySession(), current).fix(current.top)
    rolled_back = replace(named(), newest={"checkout": "1.4.1"})
    assert world(MemorySession(events=acted()), rolled_back).fix(rolled_back.top)


def test_an_unknown_action_names_the_closest() -> None:
    inc = world(MemorySession())
    with pytest.raises(NotFound, match="did you mean 'rollback'"):
        inc.actions.rolback(to="previous")
    with pytest.raises(NotFound, match="its actions: rollback"):
        inc.actions.scale(to=3)
    assert dir(inc.actions) == ["rollback"]
    safe(inc.actions)


def test_a_plan_carries_the_suspect_and_only_reads() -> None:
    session = MemorySession(events=chain(*OPENED))
    session.proposal = waiting
    inc = world(session, named())
    planned = inc.actions.rollback(to="previous", reason="tax rounding").plan()
    (ask,) = session.asked
    assert (ask.action, ask.target, ask.arguments) == ("rollback", "checkout", {"to": "previous"})
    assert ask.commit is False
    assert ask.suspect == f"checkout broke {HOSTILE}"
    assert ask.strength == 0.8
    assert ask.contrary == "payments also rose"
    assert ask.evidence == ("L1", "L2")
    assert ask.gaps[0].startswith("latency of payments: ")
    assert ask.reason == "tax rounding"
    page = safe(planned)
    for words in ("Roll back checkout 1.4.2 -&gt; 1.4.1", "1 of 1 instances", "frontend",
                  "deploy 1.4.2 again", "then nothing is applied", plan().hash[:16]):  # fmt: skip
        assert words in page
    assert "undo: deploy 1.4.2 again" in repr(planned)


def test_an_act_for_something_else_does_not_borrow_the_suspect() -> None:
    session = MemorySession()
    session.proposal = waiting
    world(session, named()).actions.rollback(to="previous", service="payments").plan()
    assert session.asked[0].suspect == ""
    assert session.asked[0].strength is None


def test_running_it_waits_and_then_says_where_a_person_decides() -> None:
    session = MemorySession(events=chain(*OPENED))
    session.proposal = waiting
    inc = world(session, named())
    outcome = inc.fix(named().top).run()
    assert session.asked[0].commit is True
    assert session.asked[0].wait == 30.0
    assert inc.fix(named().top).run(wait=2)
    assert session.asked[1].wait == 2
    assert outcome.status == "waiting"
    assert outcome.pending
    page = safe(outcome)
    assert 'href="http://127.0.0.1:8400/x"' in page
    assert "Decide on the incident" in page
    assert "14:20:00Z; then nothing is applied" in page


def test_a_refusal_is_shown_with_its_reason() -> None:
    session = MemorySession()
    inc = world(session, named())

    def cooling(ask: Ask) -> Proposal:
        raise Refused("too soon", reason="cooldown", on="checkout", next="wait 4m")

    session.proposal = cooling
    outcome = inc.fix(named().top).run()
    assert outcome.status == "refused"
    assert "cooldown" in repr(outcome)
    assert "wait 4m" in safe(outcome)
    assert "refused (cooldown)" in repr(inc.fix(named().top).plan())
    session.proposal = lambda ask: Proposal(refused="forbidden", reason="no rules for it")
    assert "forbidden" in safe(inc.fix(named().top).run())


def test_a_target_that_cannot_be_asked_leaves_no_plan() -> None:
    session = MemorySession()

    def down(ask: Ask) -> Proposal:
        raise LookFailed(f"no answer {HOSTILE}", on="deployer", next="start it")

    session.proposal = down
    planned = world(session, named()).fix(named().top).plan()
    assert planned.plan is None
    assert "start it" in safe(planned)


def test_without_a_runner_acts_say_so_and_the_ledger_still_tells_what_came_of_them() -> None:
    outcome = world(MemorySession(events=chain(*OPENED)), named()).fix(named().top).run()
    assert outcome.status == ""
    assert "only a runner" in safe(outcome)
    told = world(MemorySession(events=acted()), named()).fix(named().top).run()
    assert told.status == "recovered"
    assert not told.pending
    assert "0 %" in safe(told)


def test_after_a_verified_act_no_other_service_is_touched() -> None:
    inc = world(MemorySession(events=acted()), named())
    other = Suspect(rank=1, service="frontend", strength=0.6, sentence="f", change="1 -> 2")
    assert "verified already" in repr(inc.fix(Suspects(suspects=(other,)).top))
    assert inc.fix(named().top)


@pytest.mark.parametrize("count", range(1, 6))
def test_acts_are_told_from_the_ledger_at_every_stage(count: int) -> None:
    inc = open_incident(MemorySession(events=acted()[: 2 + count]))
    page = safe(inc.acts)
    assert "Roll back checkout" in page
    state = inc.acts.plans[0]
    assert state.status == ("waiting", "approved", "applying", "applied", "recovered")[count - 1]
    kinds = [m.kind for m in inc.acts.marks()]
    assert kinds == ["act"] * (count >= 4) + ["verified"] * (count >= 5)


def test_before_and_after_compare_windows_of_the_same_length() -> None:
    inc = open_incident(MemorySession(events=acted()))
    compared = inc.before_after()
    assert compared
    assert compared.before is not None
    assert compared.after is not None
    assert compared.metrics is not None
    assert compared.before.window.length == compared.after.window.length
    assert compared.before.window.start >= ALERT_STORED
    assert compared.before.n > 5
    assert compared.before.median is not None
    assert compared.before.median > 0.2
    assert "95th percentile" in safe(compared)
    assert {m.kind for m in compared.metrics.plot(mark=inc.acts).marks} == {"act", "verified"}


def test_before_and_after_say_why_there_is_nothing_to_compare() -> None:
    none = open_incident(MemorySession(events=chain(*OPENED))).before_after()
    assert not none
    assert "no act has been applied" in safe(none)
    down = open_incident(MemorySession(events=acted(), failing=("prom",))).before_after()
    assert "2px dashed" in safe(down)
    assert open_incident(MemorySession()).before_after("error_rate").why_not


ALERT_STORED = fold(chain(*OPENED)).first_alert_at or NOW


def test_the_timeline_is_the_ledgers() -> None:
    inc = open_incident(MemorySession(events=acted()))
    assert "recovered" in safe(inc.timeline)
    assert len(inc.events) == 7
    assert isinstance(inc.events[-1].body, ev.EffectVerified)


class AfterTheRollback(MemorySession):
    """The history now holds the rollback too, seconds after the onset or later."""

    at = ONSET + timedelta(seconds=5)

    def _history(self, request: Request) -> bytes:
        act = {
            "time": self.at.isoformat(), "service": "checkout",
            "version": "1.4.1", "previous": "1.4.2", "by": "person:oncall", "key": plan().key,
            "message": "tax rounding",
        }  # fmt: skip
        mine = json.dumps(act) + "\n" if request.arguments["service"] == "checkout" else ""
        return super()._history(request) + mine.encode()


def test_what_was_done_about_an_incident_is_never_its_cause() -> None:
    inc = open_incident(AfterTheRollback(events=acted()))
    suspects = inc.suspects()
    assert suspects.top.change == "1.4.0 -> 1.4.2"
    ruled = {r.what: r.why for r in suspects.ruled_out}
    assert ruled["deploy 1.4.2 -> 1.4.1 of checkout"] == "it is what was done about this incident"


def test_a_change_after_the_first_alert_did_not_start_it() -> None:
    session = AfterTheRollback(events=chain(*OPENED))
    session.at = NOW - timedelta(seconds=30)
    suspects = open_incident(session).suspects()
    assert suspects.top.change == "1.4.0 -> 1.4.2"
    ruled = {r.what: r.why for r in suspects.ruled_out}
    assert ruled["deploy 1.4.2 -> 1.4.1 of checkout"].startswith("it came after the first alert")
