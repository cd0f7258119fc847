"""Logs and traces: new and lost lines, slow networks, slow callers, calls that stopped."""

import numpy as np
import pandas as pd

from irkit.diagnosis import rank
from irkit.diagnosis.counts import rate_change
from irkit.diagnosis.spans import read_spans
from irkit.diagnosis.words import mask, read_words

FIRST = pd.Timestamp("2026-03-01T12:00:00Z")


def log_lines(after, before=(("info", "order <n> done"),), service="shop", load=1):
    rows = [(FIRST - pd.Timedelta(seconds=s), service, *line) for s in range(600, 1, -5)
            for line in before]  # fmt: skip
    rows += [(FIRST + pd.Timedelta(seconds=s), service, *line) for s in range(0, 120, 5)
             for line in after * load]  # fmt: skip
    return pd.DataFrame(rows, columns=["time", "service", "level", "message"])


def test_a_new_error_is_the_strongest_and_keeps_an_example():
    logs = log_lines([("info", "order 7 done"), ("error", "card 4711 refused by 10.0.0.1")],
                     [("info", "order 7 done")])  # fmt: skip
    top = read_words(logs, FIRST)[0]
    assert (top.template, top.bad, top.before) == ("card <n> refused by <ip>", True, 0)
    assert top.example == "card 4711 refused by 10.0.0.1"


def test_more_load_alone_changes_nothing():
    usual = [("info", "a 1"), ("info", "b 2"), ("error", "c 3 failed")]
    patterns = read_words(log_lines(usual, usual, load=8), FIRST)
    assert max(one.strength for one in patterns) < 0.1


def test_lines_that_stopped_are_noticed():
    logs = log_lines([("info", "start")], [("info", "start"), ("info", "saved")])
    lost = next(one for one in read_words(logs, FIRST) if one.template == "saved")
    assert lost.ratio < -2
    assert lost.strength > 3


def test_mined_templates_and_sampled_phases_are_read():
    table = pd.DataFrame(
        {
            "time": [FIRST, FIRST + pd.Timedelta(minutes=9), FIRST],
            "service": "shop",
            "template": ["ERROR boom", "INFO fine", "INFO fine"],
            "count": [30, 50, 20],
            "phase": ["incident", "normal", "incident"],
        }
    )
    top = read_words(table, FIRST)[0]
    assert (top.template, top.bad, top.before, top.after) == ("ERROR boom", True, 0, 30)


def test_an_info_line_about_errors_is_no_error():
    logs = log_lines([("info", "0 errors found")])
    assert not any(one.bad for one in read_words(logs, FIRST))


def test_masks():
    assert mask("id 550e8400-e29b-41d4-a716-446655440000 took 3.5s") == "id <id> took <n>s"
    assert mask("commit deadbeef1 v2") == "commit <hex> v2"


def test_rates_are_compared_per_exposure():
    strength, ratio = rate_change(np.array([0.0, 50, 10]), np.array([50.0, 50, 10]),
                                  np.full(3, 100.0), np.full(3, 100.0))  # fmt: skip
    assert strength[0] > 3
    assert ratio[0] < -3
    assert strength[1] == strength[2] == 0


def traces(change):
    """Calls web -> shop -> {store, pay, mail} and inner work; `change` edits the incident rows."""
    rows = []
    for minute, phase in ((-3, "normal"), (-2, "normal"), (0, "incident"), (1, "incident")):
        calls = {
            ("shop", "Place", "web"): [40, 60.0, 3.0],
            ("store", "Get", "shop"): [80, 5.0, 3.0],
            ("pay", "Charge", "shop"): [40, 9.0, 4.0],
            ("mail", "Send", "shop"): [40, 4.0, 3.0],
            ("shop", "price", None): [40, 2.0, np.nan],
            ("shop", "discount", None): [40, 2.0, np.nan],
        }
        if phase == "incident":
            change(calls)
        rows += [
            (FIRST + pd.Timedelta(minutes=minute), *key, count, mean, mean * 2, gap, gap, phase)
            for key, (count, mean, gap) in calls.items()
        ]
    names = ["time", "service", "operation", "caller", "count", "mean_ms", "p95_ms"]
    return pd.DataFrame(rows, columns=[*names, "gap_mean_ms", "gap_p90_ms", "phase"])


def test_a_slow_network_is_told_from_a_slow_service():
    def network(calls):
        calls[("pay", "Charge", "shop")][2] += 300
        calls[("shop", "Place", "web")][1] += 300

    def slow(calls):
        calls[("pay", "Charge", "shop")][1] += 300
        calls[("shop", "Place", "web")][1] += 300

    spans = read_spans(traces(network), FIRST)
    assert spans["pay"].gap > 3
    assert spans["pay"].gap_after_ms > 300
    assert spans["pay"].own < 0.1
    assert abs(spans["shop"].own) < 0.1  # it waits for pay, and does nothing longer itself
    spans = read_spans(traces(slow), FIRST)
    assert spans["pay"].own > 1.5
    assert spans["pay"].gap < 0.1
    assert abs(spans["shop"].own) < 0.1


def test_when_all_calls_of_one_service_wait_it_is_that_one():
    def starved(calls):
        for (_, _, caller), values in calls.items():
            if caller == "shop":
                values[2] += 200

    spans = read_spans(traces(starved), FIRST)
    assert spans["shop"].waits > 2
    assert max(spans[name].gap for name in ("store", "pay", "mail")) < 0.7


def test_inner_work_that_stopped_is_noticed_but_not_less_traffic():
    def stopped(calls):
        del calls[("shop", "discount", None)]

    def quieter(calls):
        for values in calls.values():
            values[0] //= 4

    spans = read_spans(traces(stopped), FIRST)
    assert (spans["shop"].operation, spans["shop"].ratio < -3) == ("discount", True)
    assert spans["shop"].flow > 3
    assert read_spans(traces(quieter), FIRST)["shop"].flow < 0.5


def test_logs_and_traces_alone_are_enough_to_rank():
    def network(calls):
        calls[("pay", "Charge", "shop")][2] += 300

    assert rank(None, FIRST, traces=traces(network))[0][0] == "pay"
    logs = pd.concat([log_lines([("error", "boom failed")]),
                      log_lines([("info", "ok 1")], service="web")])  # fmt: skip
    assert rank(None, FIRST, logs=logs)[0][0] == "shop"


def test_traces_with_fewer_columns_are_read_as_far_as_they_go():
    def network(calls):
        calls[("pay", "Charge", "shop")][1] += 300

    full = traces(network)
    assert read_spans(full.drop(columns=["gap_mean_ms", "gap_p90_ms"]), FIRST)["pay"].own > 1.5
    assert read_spans(full.drop(columns="operation"), FIRST) == {}
    assert rank(None, FIRST, traces=full.drop(columns="caller"))[0][0] == "pay"
