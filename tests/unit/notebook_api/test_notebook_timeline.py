"""The timeline tells every kind of event, folds what is alike, and drops nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.model import event as ev
from irkit.model.action import BlastRadius, Change, Outcome, Plan, Undo
from irkit.model.alert import Alert
from irkit.model.finding import Gap, Suspect
from irkit.timeline import LANES, Timeline, entries, folded, sentence

T0 = datetime(2026, 3, 1, 14, 2, 7, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>"
ALERT = Alert(
    source="am",
    fingerprint="f1",
    firing=True,
    name="HighErrorRate",
    starts_at=T0,
    service="checkout",
    summary=f"errors {HOSTILE}",
)
PLAN = Plan(
    id="P1",
    key="k",
    incident="IR-1",
    action="rollback",
    integration="deployer",
    target="checkout",
    change=Change(what="checkout", current="1.4.2", target="1.4.1"),
    blast=BlastRadius(instances=1, of=1),
    undo=Undo(how="deploy 1.4.2"),
    requester="run:R1",
    made_at=T0,
    expires_at=T0 + timedelta(minutes=15),
)
OUTCOME = Outcome(status="applied", text="checkout runs 1.4.1", seconds=2)
SUSPECT = Suspect(
    rank=1,
    service="checkout",
    strength=0.8,
    sentence="checkout 1.4.2 broke it",
    change="1.4.1 -> 1.4.2",
    change_at=T0 - timedelta(seconds=40),
)
BODIES: dict[str, ev.Body] = {
    b.kind(): b
    for b in (
        ev.IncidentOpened(
            title=f"High error rate {HOSTILE}", severity="SEV2", service="checkout",
            services=("checkout",), group="g", route="r", runbook="high-error-rate",
        ),
        ev.AlertFired(alert=ALERT, delivery="d1"),
        ev.AlertResolved(alert=ALERT, delivery="d2"),
        ev.SeverityChanged(was="SEV3", severity="SEV2", why="frontend is hit"),
        ev.Acknowledged(note="looking"),
        ev.RunStarted(run="R1", ordinal=1, attempt=2, purpose="after", runbook="x", now=T0),
        ev.RunLive(run="R1", attempt=2, recorded=3),
        ev.RunFinished(run="R1", attempt=1, status="timed_out", seconds=600, cell=4, gaps=1),
        ev.SuspectsNamed(run="R1", suspects=(SUSPECT,), onset=T0 - timedelta(seconds=25)),
        ev.GapFound(run="R1", source="prom", gap=Gap(what="latency", why="no answer")),
        ev.PlanMade(plan=PLAN),
        ev.ActRefused(action="rollback", target="checkout", reason="cooldown", text="wait 4m"),
        ev.ApprovalGiven(plan="P1", plan_hash="0" * 64, expires_at=T0),
        ev.ApprovalDenied(plan="P1", plan_hash="0" * 64, note="not now"),
        ev.ApprovalExpired(plan="P1"),
        ev.ActionStarted(plan="P1", key="k"),
        ev.ActionApplied(plan="P1", outcome=OUTCOME),
        ev.ActionFailed(plan="P1", outcome=Outcome(status="unknown", text="no answer")),
        ev.EffectChecked(plan="P1", number=2, value=0.1, text="10 %"),
        ev.EffectVerified(
            plan="P1", verdict="recovered", service="checkout", signal="error_rate",
            before=0.31, after=0.0, limit=0.05, unit="ratio",
        ),
        ev.MessagePosted(channel="#incidents", text="rolling back"),
        ev.NoteWritten(text=f"line one\nline two\x1b[31m {HOSTILE}"),
        ev.AttentionNeeded(why="verification failed", next="look at checkout"),
        ev.EffectFailed(effect="run:R2", attempt=2, error="no memory"),
        ev.IncidentResolved(why="all alerts resolved"),
        ev.PostmortemExported(run="R1", upto=26, head="a" * 64, files={}),
        ev.Corrected(of=2, field="at", was="14:02", value="14:01", why="clock was wrong"),
    )
}  # fmt: skip


def event(seq: int, body: ev.Body, *, at: datetime = T0, by: str = "system") -> ev.Event:
    return ev.Event(
        incident="IR-1", seq=seq, key=f"k{seq}", at=at, recorded=at, by=by, body=body,  # type: ignore[arg-type]
        prev="", hash="",
    )  # fmt: skip


def test_every_kind_has_a_specimen_here() -> None:
    assert set(BODIES) == set(ev.kinds())


@pytest.mark.parametrize("kind", sorted(ev.kinds()))
def test_every_kind_is_one_plain_line_in_a_lane(kind: str) -> None:
    made = event(1, BODIES[kind], by="person:oncall")
    text = sentence(made)
    assert len(text) > 8
    assert text.isprintable()
    entry = next(e for e in entries([made]) if e.kind == kind)
    assert entry.lane in LANES
    assert entry.text == text


def test_sentences_keep_foreign_text_as_it_is() -> None:
    assert HOSTILE in sentence(event(1, BODIES["note.written"], by="person:oncall"))


def test_offsets_count_from_the_first_alert_and_the_onset_comes_before_it() -> None:
    told = entries(
        [
            event(1, BODIES["incident.opened"], at=T0),
            event(2, BODIES["alert.fired"], at=T0),
            event(3, BODIES["suspects.named"], at=T0 + timedelta(seconds=9), by="run:R1"),
        ]
    )
    assert [e.kind for e in told[:3]] == ["change", "onset", "incident.opened"]
    assert [e.relative for e in told] == ["-40s", "-25s", "+0s", "+0s", "+9s"]
    assert told[0].late
    assert told[0].text == "Deploy of checkout: 1.4.1 -> 1.4.2"


def test_a_correction_moves_the_entry_and_keeps_what_stood_there() -> None:
    moved = ev.Corrected(
        of=1, field="at", was=T0.isoformat(), value="2026-03-01T13:59:00Z", why="their clock"
    )
    told = entries([event(1, BODIES["note.written"]), event(2, moved, by="person:oncall")])
    assert told[0].clock == "13:59:00Z"
    assert told[0].was == "was 14:02:07Z"
    assert told[1].kind == "event.corrected"


def alerts(seconds: list[int]) -> list[ev.Event]:
    return [
        event(i + 1, BODIES["alert.fired"], at=T0 + timedelta(seconds=s))
        for i, s in enumerate(sorted(seconds))
    ]


def test_a_storm_folds_to_one_row_behind_the_first_alert() -> None:
    lines = folded(entries(alerts(list(range(0, 50, 2)))))
    assert [line.text[:9] for line in lines] == ["Alert fir", "24 alerts"]
    assert len(lines[1].inside) == 24
    assert lines[1].text == "24 alerts, 14:02:09Z - 14:02:55Z"


def test_three_alike_stay_as_they_are() -> None:
    assert len(folded(entries(alerts([0, 1, 2, 3])))) == 4


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from(sorted(BODIES))), max_size=60))
def test_folding_drops_nothing_and_never_touches_a_key_entry(drawn: list[tuple[int, str]]) -> None:
    drawn.sort()
    events = [
        event(i + 1, BODIES[kind], at=T0 + timedelta(seconds=s))
        for i, (s, kind) in enumerate(drawn)
    ]
    told = entries(events)
    lines = folded(told)
    unfolded = [one for line in lines for one in (line.inside or (line,))]
    by_id = sorted(unfolded, key=lambda e: (e.at, e.seq, e.kind))
    assert by_id == sorted(told, key=lambda e: (e.at, e.seq, e.kind))
    for line in lines:
        if line.inside:
            assert len(line.inside) >= 4
            assert not any(e.key for e in line.inside)
            assert len({e.kind for e in line.inside}) == 1
            assert line.inside[-1].at - line.inside[0].at <= timedelta(seconds=60)


def test_the_notebook_shows_a_figure_and_a_table_with_everything_escaped() -> None:
    events = tuple(
        event(i + 1, BODIES[k], at=T0 + timedelta(seconds=i)) for i, k in enumerate(BODIES)
    )
    shown = Timeline(events)
    page = shown._repr_html_()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert page.count('src="data:image/svg+xml;base64,') == 1
    assert len(shown.df) == len(events) + 2
    assert str(shown.df["at"].dtype.tz) == "UTC"


def test_an_empty_timeline_says_so() -> None:
    assert "no incident" in repr(Timeline(()))
    assert "no incident" in Timeline(())._repr_html_()


def test_entries_are_values() -> None:
    entry = entries([event(1, BODIES["alert.fired"])])[0]
    with pytest.raises(AttributeError):
        entry.text = "other"  # type: ignore[misc]
    assert msgspec.json.decode(msgspec.json.encode(entry), type=type(entry)) == entry
