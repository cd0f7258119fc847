"""The four times: from the ledger alone, unknown where it does not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from irkit.model import event as ev
from irkit.model.alert import Alert
from irkit.model.event import Event
from irkit.model.finding import Suspect
from irkit.model.incident import IncidentState, fold
from irkit.model.times import four_times

START = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
OPENED = ev.IncidentOpened(
    title="t", severity="SEV1", service="checkout", services=("checkout",), group="g", route="r",
    runbook="b",
)  # fmt: skip


def event(seq: int, minutes: float, body: ev.AnyBody, by: str = "system") -> Event:
    at = START + timedelta(minutes=minutes)
    return Event(
        incident="IR-1", seq=seq, key=str(seq), at=at, recorded=at, by=by, body=body, prev="",
        hash="",
    )  # fmt: skip


def alert(firing: bool = True) -> Alert:
    return Alert(source="a", fingerprint="f", firing=firing, name="n", starts_at=START)


def story(*parts: tuple[float, ev.AnyBody, str]) -> IncidentState:
    events = [event(1, 2, OPENED)]
    events += [event(n, m, body, by) for n, (m, body, by) in enumerate(parts, 2)]
    return fold(events)


FIRED = (2.0, ev.AlertFired(alert=alert(), delivery="a#1"), "hook:a")


def named(onset: float | None) -> ev.SuspectsNamed:
    at = None if onset is None else START + timedelta(minutes=onset)
    return ev.SuspectsNamed(run="r1", suspects=(), onset=at)


def verdict(word: str) -> ev.EffectVerified:
    return ev.EffectVerified(
        plan="P", verdict=word, service="checkout", signal="e", before=1, after=0, limit=0.5
    )


def minutes(state: IncidentState) -> dict[str, float | None]:
    return {
        s.name: None if s.length is None else s.length.total_seconds() / 60
        for s in four_times(state)
    }


def test_a_whole_story() -> None:
    state = story(
        FIRED,
        (3, named(0.5), "run:r1"),
        (4, ev.Acknowledged(), "person:oncall"),
        (9, verdict("recovered"), "system"),
        (12, ev.IncidentResolved(why="over"), "system"),
    )
    assert minutes(state) == {"detect": 1.5, "acknowledge": 2, "mitigate": 7, "resolve": 10}
    assert [s.unknown for s in four_times(state)] == ["", "", "", ""]


def test_unknown_is_said_and_never_zero() -> None:
    for state in (story(FIRED), story()):
        assert set(minutes(state).values()) == {None}
        assert all(s.unknown for s in four_times(state))
    assert four_times(story())[3].unknown == "no alert was stored"
    assert four_times(story(FIRED))[1].unknown == "nobody acknowledged"


def test_only_a_person_acknowledges_and_the_first_counts() -> None:
    ack = ev.Acknowledged()
    state = story(FIRED, (3, ack, "run:r1"), (5, ack, "person:oncall"), (6, ack, "person:second"))
    assert minutes(state)["acknowledge"] == 3
    assert state.acked_by == "person:oncall"


def test_an_act_that_did_not_help_mitigates_nothing() -> None:
    for word in ("not_recovered", "unknown"):
        assert minutes(story(FIRED, (9, verdict(word), "system")))["mitigate"] is None


def test_the_first_onset_and_the_first_end_stand() -> None:
    over = ev.IncidentResolved(why="over")
    state = story(
        FIRED, (3, named(None), "run:r1"), (4, named(1), "run:r1"), (9, named(8), "run:r2"),
        (12, over, "system"), (20, over, "person:oncall"),
    )  # fmt: skip
    assert minutes(state)["detect"] == 1
    assert minutes(state)["resolve"] == 10


def test_clocks_that_disagree_give_no_negative_time() -> None:
    state = story(FIRED, (5, named(4), "run:r1"))  # an onset after the alert
    assert minutes(state)["detect"] is None
    assert "clocks disagree" in four_times(state)[0].unknown


parts = st.lists(
    st.tuples(
        st.floats(-10, 60),
        st.sampled_from([
            FIRED[1], ev.AlertResolved(alert=alert(firing=False), delivery="a#2"), named(1),
            named(30), ev.Acknowledged(), verdict("recovered"), verdict("unknown"),
            ev.IncidentResolved(why="x"), ev.NoteWritten(text="n"),
        ]),
        st.sampled_from(["person:oncall", "system"]),
    ),
    max_size=12,
)  # fmt: skip


@given(parts)
def test_a_time_is_known_or_says_why_not(given_parts: list[tuple[float, ev.AnyBody, str]]) -> None:
    for span in four_times(story(*given_parts)):
        assert (span.length is None) == bool(span.unknown)
        assert span.length is None or span.length >= timedelta(0)
        assert span.definition


def test_after_an_act_was_verified_the_suspects_named_before_it_stand() -> None:
    def of(change: str) -> ev.SuspectsNamed:
        suspect = Suspect(rank=1, service="checkout", strength=0.9, sentence="s", change=change)
        return ev.SuspectsNamed(run="r", suspects=(suspect,))

    before = (3.0, of("1.4.1 -> 1.4.2"), "run:r1")
    after = (12.0, of("1.4.2 -> 1.4.1"), "run:r2")
    untouched = story(FIRED, before, after)
    assert untouched.suspects[0].change == "1.4.2 -> 1.4.1"
    healed = story(FIRED, before, (9.0, verdict("recovered"), "system"), after)
    assert healed.suspects[0].change == "1.4.1 -> 1.4.2"
