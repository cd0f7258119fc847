"""Deliveries: what is answered, and what is on the disk before and after."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import scene
from clients import Client
from fastapi import FastAPI
from starlette.requests import ClientDisconnect

from irkit.errors import IrkitError
from runner.service import Runner
from runner.web import hooks

AUTH = {"Authorization": f"Bearer {scene.HOOK_TOKEN}"}


@pytest.fixture
def sender(app: FastAPI) -> Client:
    """Alertmanager, with its token."""
    return Client(app, **AUTH)


def test_202_only_after_the_delivery_is_stored(sender: Client, runner: Runner) -> None:
    answer = sender.post("/hooks/am", content=scene.body())
    assert answer.status_code == 202
    assert answer.json() == {"delivery": 1}
    assert runner.inbox.count() == 1
    assert runner.inbox.waiting()[0].body == scene.body()


def test_the_runner_is_told_to_triage(
    sender: Client, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    monkeypatch.setattr(runner, "delivered", lambda: told.append(runner.inbox.count()))
    sender.post("/hooks/am", content=scene.body())
    assert told == [1]


def test_content_type_is_no_evidence(sender: Client, runner: Runner) -> None:
    answer = sender.post("/hooks/am", content=scene.body(), headers={"content-type": "text/plain"})
    assert answer.status_code == 202


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic " + scene.HOOK_TOKEN, "Bearer"])
def test_who_is_not_authentic_leaves_nothing(app: FastAPI, runner: Runner, token: str) -> None:
    answer = Client(app, **({"Authorization": token} if token else {})).post(
        "/hooks/am", content=scene.body()
    )
    assert answer.status_code == 401
    assert answer.json()["reason"] == "unauthenticated"
    assert runner.inbox.count() == 0


def test_an_unknown_hook_is_404_and_stores_nothing(sender: Client, runner: Runner) -> None:
    answer = sender.post("/hooks/nobody", content=scene.body())
    assert answer.status_code == 404
    assert runner.inbox.count() == 0


def test_a_browser_is_refused(sender: Client, runner: Runner) -> None:
    for header in ({"Origin": "http://127.0.0.1:8400"}, {"Sec-Fetch-Site": "cross-site"}):
        assert sender.post("/hooks/am", content=scene.body(), headers=header).status_code == 403
    assert runner.inbox.count() == 0


def test_any_host_name_reaches_a_hook(sender: Client) -> None:
    answer = sender.post(
        "/hooks/am", content=scene.body(), headers={"Host": "irkit.monitoring.svc:8400"}
    )
    assert answer.status_code == 202


def _deep(levels: int) -> bytes:
    return b'{"version":"4","alerts":' + b"[" * levels + b"]" * levels + b"}"


WRONG = {
    "malformed": b"{not json",
    "truncated": scene.body()[:-20],
    "empty": b"",
    "deep": _deep(5000),
    "a list": b"[]",
    "null": b"null",
    "not utf-8": b"\xff\xfe{}",
    "another version": b'{"version":"1","alerts":[]}',
    "alerts are text": b'{"version":"4","status":"firing","alerts":"x"}',
    "labels are a list": scene.body().replace(b'"labels": {', b'"labels": [], "x": {'),
    "status is a number": scene.body().replace(
        b'"status": "firing", "labels"', b'"status": 7, "labels"'
    ),
    "no start": scene.body(starts=""),
    "a start that is no time": scene.body(starts="yesterday"),
    "a key twice": b'{"version":"4","version":"4","alerts":[]}',
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_read_is_400_names_the_mistake_and_is_kept(
    sender: Client, runner: Runner, case: str
) -> None:
    answer = sender.post("/hooks/am", content=WRONG[case])
    assert answer.status_code == 400, answer.text
    error = answer.json()
    assert error["what"]
    assert error["on"]
    assert runner.inbox.count() == 1
    assert runner.inbox.waiting() == ()
    assert runner.inbox.unreadable()[0].error
    runner.intake.triage_waiting()
    assert runner.ledger.incidents() == ()


def test_a_huge_body_is_413_and_is_never_read_whole(sender: Client, runner: Runner) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(10_000):
            read += 4096
            yield b"x" * 4096

    assert sender.post("/hooks/am", content=b"x" * 70_000).status_code == 413
    assert sender.post("/hooks/am", content=endless()).status_code == 413
    assert read < 200_000
    assert runner.inbox.count() == 0


def test_a_sender_that_goes_away_leaves_nothing(
    sender: Client, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> bytes:
        raise ClientDisconnect

    monkeypatch.setattr(hooks, "_body", gone)
    assert sender.post("/hooks/am", content=scene.body()).status_code == 400
    assert runner.inbox.count() == 0


def test_labels_that_are_missing_or_hostile_are_only_text(sender: Client, runner: Runner) -> None:
    hostile = {
        "service": 'checkout"};drop table events;--',
        "pod": "<script>alert(1)</script>",
        "template": "{{ 7*7 }} ${7*7} {% for x in y %}",
        "shell": "$(rm -rf /) `id` | tee ; &&",
        "lines": "a\nb\r\n\x00c\u202e",
        "path": "../../etc/passwd",
    }
    given = json.loads(scene.body(labels=hostile))
    bare = {"status": "firing", "labels": {}, "annotations": {},
            "startsAt": "2026-03-01T14:02:07.123456789Z",
            "endsAt": "0001-01-01T00:00:00Z"}  # fmt: skip
    given["alerts"].append(bare)
    answer = sender.post("/hooks/am", content=json.dumps(given).encode())
    assert answer.status_code == 202
    runner.intake.triage_waiting()
    states = runner.ledger.states()
    found = {a.alert.name: a.alert for s in states for a in s.alerts.values()}
    assert found["HighErrorRate"].labels["pod"] == hostile["pod"]
    assert found["HighErrorRate"].labels["template"] == hostile["template"]
    assert found["unnamed alert"].starts_at == datetime(2026, 3, 1, 14, 2, 7, 123456, UTC)
    assert found["unnamed alert"].ends_at is None


def test_the_same_delivery_again_is_stored_and_opens_nothing_new(
    sender: Client, runner: Runner
) -> None:
    for _ in range(2):
        assert sender.post("/hooks/am", content=scene.body()).status_code == 202
    runner.intake.triage_waiting()
    assert runner.inbox.count() == 2
    assert runner.ledger.incidents() == ("IR-1",)
    fired = [e for e in runner.ledger.events("IR-1") if e.kind == "alert.fired"]
    assert len(fired) == 1


def test_a_full_disk_is_503_to_be_sent_again(
    sender: Client, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise IrkitError("the disk is full, nothing was stored", on="storage", next="free space")

    monkeypatch.setattr(runner.database, "write", full)
    answer = sender.post("/hooks/am", content=scene.body())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert runner.inbox.count() == 0


def test_trouble_that_nobody_foresaw_is_503_too(
    sender: Client, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(runner.intake, "receive", broken)
    answer = sender.post("/hooks/am", content=scene.body())
    assert answer.status_code == 503
    assert "ZeroDivision" not in answer.text


def test_too_much_at_once_is_503_and_never_429(app: FastAPI, runner: Runner) -> None:
    gate = app.state.site.gate = hooks.Gate(a_second=0, burst=2)
    sender = Client(app, **AUTH)
    statuses = [sender.post("/hooks/am", content=scene.body()).status_code for _ in range(4)]
    assert statuses == [202, 202, 503, 503]
    assert runner.inbox.count() == 2
    assert gate.held == 0
    for narrow in (hooks.Gate(at_once=0), hooks.Gate(held_bytes=100)):
        app.state.site.gate = narrow
        answer = sender.post("/hooks/am", content=scene.body())
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert narrow.held == 0
    assert runner.inbox.count() == 2


def test_who_sends_slowly_is_cut_off(
    sender: Client, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "READ_SECONDS", 0.05)

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b"{"
            await asyncio.sleep(0.01)

    answer = sender.post("/hooks/am", content=dripping())
    assert answer.status_code == 503
    assert answer.json()["reason"] == "too_slow"
    assert runner.inbox.count() == 0


def test_what_became_of_deliveries_is_counted(sender: Client, runner: Runner) -> None:
    sender.post("/hooks/am", content=scene.body())
    sender.post("/hooks/am", content=b"{")
    sender.post("/hooks/guessed-1", content=b"{")
    sender.post("/hooks/guessed-2", content=b"{")
    text = sender.get("/metrics").text
    assert 'irkit_deliveries_total{result="stored",source="am"} 1.0' in text
    assert 'irkit_deliveries_total{result="unreadable",source="am"} 1.0' in text
    assert 'irkit_deliveries_total{result="unknown",source="unknown"} 2.0' in text
    assert "guessed" not in text
    assert "irkit_inbox_waiting 1.0" in text


def test_probes_say_what_they_stand_on(
    stranger: Client, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stranger.get("/healthz", headers={"Host": "10.0.0.7"}).text == "ok\n"
    answer = stranger.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["engine"] == "stopped"
    assert answer.json()["database"] == "writable"
    assert answer.json()["confinement"]
    monkeypatch.setattr(type(runner.effects), "running", property(lambda _self: True))
    assert stranger.get("/readyz").status_code == 200
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=0))
    assert stranger.get("/readyz").status_code == 503
