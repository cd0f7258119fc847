"""The fold from the ledger to the facts: what is said, what is folded, what is never lost."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample import DAY, EVIL, at, error_figure, events, plan, sample_facts, series

from irkit.figures import Line, LineFigure, ms
from irkit.model import event as ev
from irkit.model.event import Event
from irkit.postmortem import facts, pictures
from irkit.postmortem.drafts import actions, lessons, md, summary, warnings
from runner.export.clean import markdown


def more(*bodies: tuple[str, str, ev.Body]) -> list[Event]:
    """The sample's events and these after them (hashes are of no concern here)."""
    told = events()
    for when, by, body in bodies:
        seq = told[-1].seq + 1
        told.append(
            Event(
                incident=told[0].incident,
                seq=seq,
                key=f"x{seq}",
                at=at(when),
                recorded=at(when),
                by=by,
                body=body,
                prev=told[-1].hash,
                hash="f" * 64,
            )
        )
    return told


def test_the_same_events_give_the_same_facts():
    assert sample_facts() == sample_facts()


def test_the_first_screen_is_answered():
    told = sample_facts()
    assert told.over
    assert told.seconds == 447
    assert told.effect.startswith(
        "30 % of checkout requests fail in prod-eu (error_rate of checkout"
    )
    assert told.ended.startswith(
        "recovered after: Roll back checkout 1.4.2 -> 1.4.1 in prod-eu, approved by "
        "person:demo-oncall: error_rate 30.4 % to 0.41 %"
    )
    assert [t.name for t in told.times] == ["detect", "acknowledge", "mitigate", "resolve"]


def test_an_incident_without_anything_shows_unknown_and_never_zero():
    told = facts(events()[:1], as_of=at("14:04:00"))
    assert not told.over
    assert told.seconds is None
    assert told.ended == "not over yet"
    assert all(t.length is None and t.unknown for t in told.times)
    assert "not over yet" in summary(told)
    assert "No run named a contributing factor." in summary(told)
    assert "not recorded" in lessons(told)
    assert pictures.timeline(told).svg()


def test_no_events_is_an_error():
    with pytest.raises(ValueError, match=r"begin with incident\.opened"):
        facts([], as_of=DAY)


def test_alike_rows_fold_but_the_first_alert_does_not():
    rows = sample_facts().entries
    folded = [r for r in rows if r.inside]
    assert [r.text for r in folded] == ["23 alerts, 14:03:12Z - 14:04:02Z"]
    assert len(folded[0].inside) == 23
    assert any(r.key and r.text.startswith("Alert fired: HighErrorRate") for r in rows)


def test_the_effect_is_what_the_first_alert_said_and_not_what_the_last_did():
    told = events()
    late = msgspec.structs.replace(told[-2].body.alert, summary="all is well")
    told[-2] = msgspec.structs.replace(
        told[-2], body=msgspec.structs.replace(told[-2].body, alert=late)
    )
    assert "30 % of checkout requests fail" in facts(told, as_of=at("14:30:00")).effect


def test_each_row_has_its_time_from_the_first_alert():
    rows = {r.kind: r for r in sample_facts().entries}
    assert rows["effect.verified"].relative == "+6m2s"
    assert rows["change"].relative == "-8m30s"
    assert rows["change"].lane == "Changes"


def test_a_correction_moves_the_time_and_keeps_the_old_value_visible():
    ack = next(e for e in events() if isinstance(e.body, ev.Acknowledged))
    told = facts(more(("14:30:00", "person:demo-oncall", ev.Corrected(
        of=ack.seq, field="at", was="2026-03-01T14:04:50Z", value="2026-03-01T14:04:00Z",
        why="by phone first"))), as_of=at("14:31:00"))  # fmt: skip
    row = next(r for r in told.entries if r.kind == "incident.acknowledged")
    assert row.at == at("14:04:00")
    assert row.was == "was 14:04:50Z"
    assert told.times[1].length == timedelta(seconds=50)
    assert any(r.kind == "event.corrected" for r in told.entries)
    assert next(r for r in told.records if r.seq == ack.seq).at == at("14:04:50")


def test_a_correction_that_names_no_time_changes_no_time():
    told = facts(
        more(("14:30:00", "person:lead", ev.Corrected(
            of=1, field="at", was="x", value="about two", why="memory"))), as_of=at("14:31:00"),
    )  # fmt: skip
    assert told.times == sample_facts().times


def test_strength_words():
    told = sample_facts()
    assert [r.strength for r in told.suspects] == ["confirmed", "consistent"]
    before = [e for e in events() if not isinstance(e.body, ev.EffectVerified)]
    assert [r.strength for r in facts(before, as_of=at("14:30:00")).suspects] == [
        "supported",
        "consistent",
    ]


def test_a_failed_act_is_said_as_such():
    told = [
        msgspec.structs.replace(e, body=msgspec.structs.replace(e.body, verdict="not_recovered"))
        if isinstance(e.body, ev.EffectVerified)
        else e
        for e in events()
    ]
    made = facts(told, as_of=at("14:30:00"))
    assert made.suspects[0].strength == "supported"
    assert made.ended == "resolved at 14:24:31Z; no act was verified as the remedy"
    assert made.times[2].length is None


def test_refusals_denials_and_expiry_are_rows_of_their_own():
    told = facts(more(
        ("14:40:00", "system", ev.ActRefused(action="restart", target="web", reason="frozen",
                                             text="the freeze switch is on")),
        ("14:41:00", "system", ev.ApprovalExpired(plan="P1")),
        ("14:42:00", "person:lead", ev.ApprovalDenied(plan="P1", plan_hash=plan().hash)),
    ), as_of=at("14:50:00"))  # fmt: skip
    assert [r.reason for r in told.refusals] == ["frozen"]
    kinds = [r.kind for r in told.entries if r.key]
    for kind in ("act.refused", "approval.expired", "approval.denied"):
        assert kind in kinds


def test_people_are_listed_by_what_they_did_and_machines_are_not():
    who = sample_facts().responders
    assert [r.name for r in who] == ["person:demo-oncall"]
    assert who[0].did[0] == "Acknowledged: looking"


def test_before_and_after_use_windows_of_one_length():
    told = sample_facts()
    compared = pictures.compare([error_figure()], told)
    pay = next(c for c in compared if "POST /pay" in c.label)
    assert pay.before.end - pay.before.start == pay.after.end - pay.after.start
    assert pay.before.end == at("14:07:41")
    assert pay.before.median
    assert pay.after.median
    assert pay.before.median > 0.28 > 0.01 > pay.after.median


def test_a_run_that_looks_right_after_the_recovery_still_compares():
    x, y = series(0.004, 0.29, 1, until="14:09:12")
    figure = LineFigure(title="e", query="q", lines=(Line(name="pay", x=x, y=y),))
    (one,) = pictures.compare([figure, figure], sample_facts())
    assert one.before.end - one.before.start == one.after.end - one.after.start
    assert one.before.n
    assert one.after.n
    assert one.after.start >= at("14:07:41")


@pytest.mark.parametrize(
    ("title", "query"),
    [
        ("error_rate of {} rose from 0.4 % to 29 % at 14:02Z (+8.1 sigma)", "q {}"),
        ("no onset: error_rate of {} stayed within its usual range", "q {}"),
        ("", 'sum(rate(x{{service="{}"}}[1m]))'),
    ],
)
def test_the_same_signal_of_two_services_is_told_apart(title: str, query: str) -> None:
    x, y = series(0.004, 0.29, 1)
    told = msgspec.structs.replace(sample_facts(), services=("checkout", "front-end"))
    figures = [
        LineFigure(
            title=title.format(s), query=query.format(s), lines=(Line(name="error_rate", x=x, y=y),)
        )
        for s in told.services
    ]
    labels = [c.label for c in pictures.compare(figures, told)]
    assert labels == ["error_rate of checkout", "error_rate of front-end"]


def test_an_earlier_run_lends_its_values_where_the_last_one_does_not_reach_back():
    x, y = series(0.004, 0.29, 1)
    late = [(a, b) for a, b in zip(x, y, strict=True) if a > ms(at("14:08:00"))]

    def figure(points: list[tuple[float, float]]) -> LineFigure:
        return LineFigure(
            title=f"errors: {points[-1][1]} now, of {len(points)}",
            query="q",
            unit="ratio",
            lines=(Line(name="pay", x=tuple(p[0] for p in points), y=tuple(p[1] for p in points)),),
        )

    told = sample_facts()
    assert pictures.compare([figure(late)], told) == ()
    whole = pictures.compare([figure(late)], told, before=[figure(list(zip(x, y, strict=True)))])
    assert whole[0].before.n > 50


def test_suggestions_are_unowned_and_name_the_gap():
    text = actions(sample_facts())
    assert "Bring back the look at traces of checkout" in text
    assert text.count("suggested, unowned") == 2


def test_wording_that_hides_is_named_with_a_cure():
    assert warnings("Nobody should\nhave deployed; obviously.")[0].startswith("should have:")
    assert len(warnings("Nobody should\nhave deployed; obviously.")) == 2
    assert warnings(summary(sample_facts())) == ()


@settings(deadline=None)
@given(st.text(max_size=60))
def test_foreign_text_in_markdown_is_text(text):
    html = markdown("- " + md(text), demote=0)
    assert html.startswith("<ul>")
    inner = html.replace("<ul>", "").replace("</ul>", "").replace("<li>", "").replace("</li>", "")
    assert "<" not in inner.strip()


def test_hostile_names_reach_the_facts_unchanged():
    told = sample_facts()
    assert EVIL in told.suspects[0].suspect.findings_for[1].sentence
