"""Parameters are read without running anything, and converted or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.errors import BadInput, BadParameters
from runner.runs.parameters import Parameter, check, declared

CELL = """\
%matplotlib inline
service = "checkout"    # who is ill
since: str = "90m"
limit = 3
share: float = 0.5
deep = False
tags = []
about: dict[str, int] = {}
top: int | None = None
anything = None
where = Path("/nowhere") / "never"   # not a literal
"""


def cells(source: str, tag: str = "parameters") -> dict[str, object]:
    return {"cells": [{"cell_type": "code", "metadata": {"tags": [tag]}, "source": source}]}


def test_each_kind_of_declaration_is_read() -> None:
    known = declared(cells(CELL))
    assert list(known) == [
        *("service", "since", "limit", "share", "deep"),
        *("tags", "about", "top", "anything", "where"),
    ]
    assert (known["service"].type, known["service"].default) == ("str", "checkout")
    assert known["service"].help == "who is ill"
    assert known["about"].type == "dict[str, int]"
    assert known["top"].accepts == {"int", "None"}
    assert known["anything"].accepts == frozenset()
    assert known["where"].default == "Path('/nowhere') / 'never'"


def test_reading_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    known = declared(cells(f"open({str(mark)!r}, 'w')\nn = open({str(mark)!r}, 'w')"))
    assert list(known) == ["n"]
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("service", "3", "3"),
        ("limit", " 3 ", 3),
        ("share", "0.25", 0.25),
        ("share", 1, 1.0),
        ("deep", "yes", True),
        ("deep", "0", False),
        ("tags", '["a", 1]', ["a", 1]),
        ("about", '{"a": 1}', {"a": 1}),
        ("top", "none", None),
        ("top", "7", 7),
        ("anything", {"x": [1, None]}, {"x": [1, None]}),
        ("where", "/tmp", "/tmp"),
    ],
)
def test_values_convert_to_what_is_declared(name: str, text: object, value: object) -> None:
    converted = check(declared(cells(CELL)), {name: text})[name]
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "three"),
        ("limit", 3.5),
        ("limit", True),
        ("deep", "maybe"),
        ("service", 3),
        ("tags", '{"a": 1}'),
        ("tags", "[1"),
        ("share", "nan"),
        ("anything", object()),
        ("service", "\ud800"),
        ("anything", {1: 2}),
    ],
)
def test_a_mistyped_value_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(BadParameters, match=f"'{name}'"):
        check(declared(cells(CELL)), {name: value})


def test_an_unknown_name_gets_the_closest_and_the_list() -> None:
    with pytest.raises(BadParameters) as caught:
        check(declared(cells(CELL)), {"servce": "x", "limit": "many"})
    text = str(caught.value)
    assert "did you mean 'service'?" in text
    assert "'limit': expected int" in text
    assert "about: dict[str, int]" in text


def test_without_a_parameters_cell_nothing_may_be_given() -> None:
    known = declared(cells("service = 1", tag="other"))
    assert check(known, {}) == {}
    with pytest.raises(BadParameters, match="tag the cell"):
        check(known, {"service": "x"})


@pytest.mark.parametrize("source", ["a = (", "a = '\n", "\x00"])
def test_a_cell_that_is_not_python_is_bad_input(source: str) -> None:
    with pytest.raises(BadInput, match="parameters cell"):
        declared(cells(source))


@pytest.mark.parametrize("content", ["", "{}", "[]", "not json", '{"cells": 3, "nbformat": 4}'])
def test_a_file_that_is_no_notebook_is_bad_input(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.ipynb"
    path.write_text(content)
    with pytest.raises(BadInput, match=r"not a Jupyter notebook.*r\.ipynb"):
        declared(path)


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        declared(tmp_path / "none.ipynb")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_for_text_arrives_as_it_is(text: str) -> None:
    known = {"a": Parameter(name="a", type="str", accepts=frozenset({"str"}))}
    assert check(known, {"a": text}) == {"a": text}


@given(st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False))
def test_a_value_printed_on_a_command_line_comes_back(value: object) -> None:
    kind = type(value).__name__
    known = {"a": Parameter(name="a", type=kind, accepts=frozenset({kind}))}
    assert check(known, {"a": str(value)}) == {"a": value}
