"""Deploy histories: a file of JSON lines, and the way back that it tells."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.errors import LookFailed
from irkit.integrations._deploylog import path_back
from irkit.integrations.history import History
from irkit.model.deploy import Deploy
from irkit.model.look import Request
from irkit.model.window import Window

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def entry(minutes: int, service: str, version: str, **more: str | None) -> str:
    at = (NOON + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    return json.dumps({"time": at, "service": service, "version": version, **more})


def look(service: str = "", window: str = "2h") -> Request:
    return Request(
        source="deploys",
        op="history",
        arguments={"service": service},
        window=Window.before(NOON, window),
    )


def test_the_deploys_of_a_service_and_window(tmp_path: Path) -> None:
    lines = [
        entry(-200, "checkout", "1.4.0"),
        entry(-60, "checkout", "1.4.1", previous="1.4.0", by=None),
        entry(-30, "payments", "2.0.0"),
        "not json",
        entry(-5, "checkout", "1.4.2", previous="1.4.1", by="person:ci", commit="ab12",
              message="tax rounding", key="k", reason="release"),
        entry(-1, "checkout", "1.4.3")[:30],
    ]  # fmt: skip
    path = tmp_path / "deploys.jsonl"
    path.write_text("\n".join(lines))
    source = History(type="history", path=Path("deploys.jsonl")).anchored(tmp_path)
    raw = source.fetch(look("checkout"))
    assert raw.body.decode().splitlines() == [lines[1], lines[3], lines[4]]
    assert raw.media == "application/x-ndjson; bad=1"
    older, newest = source.read(look("checkout"), raw.body)
    assert older.version == "1.4.1"
    assert newest == Deploy(
        time=NOON - timedelta(minutes=5),
        service="checkout",
        version="1.4.2",
        previous="1.4.1",
        by="person:ci",
        commit="ab12",
        message="tax rounding",
        reason="release",
        key="k",
        source="deploys",
    )
    assert [d.service for d in source.read(look(), source.fetch(look()).body)] == [
        "checkout",
        "payments",
        "checkout",
    ]
    assert source.probe() == "4 deploys in deploys.jsonl, 1 lines cannot be read"


def test_no_deploys_is_an_answer_and_nonsense_is_not(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("")
    source = History(type="history", path=tmp_path / "d")
    assert source.read(look(), source.fetch(look()).body) == []
    (tmp_path / "d").write_text("a\nb\n")
    with pytest.raises(LookFailed, match="none of 2 lines"):
        source.read(look(), source.fetch(look()).body)


def went(*versions: str) -> list[str]:
    return path_back([Deploy(time=NOON, service="x", version=version) for version in versions])


def test_the_way_back() -> None:
    assert went() == []
    assert went("1", "2", "3") == ["1", "2", "3"]
    assert went("1", "2", "1") == ["1"]
    assert went("1", "2", "1", "3") == ["1", "3"]
    assert went("1", "2", "3", "2", "4") == ["1", "2", "4"]
    assert went("1", "1", "2", "2") == ["1", "2"]


@given(st.lists(st.sampled_from("abcd"), min_size=1))
def test_the_way_back_ends_at_what_runs_and_goes_nowhere_twice(versions: list[str]) -> None:
    path = went(*versions)
    assert path[-1] == versions[-1]
    assert len(set(path)) == len(path)
