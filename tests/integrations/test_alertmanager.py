"""Alertmanager payloads: real ones, odd ones and hostile ones."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from irkit.errors import BadAlert
from irkit.integrations.alertmanager import Alertmanager

REPLIES = Path(__file__).parent / "replies" / "alertmanager"
OPEN = Alertmanager(type="alertmanager", insecure=True)


def payload(*alerts: dict[str, Any], **changes: Any) -> bytes:
    body = {
        "version": "4",
        "groupKey": '{}:{alertname="HighErrorRate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "irkit",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://am:9093",
        "alerts": list(alerts),
        "notification_reason": "first notification",
    }
    return json.dumps({**body, **changes}).encode()


def alert(**changes: Any) -> dict[str, Any]:
    one = {
        "status": "firing",
        "labels": {
            "alertname": "HighErrorRate",
            "service": "checkout",
            "severity": "critical",
            "signal": "error_rate",
        },
        "annotations": {"summary": "checkout fails"},
        "startsAt": "2026-03-01T12:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prom:9090/graph?g0.expr=up",
        "fingerprint": "c4f3b4be",
    }
    return {**one, **changes}


def test_a_firing_alert_is_read_whole() -> None:
    (read,) = OPEN.alerts("am", payload(alert()))
    assert (read.source, read.name, read.service) == ("am", "HighErrorRate", "checkout")
    assert (read.signal, read.severity, read.firing) == ("error_rate", "SEV1", True)
    assert read.starts_at == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert read.ends_at is None
    assert read.summary == "checkout fails"
    assert read.fingerprint == "c4f3b4be"
    assert read.url == "http://prom:9090/graph?g0.expr=up"


def test_groups_may_be_mixed() -> None:
    resolved = alert(status="resolved", endsAt="2026-03-01T13:00:00+01:00")
    first, second = OPEN.alerts("am", payload(alert(), resolved))
    assert (first.firing, second.firing) == (True, False)
    assert second.ends_at == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert first.key != second.key


@pytest.mark.parametrize(
    ("name", "alert_name", "severity", "service"),
    [
        ("alerta-prometheus-v4-alert", "thing_dead", "SEV1", ""),
        ("prometheus-msteams-post-request", "high_memory_load", "SEV3", "docker_nodes"),
    ],
)
def test_recorded_deliveries(name: str, alert_name: str, severity: str, service: str) -> None:
    (read,) = OPEN.alerts("am", (REPLIES / f"{name}.json").read_bytes())
    assert (read.name, read.severity, read.service) == (alert_name, severity, service)
    assert read.firing
    assert len(read.fingerprint) == 16  # the senders of these gave none


def test_the_receiver_is_unescaped_before_it_is_compared() -> None:
    only = Alertmanager(type="alertmanager", insecure=True, receiver="web.hook")
    assert only.alerts("am", payload(alert(), receiver="web\\.hook"))
    with pytest.raises(BadAlert, match="another receiver"):
        only.alerts("am", payload(alert(), receiver="webxhook"))


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (payload(alert(), version="3"), "version"),
        (payload(alert(), version=4), "version"),
        (b'{"alert": "custom payload"}', "version"),
        (payload(alerts={}), "alerts"),
        (payload(alert(), alerts=["x"]), r"alerts\[0\]"),
        (payload(alert(), alert(labels=[])), r"alerts\[1\]\.labels"),
        (payload(alert(labels={"service": 7})), r"alerts\[0\]\.labels\.service"),
        (payload(alert(annotations={"a": {"b": "c"}})), r"alerts\[0\]\.annotations\.a"),
        (payload(alert(startsAt=1)), r"alerts\[0\]\.startsAt"),
        (payload(alert(startsAt="soon")), r"alerts\[0\]\.startsAt"),
        (payload(alert(startsAt="2026-03-01T12:00:00")), r"alerts\[0\]\.startsAt"),
        (payload(alert(startsAt="0001-01-01T00:00:00Z")), r"alerts\[0\]\.startsAt"),
        (payload(alert(status="suppressed")), r"alerts\[0\]\.status"),
        (payload(alert(status=["firing"])), r"alerts\[0\]\.status"),
        (payload(alert(labels={f"l{n}": "x" for n in range(200)})), r"alerts\[0\]\.labels"),
        (payload(*[{}] * 5001), "alerts"),
        (payload(alert()).replace(b'"version"', b'"status":"x","version"'), "status"),
        (b'{"version":"4","a":' + b"[" * 40 + b"]" * 40 + b"}", "the body"),
        (payload(alert(annotations={"a": float("nan")})), "the body"),
        (payload(alert()).decode().encode("utf-16"), "the body"),
    ],
)
def test_a_mistake_is_named_with_its_place(body: bytes, place: str) -> None:
    with pytest.raises(BadAlert, match=place):
        OPEN.alerts("am", body)


def test_hostile_texts_are_texts() -> None:
    odd = {"alertname": "<img src=x>", "service": "$(id)", "x": "a\ud800\x00b", "long": "y" * 9999}
    (read,) = OPEN.alerts("am", payload(alert(labels=odd, generatorURL="javascript:alert(1)")))
    assert read.labels["x"] == "a\ufffd\ufffdb"
    assert len(read.labels["long"]) == 4096
    assert read.url == ""
    msgspec.json.encode(read)


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({}, "needs a token"),
        ({"token": "env:A", "insecure": True}, "contradict"),
        ({"token": "env:A", "username": "am", "password": "env:B"}, "not both"),
        ({"username": "am"}, "together"),
        ({"insecure": True, "previous_token": "env:A"}, "needs a current one"),
        ({"token": "plain-secret"}, "env:NAME"),
    ],
)
def test_a_hook_without_a_secret_does_not_start(fields: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValidationError, match=mistake):
        Alertmanager(type="alertmanager", **fields)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(alert())), json_values))
def test_any_alert_is_read_or_refused(changes: dict[str, Any]) -> None:
    with suppress(BadAlert):
        for read in OPEN.alerts("am", payload(alert(**changes))):
            msgspec.json.encode(read)


@given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(BadAlert):
        OPEN.alerts("am", body)
