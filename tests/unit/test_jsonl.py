"""JSON-lines logs: no line is lost, no value is bent, no line stops the read."""

import gzip
import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irkit.logs import jsonblocks
from irkit.logs.jsonl import read_jsonl

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["2025-01-01", "2025-01-01 00:00:00", "2025-01-01T00:00:00Z", "NaN", "1"]),
    st.lists(st.integers(0, 9), max_size=3),
)
RECORDS = st.dictionaries(st.sampled_from(["a", "b", "c", "d.e"]), VALUES, max_size=4)
LINES = st.one_of(
    RECORDS.map(json.dumps),
    RECORDS.map(lambda record: json.dumps(record, ensure_ascii=False)),
    st.sampled_from(["Traceback (most recent call last):", '{"a": 1', "[1]", "1", "null", "{]}"]),
    st.text(alphabet='{}[]":,a1 \\', max_size=12),
)


def is_object(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def same(found, want):
    """Equal, where a column of mixed types holds JSON text and one of integers may be floats."""
    if want is None or isinstance(want, list) or not isinstance(found, str):
        if isinstance(want, list) and isinstance(found, str):
            return json.loads(found) == want
        if want is None:
            return not isinstance(found, list) and bool(pd.isna(found))
        return bool(found == want)
    return found == want or json.loads(found) == want


@settings(max_examples=300, deadline=None)
@given(st.lists(LINES, max_size=30), st.integers(1, 40))
def test_every_line_is_a_row_in_its_place_and_every_value_is_kept(lines, size):
    lines = [line for line in lines if line.strip(" \t") and "\n" not in line and "\r" not in line]
    body = "\n".join(lines).encode(errors="surrogatepass")
    chunks = [body[i : i + size] for i in range(0, len(body), size)]
    table = read_jsonl(chunks, time_field="-", level_field="-", service_field="-",
                       message_field="-")  # fmt: skip
    lines = [line.encode(errors="surrogatepass").decode(errors="replace") for line in lines]
    assert len(table.frame) == len(lines)
    assert table.bad == sum(not is_object(line) for line in lines)
    for line, (_, row) in zip(lines, table.frame.iterrows(), strict=True):
        if not is_object(line):
            assert row["_raw"] == line.strip(" ")
            continue
        for name, value in json.loads(line).items():
            if isinstance(value, str) and not value.isprintable():
                continue  # lone surrogates become replacement characters
            if value is not None or name in row:
                assert same(row[name], value), (name, row[name], value)


@pytest.mark.parametrize("odd_every", [7, 100, 5000])
def test_a_large_file_with_odd_lines_reads_as_it_would_line_by_line(monkeypatch, odd_every):
    monkeypatch.setattr(jsonblocks, "_BLOCK", 64 << 10)
    monkeypatch.setattr(jsonblocks, "_SMALL", 4 << 10)
    lines = [json.dumps({"ts": 1735689600 + k, "msg": f"m{k}", "n": k}) for k in range(10_000)]
    for k in range(3, len(lines), odd_every):
        lines[k] = ["Traceback", '{"n": "text", "late": {"key": [1]}}', '{"n": NaN}'][k % 3]
    body = "\n".join(lines).encode()
    table = read_jsonl(body)
    frame = table.frame
    assert len(frame) == 10_000
    assert table.bad == sum(line == "Traceback" for line in lines)
    for k in (0, 1, 2, 3, 4, 9_998, *range(3, 10_000, odd_every)):
        if lines[k].startswith('{"ts'):
            assert frame["message"][k] == f"m{k}"
            assert float(frame["n"][k]) == k
            assert frame["time"][k] == pd.Timestamp(1735689600 + k, unit="s", tz="UTC")
        elif lines[k] == "Traceback":
            assert frame["_raw"][k] == "Traceback"
    if any("late" in line for line in lines):
        assert frame["late.key"].dropna().map(list).tolist()[0] == [1]


@pytest.mark.parametrize(
    "written",
    [
        "1735689600", "1735689600000", "1735689600000000", "1735689600000000000",
        "1735689600.0", '"1735689600"', '"2025-01-01T00:00:00Z"', '"2025-01-01 00:00:00"',
        '"2025-01-01T01:00:00+01:00"', '"2025-01-01T00:00:00,000Z"',
        '"01/Jan/2025:00:00:00 +0000"', "1735689600000.0",
    ],
)  # fmt: skip
def test_times_of_every_usual_form(written):
    frame = read_jsonl(f'{{"ts": {written}}}\n{{"ts": {written}}}'.encode()).frame
    assert frame["time"].tolist() == [pd.Timestamp("2025-01-01T00:00:00Z")] * 2
    assert "ts" not in frame


def test_mixed_forms_of_time_in_one_file():
    lines = [b'{"ts":"2025-01-01T00:00:00.5Z"}', b'{"ts":1735689600500}', b'{"ts":"soon"}',
             b'{"time":"2025-01-01 00:00:00.5"}', b'{"x":1}']  # fmt: skip
    table = read_jsonl(b"\n".join(lines))
    assert table.frame["time"].dropna().tolist() == [pd.Timestamp("2025-01-01T00:00:00.5Z")] * 3
    assert table.undated == 2


def test_fractions_of_a_second_are_kept():
    frame = read_jsonl(b'{"ts":1735689600.781}\n{"ts":1735689600.000001}').frame
    assert [t.microsecond for t in frame["time"]] == [781_000, 1]


def test_levels_get_their_usual_names():
    words = ["WARNING", "Error", 30, 50, 3, "critical", "hm"]
    body = "\n".join(json.dumps({"severity": word}) for word in words).encode()
    levels = read_jsonl(body).frame["level"].tolist()
    assert levels == ["warn", "error", "info", "error", "error", "fatal", "hm"]


def test_nested_fields_are_columns_of_their_own():
    body = b'{"service":{"name":"pay"},"body":"x","k8s":{"pod":{"ip":"1"}}}\n{"k8s":{"node":2}}'
    frame = read_jsonl(body).frame
    assert frame["service"].tolist()[0] == "pay"
    assert frame["k8s.pod.ip"].tolist()[0] == "1"
    assert frame["k8s.node"].tolist()[1] == 2


def test_large_integers_stay_whole():
    frame = read_jsonl(b'{"id":9007199254740993}\n{}\n{"id":1}').frame
    assert frame["id"].tolist()[0] == 9007199254740993
    frame = read_jsonl(b'{"id":18446744073709551615}\n{"id":1}').frame
    assert [int(one) for one in frame["id"]] == [18446744073709551615, 1]


def test_two_objects_on_a_line_are_a_bad_line():
    table = read_jsonl(b'{"a":1}{"a":2}\n{"a":3}\n')
    assert table.bad == 1
    assert table.frame["_raw"].tolist()[0] == '{"a":1}{"a":2}'


def test_bytes_that_are_not_utf8_are_replaced():
    table = read_jsonl(b'{"msg":"caf\xe9"}\n\xff\xfe\n')
    assert table.frame["message"].tolist()[0] == "caf\N{REPLACEMENT CHARACTER}"
    assert table.bad == 1


def test_gzip_is_told_by_its_magic():
    good = gzip.compress(b'{"msg":"a"}\n') + gzip.compress(b'{"msg":"b"}\n')
    assert read_jsonl(good).frame["message"].tolist() == ["a", "b"]
    assert read_jsonl([good[i : i + 3] for i in range(0, len(good), 3)]).truncated is False
    body = "".join(f'{{"msg":"{k * k}"}}\n' for k in range(5000)).encode()
    cut = read_jsonl(gzip.compress(body)[:-200])
    assert cut.truncated
    assert 0 < len(cut.frame) < 5001


def test_the_byte_limit_leaves_no_half_line():
    body = b'{"msg":"a"}\n' * 10
    table = read_jsonl(body, max_bytes=30)
    assert (len(table.frame), table.bad, table.truncated) == (2, 0, True)


def test_nothing_is_an_empty_table():
    frame = read_jsonl(b"").frame
    assert list(frame) == ["time", "level", "service", "message"]
    assert len(read_jsonl(b"\n \n").frame) == 0


def test_its_sentence_names_what_is_wrong():
    assert (
        repr(read_jsonl(b'{"msg":"a"}\nx')) == "<LogTable: 2 lines, 1 not JSON, 1 without a time>"
    )
