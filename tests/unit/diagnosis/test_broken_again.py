"""A service that broke, recovered and broke again: this incident's onset, cause and usual time."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from irkit.diagnosis import diagnose, explain, onset, rank_changes
from irkit.diagnosis.suspects import Suspects
from irkit.model.deploy import Deploy
from irkit.model.finding import Finding, Suspect, unopposed

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMIT = 0.05


def at(seconds):
    return BEGIN + timedelta(seconds=seconds)


def errors(*troubles, seconds=600, step=2, level=0.4, seed=0):
    """A ratio sampled every `step` s that ramps to `level` within 20 s of each trouble's start."""
    times = np.arange(0, seconds, step)
    values = np.zeros(len(times))
    for start, end in troubles:
        up, down = np.clip((times - start) / 20, 0, 1), np.clip((end - times) / 20 + 1, 0, 1)
        values = np.maximum(values, level * np.minimum(up, down))
    values *= 1 + 0.03 * np.random.default_rng(seed).normal(size=len(times))
    return pd.Series(values, index=pd.DatetimeIndex([at(float(t)) for t in times], name="time"))


def late(found, start):
    """How long after `start` the onset was found, in seconds."""
    return (found.time - at(start)).total_seconds()


def test_the_last_trouble_is_the_onset_and_the_usual_is_what_came_before_it():
    found = onset(errors((-60, 200), (400, 900)), limit=LIMIT)
    assert 0 <= late(found, 400) <= 6
    assert found.sigmas > 10
    assert found.before == pytest.approx(0, abs=0.01)
    assert found.after == pytest.approx(0.4, abs=0.05)
    assert 200 < (found.calm_since - BEGIN).total_seconds() < 230


def test_the_trouble_at_the_alert_is_meant_not_one_after_or_long_before_it():
    series = errors((40, 120), (250, 330), (460, 520))
    assert 0 <= late(onset(series, limit=LIMIT, alerted=at(300)), 250) <= 6
    assert 0 <= late(onset(series, limit=LIMIT, alerted=at(480)), 460) <= 6
    assert 0 <= late(onset(series, limit=LIMIT, alerted=at(455)), 460) <= 6
    assert 0 <= late(onset(series, limit=LIMIT, alerted=at(60)), 40) <= 6
    assert onset(series, limit=LIMIT, alerted=at(60)).calm_since is None


def test_a_recovery_is_no_onset():
    series = errors((-60, 300))
    assert onset(series).sigmas < 0
    assert onset(series, limit=LIMIT) is None
    assert onset(-series, limit=-LIMIT, above=False) is None
    assert 0 <= late(onset(1 - errors((300, 900)), limit=0.9, above=False), 300) <= 6


def test_a_short_dip_is_not_the_end_of_the_trouble():
    series = errors((200, 900))
    series.iloc[150:153] = 0.0
    found = onset(series, limit=LIMIT)
    assert 0 <= late(found, 200) <= 6
    assert found.calm_since is None


def test_a_movement_below_the_limit_counts_toward_the_bad_side_only():
    series = errors((300, 900), level=0.04)
    assert 0 <= late(onset(series, limit=LIMIT), 300) <= 6
    assert onset(0.04 - series, limit=LIMIT) is None


def shop(troubles, deploys, *, alerted, calm_since, bad_sides=1):
    """orders and store in a window of ten minutes; orders logs an error while it is broken."""
    ratio = errors(*troubles)
    store = errors(seed=3) + 0.001
    rows = []
    for place, (time, value) in enumerate(ratio.items()):
        rows.append((time, "orders", "info", f"order {place} done"))
        if value > 0.03:
            rows.append((time, "orders", "error", f"cannot price basket {place}: no currency"))
    metrics = pd.DataFrame({"orders|error_rate": ratio, "store|error_rate": store})
    return SimpleNamespace(
        services=("orders", "store"), metrics=metrics,
        columns={name: tuple(name.split("|")) for name in metrics}, units={},
        evidence={"orders|error_rate": "L2", "store|error_rate": "L3"},
        logs=pd.DataFrame(rows, columns=["time", "service", "level", "message"]),
        log_evidence={"orders": "L4"}, deploys=deploys, deploy_evidence=("L1",),
        calls=(("orders", "store"),), target=("orders", "error_rate"), start=alerted,
        bad_sides=dict.fromkeys(metrics, bad_sides), calm_since=calm_since,
    )  # fmt: skip


def deploy(seconds, version, previous, service="orders"):
    return Deploy(time=at(seconds), service=service, version=version, previous=previous)


BROKEN_AGAIN = (
    deploy(-70, "2.1.0", "2.0.0"), deploy(190, "2.0.0", "2.1.0"), deploy(398, "2.1.0", "2.0.0"),
)  # fmt: skip


@pytest.mark.parametrize("early", [-1, 0, 1, 3])
def test_the_bad_deploy_is_named_and_the_rollback_before_it_is_not(early):
    """Also where the onset is estimated a little before the deploy."""
    troubles = ((-60, 200), (400, 900))
    found = onset(errors(*troubles), limit=LIMIT)
    start = at(398) - timedelta(seconds=early)
    looked = shop(troubles, BROKEN_AGAIN, alerted=start, calm_since=found.calm_since)
    told = diagnose(looked)
    top = told.suspects[0]
    assert (top.service, top.change, top.change_at) == ("orders", "2.0.0 -> 2.1.0", at(398))
    assert all(one.sigmas > 0 for one in top.findings_for if one.kind == "moved")
    assert any(one.kind == "new_lines" for one in top.findings_for)
    assert not top.findings_against
    gone = {one.what: one.why for one in told.ruled_out}
    assert "was well again after it" in gone["deploy 2.1.0 -> 2.0.0 of orders"]
    assert gone["store"] == "none of its series left its usual bounds"


def test_a_recovery_alone_names_no_one():
    looked = shop(((-60, 300),), (deploy(290, "2.0.0", "2.1.0"),), alerted=at(300),
                  calm_since=None)  # fmt: skip
    looked.logs = looked.logs.iloc[:0]
    assert diagnose(looked).suspects == ()
    looked.bad_sides = {}
    assert diagnose(looked).suspects[0].change == "2.1.0 -> 2.0.0"


def test_a_decoy_is_ruled_out_by_facts_not_by_itself():
    decoys = (deploy(60, "3.0", "2.9", "store"), deploy(-9000, "1.9", "1.8", "store"))
    looked = shop(((400, 900),), (*decoys, deploy(398, "2.1.0", "2.0.0")), alerted=at(410),
                  calm_since=None)  # fmt: skip
    told = diagnose(looked)
    assert told.suspects[0].change == "2.0.0 -> 2.1.0"
    gone = {one.what: one for one in told.ruled_out}
    quiet = "none of store's series left its usual bounds"
    assert gone["deploy 2.9 -> 3.0 of store"].why == quiet
    assert gone["deploy 2.9 -> 3.0 of store"].evidence == ("L1", "L3")
    assert gone["deploy 1.8 -> 1.9 of store"].why == f"it went live 3 h before the onset; {quiet}"
    assert not any("is not a suspect" in one.why for one in told.ruled_out)


def test_a_change_shortly_after_the_onset_does_not_beat_an_earlier_one():
    ratio = pd.DataFrame({"orders|error_rate": errors((400, 900))})
    change = {"kind": "deploy", "service": "orders", "message": "new rounding"}
    before = change | {"id": "before", "time": at(100)}
    after = change | {"id": "after", "time": at(420)}
    assert rank_changes(ratio, at(400), changes=[after])[0] == "after"
    assert rank_changes(ratio, at(400), changes=[after, before])[:2] == ["before", "after"]


@pytest.mark.parametrize(("rises", "told"), [(0.0, False), (0.3, True), (-0.3, False)])
def test_against_names_a_series_of_a_callee_that_really_got_worse(rises, told):
    frame = pd.DataFrame({
        "orders|error_rate": errors((400, 900)),
        "store|error_rate": 0.3 + 0.001 * np.random.default_rng(1).normal(size=300),
    })  # fmt: skip
    frame.loc[frame.index >= at(400), "store|error_rate"] += rises
    logs = shop(((400, 900),), (), alerted=at(404), calm_since=None).logs
    found = explain(frame, at(404), graph=[("orders", "store")], target=("orders", "error_rate"),
                    logs=logs, metric_evidence={"store|error_rate": "L3"})  # fmt: skip
    one = next(one for one in found.suspects if one.service == "orders")
    against = [finding for finding in one.findings_against if finding.kind == "callee"]
    assert bool(against) is told
    for finding in against:
        assert finding.sentence.startswith("error_rate of store rose from 0.3 to 0.6")
        assert finding.sentence.endswith("and orders calls store")
        assert finding.evidence == ("L3",)


def test_who_has_looked_at_nothing_says_so():
    nothing = Suspects(suspects=(), looks=0)
    assert "nothing was looked at" in repr(nothing)
    assert "nothing was looked at" in repr(nothing.top)
    assert not nothing.top
    guess = Suspect(rank=1, service="orders", strength=0.3, sentence="orders: a guess")
    named = Suspects(suspects=(guess,), looks=0)
    assert "Against: nothing was looked at" in named.top._repr_html_().replace("</b>", "").replace(
        "</strong>", ""
    ).replace("</span>", "")
    assert unopposed(guess.looks) == "nothing was looked at"
    seen = Finding(kind="moved", sentence="it rose", evidence=("L1", "L1", "L2"))
    backed = Suspect(rank=1, service="a", strength=0.9, sentence="a", findings_for=(seen,))
    assert backed.looks == ("L1", "L2")
    assert unopposed(backed.looks) == "nothing found that speaks against it"
