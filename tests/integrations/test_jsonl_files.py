"""Log files: what is selected, what is kept though broken, where reading stops."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.errors import LookFailed
from irkit.integrations import _logfiles
from irkit.integrations.jsonl_files import JsonlFiles
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.ports import Raw

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def line(minutes: float, **fields: object) -> str:
    at = NOON + timedelta(minutes=minutes)
    return json.dumps({"ts": at.isoformat(), "level": "info", "msg": f"m{minutes:g}", **fields})


def search(
    root: Path, match: str = "", window: Window | None = None, limit: int = 1000, **config: object
) -> Raw:
    request = Request(
        source="logs",
        op="search",
        arguments={"match": match, "limit": limit},
        window=window or Window.before(NOON, "1h"),
    )
    return JsonlFiles(type="jsonl", root=root, **config).fetch(request)


def messages(raw: Raw) -> list[str]:
    return [json.loads(one)["msg"] for one in raw.body.splitlines()]


def test_lines_of_the_window_in_the_order_of_time_from_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join([line(-61), line(-30), line(-10), line(1)]) + "\n")
    (tmp_path / "deep").mkdir()
    with gzip.open(tmp_path / "deep" / "b.jsonl.gz", "wt") as file:
        file.write("\n".join([line(-60), line(-20), line(0)]) + "\n")
    (tmp_path / "other.txt").write_text(line(-5) + "\n")
    raw = search(tmp_path)
    assert messages(raw) == ["m-60", "m-30", "m-20", "m-10", "m0"]
    assert raw.media == "application/x-ndjson"


def test_matchers_on_top_level_fields(tmp_path: Path) -> None:
    lines = [
        line(-4, level="error", service="checkout", code=500, retried=True),
        line(-3, level="error", service="payments", code=502),
        line(-2, service="checkout", note="error"),
        line(-1, level="\u00e9rror").replace("\u00e9", "\\u00e9"),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    assert messages(search(tmp_path, 'level="error"')) == ["m-4", "m-3"]
    assert messages(search(tmp_path, 'level="error", service=~"check.*"')) == ["m-4"]
    assert messages(search(tmp_path, 'code=~"50[0-9]", retried!="true"')) == ["m-3"]
    assert messages(search(tmp_path, 'service="checkout", level!="error"')) == ["m-2"]
    assert messages(search(tmp_path, 'level="\u00e9rror"')) == ["m-1"]
    with pytest.raises(LookFailed, match="matchers"):
        search(tmp_path, "level==")


def test_broken_lines_belong_to_the_line_before_and_are_counted(tmp_path: Path) -> None:
    trace = ["Traceback (most recent call last):", "  ValueError: tax rounding"]
    (tmp_path / "a.jsonl").write_text(
        "\n".join(
            [line(-90), "old trace", line(-30, level="error"), *trace, line(-20), "{torn", line(9)]
        )
        + "\nlate trace\n"
    )
    raw = search(tmp_path, 'level="error"')
    assert raw.body.decode().splitlines() == [line(-30, level="error"), *trace, "{torn"]
    assert raw.media == "application/x-ndjson; bad=3"
    table = JsonlFiles.read(Request(source="logs", op="search"), raw.body)
    assert (len(table.frame), table.bad) == (4, 3)


def test_a_last_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(-2) + "\n" + line(-1)[:20])
    assert messages(search(tmp_path)) == ["m-2"]
    (tmp_path / "a.jsonl").write_text(line(-2) + "\n" + line(-1))
    assert messages(search(tmp_path)) == ["m-2", "m-1"]


def test_the_newest_lines_are_kept_where_there_are_too_many(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(line(-m) + "\n" for m in range(50, 0, -1)))
    (tmp_path / "b.jsonl").write_text("".join(line(-m - 0.5) + "\n" for m in range(50, 0, -1)))
    raw = search(tmp_path, limit=3)
    assert messages(raw) == ["m-2", "m-1.5", "m-1"]
    assert raw.media == "application/x-ndjson; truncated=lines"


def test_reading_and_returning_stop_at_their_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(line(-1, pad="x" * 9000) + "\n" for _ in range(300)))
    raw = search(tmp_path, max_mb=1)
    assert len(raw.body) <= 1 << 20
    assert raw.media.endswith("truncated=bytes")
    raw = search(tmp_path, max_scan_mb=1)
    assert 0 < len(raw.body) <= 1 << 20
    assert raw.media.endswith("truncated=scan")


def test_a_broken_gzip_file_gives_what_it_has(tmp_path: Path) -> None:
    packed = gzip.compress("".join(line(-m / 100) + "\n" for m in range(3000)).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "b.jsonl").write_text(line(-5, msg="whole") + "\n")
    raw = search(tmp_path)
    assert "whole" in messages(raw)
    assert len(messages(raw)) > 100
    assert "truncated=gzip" in raw.media


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    root.mkdir()
    (tmp_path / "secret.jsonl").write_text(line(-1, msg="secret") + "\n")
    (root / "in.jsonl").write_text(line(-1, msg="inside") + "\n")
    (root / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    (root / "up.jsonl").symlink_to(tmp_path, target_is_directory=True)
    (root / "again.jsonl").symlink_to(root / "in.jsonl")
    os.mkfifo(root / "pipe.jsonl")
    assert messages(search(root)) == ["inside"]
    for glob in ("../*.jsonl", "/etc/*", ""):
        with pytest.raises(ValueError, match="below root"):
            search(root, glob=glob)


def test_a_large_file_is_entered_near_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_logfiles, "_LARGE", 1 << 20)
    seconds = range(-40_000, 4_000)
    with (tmp_path / "a.jsonl").open("w") as file:
        file.writelines(line(s / 60, pad="x" * 100, msg=str(s)) + "\n" for s in seconds)
    # far less may be read than the file has, and still nothing is missing
    raw = search(tmp_path, window=Window.before(NOON, "10m"), max_scan_mb=2)
    assert messages(raw) == [str(s) for s in range(-600, 1)]
    assert "truncated" not in raw.media


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-01T11:59:30Z",
        "2026-03-01 12:59:30.123456789+01:00",
        "2026-03-01T11:59:30",
        1772366370,
        1772366370.5,
        1772366370123,
        1772366370123456,
        1772366370123456789,
    ],
)
def test_times_in_many_forms(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"@timestamp": value, "msg": "x"}) + "\n")
    assert messages(search(tmp_path, window=Window.before(NOON, "1m"))) == ["x"]
    assert messages(search(tmp_path, window=Window(start=NOON, end=NOON))) == []
    other = search(tmp_path, time_field="when")
    assert other.media.endswith("bad=1")


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_file_can_be_searched(tmp_path_factory: pytest.TempPathFactory, lines: list) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "a.jsonl").write_bytes(b"\n".join(lines))
    raw = search(root, 'level="x"')
    JsonlFiles.read(Request(source="logs", op="search"), raw.body)
