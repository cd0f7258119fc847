"""A small shop, two-second samples, half a minute of trouble: the diagnosis a person reads."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pandas as pd
import pytest

from irkit.diagnosis import Diagnosis, diagnose, explain
from irkit.diagnosis.features import FEATURES
from irkit.diagnosis.kinds import kind_of, unit_of
from irkit.diagnosis.weights import CONFIDENCE, WEIGHTS
from irkit.errors import BadInput
from irkit.model.deploy import Deploy

GRAPH = (("frontend", "checkout"), ("checkout", "payments"))
TARGET = ("frontend", "error_ratio")


def shop(seed=0, *, trouble=True):
    rng = np.random.default_rng(seed)
    times = pd.date_range("2026-03-01T14:00:00Z", periods=60, freq="2s", name="time")
    on = (np.arange(60) >= 45) & trouble
    frame, rows = {}, []
    for name, base, errors in (("frontend", 0.12, 0.2), ("checkout", 0.06, 0.35),
                               ("payments", 0.03, 0)):  # fmt: skip
        noise = rng.normal(size=(3, 60))
        frame[f"{name}|latency_p95"] = base * (1 + 0.1 * noise[0]) + on * 0.4 * bool(errors)
        frame[f"{name}|error_ratio"] = np.abs(0.002 * noise[1]) + on * errors
        frame[f"{name}|request_rate"] = 50 + 3 * noise[2] - on * 10 * (name == "payments")
    for i, time in enumerate(times):
        for name in ("frontend", "checkout", "payments"):
            rows += [(time, name, "info", f"handled {k} in {i} ms") for k in range(3)]
        if on[i]:
            rows.append((time, "checkout", "error", "order failed: KeyError 'coupon'"))
            rows.append((time, "frontend", "error", "checkout answered 500"))
    deploys = (
        Deploy(time=times[39].to_pydatetime(), service="checkout", version="1.4.2",
               previous="1.4.1", message="new discounts"),
        Deploy(time=datetime(2026, 3, 1, 11, tzinfo=UTC), service="payments", version="2.0"),
    )  # fmt: skip
    logs = pd.DataFrame(rows, columns=["time", "service", "level", "message"])
    return pd.DataFrame(frame, index=times), times[49].to_pydatetime(), logs, deploys


@pytest.mark.parametrize("seed", range(4))
def test_checkout_is_first_with_its_deploy_as_the_cause(seed):
    frame, start, logs, deploys = shop(seed)
    found = explain(frame, start, graph=GRAPH, target=TARGET, logs=logs, deploys=deploys)
    top = found.suspects[0]
    assert (top.rank, top.service, top.change) == (1, "checkout", "1.4.1 -> 1.4.2")
    assert top.change_at == deploys[0].time
    assert top.strength > 0.6
    assert abs((found.onset - frame.index[45].to_pydatetime()).total_seconds()) <= 4
    assert any("KeyError" in one.sentence for one in top.findings_for)
    assert any("payments" in one.what for one in found.ruled_out)
    assert [one.what for one in found.gaps] == ["traces"]


def test_it_still_works_with_little_and_says_what_is_missing():
    frame, start, _, deploys = shop()
    found = explain(frame, start, deploys=deploys)
    assert found.suspects[0].service in ("checkout", "frontend")
    assert {"logs", "traces", "the call graph"} <= {one.what for one in found.gaps}
    few = explain(frame.iloc[34:], start, graph=GRAPH)
    assert any("samples before" in one.why for one in few.gaps)
    nothing = explain(None, start)
    assert nothing.suspects == ()
    assert {one.what for one in nothing.gaps} >= {"metrics", "logs", "traces", "changes"}


def test_nothing_moved_means_no_suspects():
    frame, start, logs, deploys = shop(trouble=False)
    found = explain(frame, start, graph=GRAPH, target=TARGET, logs=logs, deploys=deploys)
    assert found.suspects == ()
    assert found.onset is None


def test_findings_carry_numbers_and_the_looks_that_show_them():
    frame, start, logs, deploys = shop()
    columns = {name: tuple(name.split("|")) for name in frame}
    looked = SimpleNamespace(
        services=("frontend", "checkout", "payments"), metrics=frame, columns=columns,
        units={name: "s" if "latency" in name else "" for name in frame},
        evidence={name: f"L{i}" for i, name in enumerate(frame)}, logs=logs,
        log_evidence={"checkout": "L90"}, deploys=deploys, deploy_evidence=("L99",),
        calls=GRAPH, target=TARGET, start=start, bad_sides={}, calm_since=None,
    )  # fmt: skip
    found = diagnose(looked)
    kinds = {one.kind: one for one in found.suspects[0].findings_for}
    moved = next(
        one for one in found.suspects[0].findings_for
        if one.kind == "moved" and one.series == "latency_p95"
    )  # fmt: skip
    assert moved.unit == "s"
    assert moved.before == pytest.approx(0.06, abs=0.01)
    assert moved.after == pytest.approx(0.46, abs=0.05)
    assert moved.sigmas > 10
    assert moved.evidence == ("L3",)
    assert kinds["change"].evidence == ("L99",)
    assert kinds["new_lines"].evidence == ("L90",)
    sketch = next(one for one in found.sketches if one.series == "latency_p95")
    assert len(sketch.times) == len(sketch.values) == 60
    assert sketch.low < 0.06 < sketch.high


def test_a_diagnosis_is_a_plain_value():
    frame, start, logs, deploys = shop()
    found = explain(frame, start, graph=GRAPH, logs=logs, deploys=deploys)
    again = msgspec.json.decode(msgspec.json.encode(found), type=Diagnosis)
    assert again.suspects == found.suspects


def test_deploys_may_be_a_frame():
    frame, start, logs, deploys = shop()
    table = pd.DataFrame([msgspec.to_builtins(one) for one in deploys])
    found = explain(frame, start, graph=GRAPH, target=TARGET, logs=logs, deploys=table)
    assert found.suspects[0].change == "1.4.1 -> 1.4.2"


def test_foreign_text_stays_one_line():
    frame, start, logs, deploys = shop()
    logs["message"] = logs["message"].str.replace("order failed", "order\x1b[31m\nfailed\u202e")
    found = explain(frame, start, graph=GRAPH, logs=logs, deploys=deploys)
    for finding in found.suspects[0].findings_for:
        assert "\n" not in finding.sentence
        assert "\x1b" not in finding.sentence
        assert "\u202e" not in finding.sentence


def test_logs_without_a_service_are_refused_with_a_cure():
    frame, start, logs, _ = shop()
    with pytest.raises(BadInput, match="columns time and service"):
        explain(frame, start, logs=logs.drop(columns="service"))


def test_names_tell_what_a_metric_measures():
    for name, kind in (
        ("lat_90", "latency"), ("latency-50", "latency"), ("http_5xx_ratio", "errors"),
        ("availability", "success"), ("cpu", "resource"), ("mem", "resource"),
        ("diskio", "io"), ("socket", "resource"), ("requests_Sum", "traffic"),
        ("error", "errors"), ("workload", "traffic"), ("client_p99", "latency"),
        ("db_pool_wait_seconds_p99", "latency"), ("temperature", "other"),
        ("availabilityAverage", "success"),
    ):  # fmt: skip
        assert kind_of(name) == kind, name
    assert unit_of("process_resident_memory_bytes") == "bytes"


def test_the_weights_in_use_are_those_the_tool_learned():
    report = json.loads((Path(__file__).parents[3] / "tools/ranker_report.json").read_text())
    assert report["weights"] == WEIGHTS
    assert tuple(report["confidence"]) == CONFIDENCE
    assert set(WEIGHTS) == set(FEATURES)


def test_importing_it_is_light():
    import subprocess

    code = (
        "import irkit.diagnosis, sys; sys.exit('numpy' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
