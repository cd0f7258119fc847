"""Values cannot leave their place in a query, whatever they are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.errors import BadQuery
from irkit.integrations.prometheus import Prometheus
from irkit.logs.patterns import mask
from irkit.metrics.query import render

STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def unquoted(literal: str) -> str:
    """A Go string literal's value."""
    return re.sub(
        r"\\(x[0-9a-f]{2}|.)",
        lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else ESCAPES[m[1]],
        literal,
    )


@given(TEXTS)
def test_a_value_stays_in_its_string(value: str) -> None:
    query = render('x{a="$v"} == 1', {"v": value}, Prometheus.quote)
    inside = STRING.search(query)
    assert inside is not None
    assert query == f'x{{a="{inside[1]}"}} == 1'
    assert unquoted(inside[1]) == value


@given(TEXTS)
def test_behind_a_pattern_sign_a_value_matches_only_itself(value: str) -> None:
    query = render('x{a=~"$v"}', {"v": value}, Prometheus.quote)
    inside = STRING.search(query)
    assert inside is not None
    pattern = unquoted(inside[1])
    assert re.fullmatch(pattern, value)
    assert not re.fullmatch(pattern, f"{value}!")


@given(TEXTS)
def test_outside_quotes_only_plain_words_are_taken(value: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9_:.]{1,64}", value):
        assert render("x[$v]", {"v": value}, Prometheus.quote) == f"x[{value}]"
    else:
        with pytest.raises(BadQuery, match="cannot stand outside quotes"):
            render("x[$v]", {"v": value}, Prometheus.quote)


@pytest.mark.parametrize("query", ["x{a='$v'}", "x{a=`$v`}"])
def test_a_value_in_other_quotes_is_refused(query: str) -> None:
    with pytest.raises(BadQuery, match="in double quotes"):
        render(query, {"v": "a"}, Prometheus.quote)


def test_dollars_that_are_no_names_stay() -> None:
    for query in ('x{a=~"foo$"}', 'x{a=~"^(a|b)$|c"}', "x{a=~`$1`}"):
        assert render(query, {}, Prometheus.quote) == query
    assert render('x{a="$$v ${v}s"}', {"v": 5}, Prometheus.quote) == 'x{a="$v 5s"}'


@given(st.text(max_size=200))
def test_masking_takes_any_text_and_is_stable(text: str) -> None:
    assert mask(mask(text)) == mask(text)
