"""Figures as values: what is drawn, that it repeats, and that foreign text stays text."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irkit.errors import BadInput
from irkit.figures import (
    MIME,
    BarFigure,
    Bars,
    Box,
    BoxFigure,
    DotStrip,
    HeatFigure,
    Line,
    LineFigure,
    Mark,
    Normal,
    Panels,
    Span,
    Tick,
    TimelineFigure,
    from_mime,
)
from irkit.figures.canvas import escape, relative
from irkit.figures.scale import decimate, nice_ticks, time_ticks
from irkit.figures.theme import SERIES, TOKENS
from irkit.model.units import reading

SVG = "{http://www.w3.org/2000/svg}"
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def line_figure(name: str = "5xx", title: str = "errors rise") -> LineFigure:
    x = tuple(1_772_373_600_000.0 + 5000 * i for i in range(600))
    y = tuple(0.3 if 200 < i < 400 else 0.01 for i in range(600))
    return LineFigure(
        title=title, unit="ratio", query="q", source="prom", evidence="L1",
        lines=(Line(name=name, x=x, y=y),),
        normal=Normal(low=0.005, high=0.02), onset=Span(start=x[198], end=x[202]),
        gaps=(Span(start=x[500], end=x[540], label=name),),
        marks=(Mark(at=x[150], kind="deploy", label=name), Mark(at=x[210], kind="alert", label="a"),
               Mark(at=x[390], kind="act", label="undo")),
    )  # fmt: skip


def every_figure(text: str) -> list:
    line = line_figure(text, text)
    ticks = (Tick(at=line.lines[0].x[0], lane="Signals", glyph="alert", label=text, count=3),
             Tick(at=line.lines[0].x[9], end=line.lines[0].x[90], lane="Runs", glyph="run",
                  label=text))  # fmt: skip
    return [
        line,
        Panels(title=text, panels=(line, line)),
        TimelineFigure(title=text, ticks=ticks, phases=(Span(start=ticks[0].at, end=ticks[1].at,
                                                             label=text),)),
        BarFigure(title=text, categories=(text, "b"), series=(Bars(name=text, values=(1, None)),)),
        HeatFigure(title=text, columns=(text,), rows=(text,), z=((1.0,), (None,))),
        BoxFigure(title=text, boxes=(Box.of(text, [1, 2, 3]),)),
        DotStrip(title=text, values=(10, 100), this=50),
    ]  # fmt: skip


@pytest.mark.parametrize("theme", ["page", "plate"])
@pytest.mark.parametrize("width", [1040, 358])
def test_every_figure_is_well_formed_named_and_repeats(width, theme):
    for figure in every_figure(EVIL):
        svg = figure.svg(width=width, theme=theme)
        assert svg == figure.svg(width=width, theme=theme)
        root = ET.fromstring(svg)
        tags = {e.tag.removeprefix(SVG) for e in root.iter()}
        assert tags <= {"svg", "title", "desc", "g", "rect", "path", "line", "circle", "polygon",
                        "text"}  # fmt: skip
        assert root.find(f"{SVG}title").text
        assert root.get("role") == "img"
        assert "id" not in {k for e in root.iter() for k in e.attrib}
        assert len(svg) < 40_000
        assert figure.table().rows


def test_page_paints_with_classes_and_plate_with_fixed_colours_on_white():
    page, plate = line_figure().svg(), line_figure().svg(theme="plate")
    assert 'class="k-s1"' in page
    assert TOKENS["s1"][0] not in page
    assert "class=" not in plate
    assert "var(" not in plate
    assert TOKENS["s1"][0] in plate
    assert f'fill="{TOKENS["page"][0]}"' in plate.split("<g", 1)[0]


def test_figures_travel_as_json_and_come_back_equal():
    for figure in every_figure("x"):
        bundle = figure._repr_mimebundle_()
        again = from_mime(msgspec.json.decode(msgspec.json.encode(bundle[MIME])))
        assert again == figure
        assert bundle["text/html"].startswith('<div><img alt="x" src="data:image/svg+xml;base64,')
        assert bundle["text/plain"] == "<figure: x>"


def test_what_is_no_figure_is_refused():
    with pytest.raises(BadInput, match="not a figure of ours"):
        from_mime({"figure": "line", "title": 3})


def test_a_gap_breaks_the_line_and_is_hatched():
    whole = msgspec.structs.replace(line_figure(), gaps=())
    assert len(decimate(whole.lines[0].x, whole.lines[0].y, 0, 2e12, 10_000)) == 1
    gap = line_figure().gaps[0]
    stretches = decimate(
        whole.lines[0].x, whole.lines[0].y, 0, 2e12, 10_000, [(gap.start, gap.end)]
    )
    assert [s[0][0] for s in stretches if s[0][0] >= gap.end]
    assert all(not (s[0][0] <= gap.start and s[-1][0] >= gap.end) for s in stretches)
    assert line_figure().svg().count("L") > whole.svg().count("L")


def test_unknown_is_a_word_and_a_break_and_never_zero():
    x = (0.0, 60_000.0, 120_000.0, 180_000.0)
    figure = LineFigure(title="t", lines=(Line(name="a", x=x, y=(1.0, None, math.nan, 2.0)),))
    assert figure.table().rows[0][1:3] == ("2", "1")
    assert len(decimate(x, figure.lines[0].y, 0, 180_000, 10)) == 2
    empty = LineFigure(title="t", lines=(Line(name="a", x=x, y=(None,) * 4),))
    assert "unknown" in empty.table().rows[0]
    assert empty.svg()
    assert reading(None, "ratio") == "unknown"


def test_an_almost_empty_window_is_trimmed_and_says_so_unless_scales_must_line_up():
    x = tuple(3_600_000.0 + 5000 * i for i in range(20))
    line = Line(name="a", x=x, y=(1.0,) * 20)
    figure = LineFigure(title="t", lines=(line,), span=(0.0, 3_700_000.0))
    assert figure.extent()[0] > 3_500_000
    assert "no data before 00:59:" in figure.svg()
    fixed = msgspec.structs.replace(figure, trim=False)
    assert fixed.extent() == (0.0, 3_700_000.0)
    assert "no data before" not in fixed.svg()
    full = msgspec.structs.replace(figure, span=(3_590_000.0, 3_700_000.0))
    assert full.extent() == (3_590_000.0, 3_700_000.0)


def test_flags_on_one_spot_are_counted_and_not_written_over_one_another():
    base = line_figure()
    at = base.lines[0].x[100]
    marks = tuple(Mark(at=at + i, kind="deploy", label=f"svc{i}") for i in range(4))
    svg = msgspec.structs.replace(base, marks=marks).svg()
    assert ">svc0 +3</text>" in svg
    assert ">svc1" not in svg.replace("<title>svc1", "")


def test_long_units_do_not_run_off_the_sheet():
    x = (0.0, 60_000.0)
    line = Line(name="a", x=x, y=(0.0, 20.0))
    figure = LineFigure(title="t", unit="requests/s", lines=(line,))
    assert ">in requests/s</text>" in figure.svg(width=358)
    assert ">20 requests/s</text>" not in figure.svg(width=358)
    percent = LineFigure(title="t", unit="ratio", lines=(line,))
    assert ">2,000 %</text>" in percent.svg(width=1040)


def test_fine_grids_and_many_points_stay_small_and_keep_their_peak():
    z = tuple(tuple(float(i * k % 97) for k in range(400)) for i in range(120))
    heat = HeatFigure(title="t", columns=("c",) * 400, rows=("r",) * 120, z=z)
    assert len(heat.svg()) < 40_000
    assert "each the largest of 42" in heat.svg()
    assert "dark: 96" in heat.svg()
    x = tuple(float(i) for i in range(5000))
    lines = tuple(
        Line(name=n, x=x, y=tuple(math.sin(v) for v in x), style="points") for n in "abcd"
    )
    dots = LineFigure(title="t", lines=lines, x_kind="number")
    assert len(dots.svg()) < 60_000
    assert dots.svg().count("h0") > 1000


def test_more_series_than_can_be_told_apart_stay_visible_in_grey():
    x = (0.0, 60_000.0)
    lines = tuple(Line(name=f"s{i}", x=x, y=(float(i), float(i))) for i in range(7))
    svg = LineFigure(title="t", lines=lines).svg()
    assert "+ 3 in grey" in svg
    assert (
        sum(svg.count(f'class="k-{role}" fill="none" stroke-width="1.8"') for role in SERIES) == 4
    )
    assert "s6" in svg
    assert ">s0<" not in svg


def test_lines_from_datetimes_and_from_a_pandas_index_agree_to_the_millisecond():
    import pandas as pd

    moments = [datetime(2026, 3, 1, 14, 2, 7, 781000, tzinfo=UTC)]
    index = pd.DatetimeIndex(moments)
    assert Line.of("a", moments, [1.0]).x == Line.of("a", index, [1.0]).x == (1772373727781.0,)


def test_long_series_are_thinned_and_keep_their_peak():
    y = [0.0] * 50_000
    y[31_234] = 9.0
    line = Line.of("a", list(range(50_000)), y)
    assert len(line.x) <= 1600
    assert max(v for v in line.y if v is not None) == 9.0


@given(
    st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1, max_size=400),
    st.integers(1, 40),
)
def test_decimation_keeps_the_extremes_and_invents_nothing(y, buckets):
    x = [float(i) for i in range(len(y))]
    kept = [p for s in decimate(x, y, 0, max(x), buckets) for p in s]
    known = [(a, b) for a, b in zip(x, y, strict=True) if b is not None]
    assert set(kept) <= set(known)
    assert kept == sorted(kept)
    if known:
        assert max(p[1] for p in kept) == max(p[1] for p in known)
        assert min(p[1] for p in kept) == min(p[1] for p in known)


@given(st.text(max_size=80))
def test_any_text_is_escaped_into_well_formed_xml(text):
    root = ET.fromstring(f'<t a="{escape(text)}">{escape(text)}</t>')
    assert not list(root)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12))
def test_ticks_span_the_values(lo, size):
    ticks = nice_ticks(lo, lo + size)
    assert ticks[0] <= lo + abs(lo) * 1e-9 + size * 1e-6
    assert ticks[-1] >= (lo + size) - abs(lo) * 1e-9 - size * 1e-6
    assert 2 <= len(ticks) <= 8


@given(st.integers(0, 4_000_000_000_000), st.integers(1, 10**12), st.integers(2, 12))
def test_time_ticks_are_few_round_and_inside(lo, span, most):
    ticks = time_ticks(float(lo), float(lo + span), most)
    assert len(ticks) <= most + 1
    assert all(lo <= at <= lo + span for at, _ in ticks)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1000)), min_size=1, max_size=60))
def test_relative_paths_do_not_drift(points):
    import re

    numbers = [
        float(n) for n in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", relative(*zip(*points, strict=True)))
    ]
    x, y = numbers[0] + sum(numbers[2::2]), numbers[1] + sum(numbers[3::2])
    assert x == pytest.approx(points[-1][0], abs=0.06)
    assert y == pytest.approx(points[-1][1], abs=0.06)


any_number = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**18), 10**18).map(float),
    st.sampled_from([0.0, 1e308, -1e308, 5e-324, 1.7e12, -0.0]),
)  # fmt: skip
spans = st.builds(Span, start=any_number, end=any_number, label=st.text(max_size=9))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(any_number, st.one_of(st.none(), any_number)), max_size=12),
    st.lists(spans, max_size=3),
    st.one_of(st.none(), st.tuples(any_number, any_number)),
    st.sampled_from(["time", "number"]),
    st.sampled_from(["line", "points", "area"]),
    st.sampled_from(["", "ratio", "s", "bytes", "requests per fortnight"]),
)
def test_any_finite_figure_is_drawn_and_told(points, gaps, span, kind, style, unit):
    line = Line(name="a", x=tuple(p[0] for p in points), y=tuple(p[1] for p in points),
                style=style)  # fmt: skip
    figure = LineFigure(
        title="t", lines=(line,), gaps=tuple(gaps), span=span, x_kind=kind, unit=unit,
        onset=gaps[0] if gaps else None,
        marks=tuple(Mark(at=g.start, kind="deploy", label=g.label) for g in gaps),
        normal=Normal(low=points[0][0], high=points[-1][0]) if points else None,
    )  # fmt: skip
    ticks = tuple(Tick(at=g.start, end=g.end, lane="Runs", glyph="run", label=g.label)
                  for g in gaps)  # fmt: skip
    for one in (figure, Panels(title="t", panels=(figure, figure)),
                TimelineFigure(title="t", ticks=ticks, phases=tuple(gaps), span=span),
                DotStrip(title="t", values=tuple(p[0] for p in points), this=1.0),
                BarFigure(title="t", categories=("a",) * len(points), unit=unit, series=(
                    Bars(name="b", values=tuple(p[1] for p in points)),))):  # fmt: skip
        root = ET.fromstring(one.svg())
        assert "nan" not in one.svg()
        assert root.tag == f"{SVG}svg"
        assert one.table().head
