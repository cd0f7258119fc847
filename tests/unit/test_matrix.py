"""The Prometheus parser: exact on any layout, and never silent about what it cannot read."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irkit.errors import LookFailed
from irkit.metrics.matrix import read_matrix, series_name


def reply(result, kind="matrix", **beside):
    data = {"resultType": kind, "result": result}
    return {"status": "success", "data": data, **beside}


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def seconds(ms):
    """A time as Prometheus writes it: the fraction only where there is one, with three digits."""
    whole, rest = divmod(ms, 1000)
    return f"{whole}.{rest:03d}" if rest else str(whole)


def as_prometheus_writes(series):
    """The exact bytes of a range reply."""
    parts = []
    for labels, samples in series:
        written = ",".join(f'[{seconds(ms)},"{text}"]' for ms, text in samples)
        parts.append(f'{{"metric":{json.dumps(labels)},"values":[{written}]}}')
    data = f'{{"resultType":"matrix","result":[{",".join(parts)}]}}'
    return f'{{"status":"success","data":{data}}}'.encode()


NUMBERS = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "1e+06", "5e-324", "0.1", "-0", "1.79e308"]),
)
TIMES = st.one_of(
    st.integers(1_000_000_000_000, 9_999_999_999_999),  # the fast layout: ten digits of seconds
    st.integers(1, 40_000_000_000),  # 1970 and later
    st.integers(1_735_689_600_000, 1_735_689_600_050),
)
SERIES = st.lists(
    st.dictionaries(TIMES, NUMBERS, min_size=0, max_size=12).map(lambda d: sorted(d.items())),
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(SERIES, st.sampled_from(["exact", "compact", "spaced"]))
def test_every_sample_arrives_whatever_the_layout(series, layout):
    labelled = [({"__name__": "m", "i": str(i)}, samples) for i, samples in enumerate(series)]
    if layout == "exact":
        body = as_prometheus_writes(labelled)
    else:
        value = reply(
            [
                {"metric": labels, "values": [[ms / 1000, text] for ms, text in samples]}
                for labels, samples in labelled
            ]
        )
        body = compact(value) if layout == "compact" else json.dumps(value, indent=2).encode()
    matrix = read_matrix(body)
    frame = matrix.frame
    assert list(frame.columns) == [f'm{{i="{i}"}}' for i in range(len(series))]
    union = sorted({ms for samples in series for ms, _ in samples})
    assert list(frame.index.asi8) == union
    assert str(frame.index.dtype) == "datetime64[ms, UTC]"
    for number, samples in enumerate(series):
        want = pd.Series(math.nan, index=union)
        for ms, text in samples:
            want[ms] = float(text)
        np.testing.assert_array_equal(frame.iloc[:, number].to_numpy(), want.to_numpy())


def test_milliseconds_survive():
    frame = read_matrix(as_prometheus_writes([({}, [(1735689600781, "1")])])).frame
    assert frame.index[0] == pd.Timestamp("2025-01-01T00:00:00.781Z")
    assert list(frame.columns) == ["{}"]


def test_prometheus_own_layout_takes_the_fast_path(monkeypatch):
    monkeypatch.setattr("irkit.metrics.matrix._decode", lambda raw: pytest.fail("slow path"))
    samples = [(1735689600000 + k * 7, repr(k / 7)) for k in range(3000)]
    frame = read_matrix(as_prometheus_writes([({}, samples), ({"a": "b"}, samples[::7])])).frame
    assert frame["{}"].tolist() == [float(text) for _, text in samples]


def test_many_series_cross_the_batches():
    rng = np.random.default_rng(3)
    series = [
        (
            {"i": str(i)},
            [
                (1735689600000 + 1000 * k + 7 * (i % 2), repr(float(x)))
                for k, x in enumerate(rng.normal(size=2000))
            ],
        )
        for i in range(60)
    ]
    frame = read_matrix(as_prometheus_writes(series)).frame
    assert frame.shape == (4000, 60)
    for column, (_, samples) in zip(frame, series, strict=True):
        assert frame[column].dropna().tolist() == [float(text) for _, text in samples]


@pytest.mark.parametrize(
    "values",
    [
        '[[1735689600,"1"],[17356896x0,"2"]]',
        '[[1735689600,"1"],[1735689600.7,"2"]]',
        '[[1.7356896e9,"1"]]',
        "[[1735689600,1]]",
        '[[1735689600,"1"] ,[1735689601,"2"]]',
        '[[1735689600,"0x10"]]',
        '[["1735689600","1"]]',
        '[[1735689600,"1","2"]]',
    ],
)
def test_unusual_samples_are_read_exactly_or_refused(values):
    body = json.dumps(reply([{"metric": {}, "values": 0}]), separators=(",", ":"))
    body = body.replace('"values":0', f'"values":{values}').encode()
    try:
        honest = [(round(at * 1000), float(v)) for at, v in json.loads(values)]
    except (ValueError, TypeError):
        with pytest.raises(LookFailed, match="not a Prometheus query reply"):
            read_matrix(body)
    else:
        frame = read_matrix(body).frame
        assert list(zip(frame.index.asi8, frame.iloc[:, 0], strict=True)) == honest


def test_of_a_time_given_twice_the_last_value_counts():
    frame = read_matrix(as_prometheus_writes([({}, [(10**12, "1"), (10**12, "2")])])).frame
    assert frame.iloc[:, 0].tolist() == [2.0]


def test_instant_results_are_one_row():
    vector = read_matrix(
        compact(
            reply(
                [
                    {"metric": {"code": "200"}, "value": [1795457210.657, "30100"]},
                    {"metric": {"code": "500"}, "value": [1795457210.657, "+Inf"]},
                ],
                "vector",
            )
        )
    )
    assert vector.frame.shape == (1, 2)
    assert vector.frame.iloc[0].tolist() == [30100.0, math.inf]
    scalar = read_matrix(compact(reply([1795460810.655, "1"], "scalar")))
    assert scalar.frame["scalar"].tolist() == [1.0]
    assert scalar.frame.index[0].microsecond == 655000
    assert read_matrix(compact(reply([1, "abc"], "string"))).frame["string"].tolist() == ["abc"]
    assert read_matrix(compact(reply([], "vector"))).frame.empty


def test_native_histograms_and_warnings_are_kept():
    histogram = {"count": "12.5", "sum": "42.1", "buckets": [[0, "0.7", "1", "5"]]}
    body = compact(
        reply(
            [
                {"metric": {"a": "1"}, "histograms": [[1767433020, histogram]]},
                {"metric": {"a": "2"}, "values": [[1767433020, "3"]]},
            ],
            warnings=["quantile is out of range"],
            infos=["metric might not be a counter"],
        )
    )
    matrix = read_matrix(body)
    first, second = matrix.histograms
    assert first[0]["count"] == "12.5"
    assert first[0]["time"] == pd.Timestamp(1767433020, unit="s", tz="UTC")
    assert second == ()
    assert matrix.frame['{a="2"}'].tolist() == [3.0]
    assert matrix.frame['{a="1"}'].isna().all()
    assert matrix.warnings == ("quantile is out of range",)
    assert matrix.infos == ("metric might not be a counter",)
    assert read_matrix(as_prometheus_writes([({}, [(1, "1")])])).histograms == ()


@pytest.mark.parametrize(
    ("body", "said", "again"),
    [
        (b'{"status":"error","errorType":"bad_data","error":"parse error"}', "parse error", False),
        (b'{"status":"error","errorType":"timeout","error":"too slow","data":[1]}', "slow", True),
        (b'{"status":"error"}', "no reason given", False),
        (b"<html>502</html>", "not a Prometheus", False),
        (b"", "not a Prometheus", False),
        (b"[]", "not a Prometheus", False),
        (b'{"status":"success"}', "without data", False),
        (b'{"status":"success","data":null}', "without data", False),
        (b'{"status":"success","data":{"resultType":"streams","result":[]}}', "streams", False),
        (b'{"status":"success","data":{"resultType":"matrix","result":[1]}}', "not a Prom", False),
    ],
)
def test_errors_and_nonsense_say_what_is_wrong(body, said, again):
    with pytest.raises(LookFailed, match=said) as caught:
        read_matrix(body)
    assert caught.value.retryable is again


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200))
def test_a_damaged_body_is_read_or_refused_but_never_a_traceback(noise, at):
    samples = [(1735689600781 + k, "1") for k in range(9)]
    body = bytearray(as_prometheus_writes([({"a": "b"}, samples)]))
    body[at : at + len(noise)] = noise
    try:
        read_matrix(bytes(body))
    except LookFailed:
        return
    json.loads(bytes(body))  # what was read without complaint was JSON


def test_names_are_prometheus_own():
    assert series_name({"__name__": "up"}) == "up"
    assert series_name({"__name__": "up", "b": "2", "a": "1"}) == 'up{a="1",b="2"}'
    assert series_name({"a": 'x"y\\z\n'}) == '{a="x\\"y\\\\z\\n"}'
    assert series_name({"__name__": "my.metric", "k8s.pod": "x"}) == '{"my.metric","k8s.pod"="x"}'
