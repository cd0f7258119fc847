"""The ranker on made-up systems: it finds the culprit, and is honest when there is none."""

import numpy as np
import pandas as pd
import pytest
from made_up import FAULTS, make_case

from irkit.diagnosis import explain, rank
from irkit.errors import BadInput


def ask(case, *, everything=True, metrics=None, start=None, **over):
    context = {"columns": case.columns, "services": case.services}
    if everything:
        context |= {"graph": case.graph, "target": case.target}
    return rank(case.metrics if metrics is None else metrics, start or case.start,
                **(context | over))  # fmt: skip


def place(suspects, service):
    services = [one for one, _, _ in suspects]
    return services.index(service) + 1 if service in services else len(services) + 99


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("everything", [True, False])
def test_it_finds_the_culprit_among_messy_services(fault, everything):
    places = [
        place(ask(case, everything=everything), case.culprit)
        for case in (make_case(seed, fault=fault, services=12, messy=True) for seed in range(3))
    ]
    assert places.count(1) >= (2 if everything else 1)
    assert max(places) <= 3


def test_it_finds_the_culprit_in_five_minutes_of_one_minute_samples():
    cases = [
        make_case(seed, fault=fault, services=30, step=60, before=60, after=5, messy=True)
        for seed in range(2)
        for fault in FAULTS
    ]
    assert sum(place(ask(case), case.culprit) == 1 for case in cases) >= 6


def test_it_names_the_metric_that_shows_the_fault():
    for fault, metric in (("cpu", "cpu"), ("memory", "memory_mib"), ("errors", "error_ratio")):
        case = make_case(1, fault=fault)
        assert ask(case)[0][:2] == (case.culprit, metric)


def test_in_quiet_windows_it_is_hardly_ever_sure():
    sure = 0
    for seed in range(12):
        case = make_case(seed, fault=None, services=12, messy=True)
        suspects = ask(case, everything=bool(seed % 2))
        sure += bool(suspects) and suspects[0][2] >= 0.5
    assert sure <= 1


def test_it_says_nothing_when_nothing_moved():
    times = pd.date_range("2026-03-01", periods=80, freq="15s", tz="UTC")
    flat = pd.DataFrame({"a|cpu": 0.5, "a|errors": 0.0, "b|cpu": 0.2}, index=times)
    assert rank(flat, times[60]) == []
    rng = np.random.default_rng(0)
    trembling = flat + rng.normal(0, 1e-4, flat.shape)
    assert explain(trembling, times[60]).suspects == ()


def test_the_answer_does_not_depend_on_names_or_on_the_order_of_columns():
    case = make_case(3, fault="delay", messy=True)
    given = ask(case)
    new = {name: f"x{hash_of}" for hash_of, name in enumerate(reversed(case.services))}
    renamed = rank(
        case.metrics.rename(columns={c: f"{new[s]}|{m}" for c, (s, m) in case.columns.items()})
        .sample(frac=1, axis=1, random_state=1),
        case.start,
        graph=[(new[a], new[b]) for a, b in case.graph],
        target=(new[case.target[0]], case.target[1]),
    )  # fmt: skip
    assert renamed[0][0] == new[given[0][0]]
    assert renamed[0][2] == pytest.approx(given[0][2], abs=1e-3)


def test_equal_inputs_give_equal_answers_and_the_inputs_are_left_alone():
    case = make_case(4, fault="cpu", messy=True)
    copy = case.metrics.copy(deep=True)
    assert ask(case) == ask(case)
    pd.testing.assert_frame_equal(case.metrics, copy)


def test_chances_are_chances():
    for seed in range(4):
        suspects = ask(make_case(seed, fault="errors", messy=True))
        chances = [chance for _, _, chance in suspects]
        assert chances[0] == max(chances)
        assert sum(chances) == pytest.approx(1, abs=0.01)
        assert min(chances) >= 0


@pytest.mark.parametrize("late", [1, 12, 60])
def test_a_late_alert_changes_nothing(late):
    places = []
    for fault in FAULTS:
        case = make_case(5, fault=fault, after=90, late_rows=late)
        places.append(place(ask(case), case.culprit))
    assert places.count(1) >= 4


def test_units_do_not_matter():
    case = make_case(6, fault="delay", messy=True)
    in_seconds = case.metrics.copy()
    in_seconds[[c for c in in_seconds if "latency" in c]] /= 1000
    assert [s for s, _, _ in ask(case, metrics=in_seconds)] == [s for s, _, _ in ask(case)]


def test_gaps_and_other_steps_are_no_trouble():
    case = make_case(7, fault="cpu")
    rng = np.random.default_rng(1)
    holes = case.metrics.mask(rng.random(case.metrics.shape) < 0.15)
    holes.iloc[100:110] = np.nan
    holes.iloc[::2, ::3] = np.nan  # every third series has twice the step
    assert ask(case, metrics=holes)[0][0] == case.culprit


def test_counters_that_reset_are_read_as_rates():
    times = pd.date_range("2026-03-01", periods=120, freq="15s", tz="UTC")
    rng = np.random.default_rng(2)
    calm = rng.poisson(20, 120).cumsum().astype(float)
    calm[50:] -= calm[50]  # a restart long before the incident
    failing = np.where(np.arange(120) >= 100, 300, 20).cumsum().astype(float)
    frame = pd.DataFrame({"a|requests_failed_total": calm, "b|requests_failed_total": failing},
                         index=times)  # fmt: skip
    assert rank(frame, times[100])[0][:2] == ("b", "requests_failed_total")


def test_a_series_that_was_always_zero_does_not_drown_the_rest():
    case = make_case(8, fault="cpu", services=12)
    frame = case.metrics.copy()
    other = next(name for name in case.services[1:] if name != case.culprit)
    frame[f"{other}_disk_io"] = 0.0
    frame.iloc[-30, frame.columns.get_loc(f"{other}_disk_io")] = 0.01
    assert ask(case, metrics=frame)[0][0] == case.culprit


def test_three_services_are_enough_and_three_hundred_not_too_many():
    small = make_case(9, fault="errors", services=3)
    assert ask(small)[0][0] == small.culprit
    large = make_case(9, fault="cpu", services=300, before=60, after=20)
    assert ask(large)[0][0] == large.culprit


def test_what_is_missing_is_done_without():
    case = make_case(10, fault="cpu")
    assert ask(case, everything=False)[0][0] == case.culprit
    few = case.metrics[[c for c in case.metrics if "load" not in c]]
    assert ask(case, metrics=few, columns={c: case.columns[c] for c in few})[0][0] == case.culprit
    assert rank(None, case.start) == []
    assert rank(case.metrics.iloc[:0], case.start, columns=case.columns) == []
    short = ask(case, metrics=case.metrics.iloc[235:250])
    assert short == [] or short[0][2] <= 0.98


def test_text_numbers_unsorted_and_doubled_rows_are_put_in_order():
    case = make_case(11, fault="cpu")
    messy = pd.concat([case.metrics, case.metrics.iloc[:5]]).sample(frac=1, random_state=0)
    assert ask(case, metrics=messy.astype(str)) == ask(case)


def test_a_naive_start_is_refused_with_a_cure():
    case = make_case(0)
    with pytest.raises(BadInput, match="pass a datetime in UTC"):
        ask(case, start=pd.Timestamp("2026-03-01"))


def test_a_service_that_falls_silent_is_noticed():
    case = make_case(12, fault=None)
    frame = case.metrics.copy()
    mine = [c for c, (service, _) in case.columns.items() if service == "svc-4"]
    frame.loc[frame.index >= case.start, mine] = np.nan
    suspects = ask(case, everything=False, metrics=frame)
    assert not suspects or place(suspects, "svc-4") <= 2
