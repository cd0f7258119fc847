"""Plotly's JSON read as our drawings: real figures, typed arrays, and nonsense."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irkit.figures import BarFigure, BoxFigure, HeatFigure, LineFigure, Panels, from_plotly
from irkit.figures.plotlyjson import plain, values


def plotly(figure) -> dict:
    from plotly.utils import PlotlyJSONEncoder

    return json.loads(json.dumps(figure.to_plotly_json(), cls=PlotlyJSONEncoder))


def test_lines_with_typed_arrays_dates_and_marks():
    import numpy as np
    import pandas as pd
    import plotly.graph_objects as go

    times = pd.date_range("2026-03-01T14:00", periods=5, freq="min", tz="UTC")
    figure = go.Figure(go.Scatter(x=times, y=np.arange(5.0), name="<b>5xx</b>"))
    figure.add_vline(x="2026-03-01 14:02:00")
    figure.add_vrect(x0="2026-03-01 14:01:00", x1="2026-03-01 14:03:00")
    figure.update_layout(title="Errors<br>rise")
    ours = from_plotly(plotly(figure))
    assert isinstance(ours, LineFigure)
    assert ours.title == "Errors rise"
    assert ours.lines[0].name == "5xx"
    assert ours.lines[0].y == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert ours.lines[0].x[0] == 1772373600000.0
    assert [m.at for m in ours.marks] == [1772373720000.0]
    assert ours.onset
    assert ours.onset.end - ours.onset.start == 120_000


def test_numbers_on_x_and_points_only():
    points = {"type": "scatter", "mode": "markers", "x": [1, 2], "y": [3, None]}
    ours = from_plotly({"data": [points], "layout": {"yaxis": {"title": "ms"}}})
    assert isinstance(ours, LineFigure)
    assert ours.x_kind == "number"
    assert ours.lines[0].style == "points"
    assert ours.lines[0].y == (3.0, None)
    assert ours.title == "ms"


def test_bars_both_ways_and_several_series():
    up = from_plotly(
        {
            "data": [
                {"type": "bar", "x": ["a", "b"], "y": [1, 2], "name": "n"},
                {"type": "bar", "x": ["b", "c"], "y": [3, 4], "name": "m"},
            ]
        }
    )
    assert isinstance(up, BarFigure)
    assert up.categories == ("a", "b", "c")
    assert up.series[1].values == (None, 3.0, 4.0)
    flat = from_plotly({"data": [{"type": "bar", "orientation": "h", "y": ["a"], "x": [5]}]})
    assert isinstance(flat, BarFigure)
    assert flat.series[0].values == (5.0,)


def test_histograms_of_numbers_count_every_value_and_of_words_every_word():
    ours = from_plotly({"data": [{"type": "histogram", "x": [0, 0, 1, 2, 9]}]})
    assert isinstance(ours, BarFigure)
    assert sum(v or 0 for v in ours.series[0].values) == 5
    words = from_plotly({"data": [{"type": "histogram", "x": ["a", "b", "a"]}]})
    assert isinstance(words, BarFigure)
    assert dict(zip(words.categories, words.series[0].values, strict=True)) == {"a": 2.0, "b": 1.0}


def test_boxes_heat_maps_and_shares():
    box = from_plotly({"data": [{"type": "box", "y": [1, 2, 3, 4, 5], "name": "g"}]})
    assert isinstance(box, BoxFigure)
    assert (box.boxes[0].median, box.boxes[0].n) == (3, 5)
    heat = from_plotly({"data": [{"type": "heatmap", "z": [[1, 2], [3, None]], "y": ["u", "v"]}]})
    assert isinstance(heat, HeatFigure)
    assert heat.rows == ("v", "u"), "plotly draws the first row at the bottom"
    assert heat.z == ((3.0, None), (1.0, 2.0))
    pie = from_plotly({"data": [{"type": "pie", "labels": ["a", "b"], "values": [1, 3]}]})
    assert isinstance(pie, BarFigure)
    assert pie.categories == ("b", "a")
    assert pie.series[0].values == (0.75, 0.25)


def test_subplots_become_panels_with_their_titles():
    from plotly.subplots import make_subplots

    two = make_subplots(rows=2, cols=1, subplot_titles=("up", "down"))
    two.add_scatter(x=[1, 2], y=[1, 2], row=1, col=1)
    two.add_scatter(x=[1, 2], y=[2, 1], row=2, col=1)
    ours = from_plotly(plotly(two))
    assert isinstance(ours, Panels)
    assert [p.title for p in ours.panels] == ["up", "down"]


@pytest.mark.parametrize("figure", [
    {"data": [{"type": "scatter3d", "x": [1], "y": [1], "z": [1]}]},
    {"data": [{"type": "scatter", "x": {"dtype": "f8", "bdata": "!!"}, "y": [1]}]},
    {"data": [{"type": "scatter", "x": {"dtype": "c16", "bdata": ""}, "y": [1]}]},
    {"data": []}, {"data": 3}, {}, None, [], "x",
])  # fmt: skip
def test_what_we_cannot_draw_is_none(figure):
    assert from_plotly(figure) is None


def test_two_dimensional_typed_arrays_have_their_shape():
    raw = base64.b64encode(bytes([1, 2, 3, 4, 5, 6])).decode()
    assert values({"dtype": "u1", "bdata": raw, "shape": "2, 3"}) == [[1, 2, 3], [4, 5, 6]]


def test_pseudo_markup_is_dropped_and_hostile_names_stay_text():
    assert plain("<a href='javascript:alert(1)'>x</a>") == "x"
    ours = from_plotly({"data": [{"x": [1, 2], "y": [1, 2], "name": "&lt;script&gt;alert(1)"}]})
    assert ours is not None
    assert "<script" not in ours.svg()
    assert "&lt;script&gt;alert(1)" in ours.svg(width=2000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(allow_nan=False)
    | st.text(max_size=12) | st.sampled_from(["2026-03-01", "2026-03-01T14:02:07Z"]),
    lambda children: st.lists(children, max_size=5)
    | st.dictionaries(st.sampled_from(["dtype", "bdata", "text", "shape"]), children, max_size=3),
    max_leaves=8,
)  # fmt: skip
traces = st.dictionaries(
    st.sampled_from(["x", "y", "z", "name", "mode", "orientation", "labels", "values", "xaxis"]),
    json_values, max_size=5,
).flatmap(
    lambda t: st.sampled_from(["scatter", "bar", "histogram", "box", "heatmap", "pie"]).map(
        lambda kind: {**t, "type": kind})
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(traces, max_size=3),
    st.dictionaries(
        st.sampled_from(["title", "shapes", "annotations", "xaxis", "yaxis"]), json_values
    ),
)
def test_nonsense_is_drawn_or_refused_and_never_raises(data, layout):
    figure = from_plotly({"data": data, "layout": layout})
    if figure is not None:
        assert figure.svg().startswith("<svg")
        assert figure.svg(width=358, theme="plate")
        assert figure.table()
