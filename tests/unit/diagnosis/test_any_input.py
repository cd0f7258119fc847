"""Whatever frame comes in, an answer comes out: suspects or silence, never a traceback."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from irkit.diagnosis import explain, rank

START = pd.Timestamp("2026-03-01T12:00:00Z")
NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1.0, 1e308, -1e308, 5e-324]),
)


@st.composite
def frames(draw):
    rows = draw(st.integers(0, 40))
    columns = draw(
        st.lists(st.sampled_from([f"{s}|{m}" for s in "abc" for m in ("cpu", "lat_99", "x_total")]),
                 unique=True, max_size=6)
    )  # fmt: skip
    values = [[draw(NUMBERS) for _ in columns] for _ in range(rows)]
    offset = draw(st.integers(-50, 10))
    index = pd.date_range(START + pd.Timedelta(minutes=offset), periods=rows, freq="1min")
    return pd.DataFrame(np.array(values).reshape(rows, len(columns)), index=index, columns=columns)


@settings(max_examples=120, deadline=None)
@given(frames(), st.booleans())
def test_any_frame_gets_an_answer(frame, everything):
    context = {"graph": [("a", "b"), ("b", "a"), ("c", "c")], "target": ("a", "cpu")}
    suspects = rank(frame, START, **(context if everything else {}))
    found = explain(frame, START, **(context if everything else {}))
    chances = [chance for _, _, chance in suspects]
    assert all(0 <= one <= 1 for one in chances)
    assert len({one for one, _, _ in suspects}) == len(suspects)
    assert len(found.suspects) <= 5
