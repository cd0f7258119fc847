"""The verdict on an act: recovered on enough good samples only, unknown for want of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.model.action import Check
from runner.decide.verification import judge

START = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
CHECK = Check(service="checkout", signal="error_rate", limit=0.05)  # holds 20 s, within 300 s


def verdict(values: dict[float, float], now: float, check: Check = CHECK) -> str:
    """Of samples at seconds after the act, judged at `now` seconds after it."""
    samples = [(START + timedelta(seconds=at), value) for at, value in sorted(values.items())]
    moment = START + timedelta(seconds=now)
    return judge(samples, check, applied_at=START, now=moment).verdict


def every(seconds: float, value: float, *, until: float, since: float = 0) -> dict[float, float]:
    count = int((until - since) / seconds)
    return {since + seconds * n: value for n in range(1, count + 1)}


@pytest.mark.parametrize(
    ("values", "now", "wanted"),
    [
        (every(2, 0.01, until=20), 20, "recovered"),
        (every(2, 0.01, until=18), 18, "pending"),  # not held long enough
        (every(2, 0.4, until=100), 100, "pending"),
        (every(2, 0.4, until=300), 300, "not_recovered"),
        ({**every(2, 0.4, until=280), **every(2, 0.01, since=280, until=300)}, 301, "recovered"),
        ({**every(2, 0.01, until=300), 299: 0.4}, 300, "not_recovered"),
        ({}, 299, "pending"),
        ({}, 300, "unknown"),
        (every(2, nan, until=300), 300, "unknown"),
        ({-10: 0.01, -5: 0.01, -1: 0.01}, 300, "unknown"),  # all from before the act
        (every(60, 0.01, until=180), 181, "recovered"),  # a source with a sample a minute
        (every(60, 0.01, until=120), 121, "pending"),
        (every(60, 0.4, until=300), 301, "not_recovered"),
        ({10: 0.01, 20: 0.01, 30: 0.01}, 300, "unknown"),  # good once, then silent
        ({299: 0.01}, 300, "unknown"),
        ({299: 0.4}, 300, "not_recovered"),
    ],
)
def test_verdicts(values: dict[float, float], now: float, wanted: str) -> None:
    assert verdict(values, now) == wanted


def test_a_limit_that_must_be_exceeded() -> None:
    check = Check(service="s", signal="success", limit=0.95, above=False)
    assert verdict(every(2, 0.99, until=20), 20, check) == "recovered"
    assert verdict(every(2, 0.5, until=300), 300, check) == "not_recovered"


def test_a_sentence_with_numbers() -> None:
    samples = [(START + timedelta(seconds=n), 0.0123456) for n in range(1, 25)]
    said = judge(samples, CHECK, applied_at=START, now=START + timedelta(seconds=24))
    assert said.text == "error_rate is 0.0123, at most 0.05 for 20 s"
    assert said.value == 0.0123456


samples = st.dictionaries(st.floats(-60, 400), st.floats(0, 1) | st.just(nan), max_size=30)


@given(samples, st.floats(0, 400))
def test_no_verdict_without_its_samples(values: dict[float, float], now: float) -> None:
    values = {at: v for at, v in values.items() if at <= now}
    after = [v for at, v in values.items() if at > 0 and v == v]
    said = verdict(values, now)
    assert (said == "pending") <= (now < 300)
    assert (said == "unknown") <= (now >= 300)
    if said == "recovered":
        assert len([v for v in after if v <= 0.05]) >= 3
    if said == "not_recovered":
        assert any(v > 0.05 for v in after)
