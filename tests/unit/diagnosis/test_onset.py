"""The moment a series began to move: right to the sample, and None when it did not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irkit.diagnosis import onset


def series(values, freq="5s"):
    return pd.Series(values, index=pd.date_range("2026-03-01", periods=len(values), freq=freq,
                                                 tz="UTC"))  # fmt: skip


@pytest.mark.parametrize("at", [40, 75, 110])
@pytest.mark.parametrize("size", [0.5, -0.4, 10])
def test_a_step_is_found_where_it_is(at, size):
    rng = np.random.default_rng(at)
    values = 1 + 0.02 * rng.normal(size=120)
    values[at:] += size
    found = onset(series(values))
    assert found.time == series(values).index[at]
    assert found.earliest < found.time <= found.latest
    assert np.sign(found.sigmas) == np.sign(size)
    assert found.after == pytest.approx(1 + size, abs=0.1)
    assert found.before == pytest.approx(1, abs=0.05)


def test_a_slow_climb_begins_before_it_is_clear():
    values = np.r_[np.full(60, 1.0), 1 + np.arange(60) * 0.05]
    found = onset(series(values))
    assert 60 <= series(values).index.get_loc(found.time) <= 66
    assert found.latest > found.time


def test_what_recovered_is_still_found():
    values = np.full(100, 0.001)
    values[60:75] = 0.4
    found = onset(series(values))
    assert found.time == series(values).index[60]
    assert found.after == pytest.approx(0.4)


def test_gaps_and_naive_times_are_read():
    values = np.r_[np.full(40, 2.0), np.full(20, 9.0)]
    values[[3, 17, 45]] = np.nan
    naive = series(values).tz_localize(None)
    assert onset(naive).time.isoformat() == "2026-03-01T00:03:20+00:00"


def test_one_odd_value_is_no_movement():
    values = np.full(60, 1.0)
    values[40] = 5.0
    assert onset(series(values)) is None


def test_noise_and_flat_lines_do_not_move():
    rng = np.random.default_rng(5)
    moved = [onset(series(10 + rng.normal(size=120))) is not None for _ in range(40)]
    assert sum(moved) <= 2
    assert onset(series(np.zeros(50))) is None
    assert onset(series([])) is None
    assert onset(series([1.0, 2.0])) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_infinity=True, allow_nan=True, width=32), max_size=60))
def test_any_series_gets_an_answer(values):
    found = onset(series(np.array(values, dtype=float)))
    assert found is None or found.earliest <= found.time <= found.latest
