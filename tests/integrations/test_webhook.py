"""The generic webhook: field paths, status words, times."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from irkit.errors import BadAlert
from irkit.integrations.webhook import Webhook

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def hook(**fields: str) -> Webhook:
    return Webhook(type="webhook", auth="none", insecure=True, fields=fields)


def test_its_own_names_stand_anywhere() -> None:
    made = hook(
        alerts="data.incidents",
        name="title",
        service="tags.0.service",
        severity="priority",
        status="state",
        starts_at="opened",
        fingerprint="id",
        labels="extra",
        summary="text",
    )
    one = {
        "title": "Disk full",
        "tags": [{"service": "payments"}],
        "priority": 2,
        "state": "OK",
        "opened": NOON.timestamp() * 1000,
        "id": 17,
        "extra": {"host": "db1"},
        "text": "92 %",
    }
    (alert,) = made.alerts("mine", json.dumps({"data": {"incidents": [one]}}).encode())
    assert (alert.name, alert.service, alert.severity) == ("Disk full", "payments", "SEV2")
    assert (alert.firing, alert.fingerprint, alert.starts_at) == (False, "17", NOON)
    assert alert.labels == {"alertname": "Disk full", "service": "payments", "host": "db1"}


@pytest.mark.parametrize("starts_at", [NOON.timestamp(), "2026-03-01T13:00:00+01:00"])
def test_one_alert_is_the_body_itself(starts_at: Any) -> None:
    (alert,) = hook().alerts("m", json.dumps({"name": "Down", "starts_at": starts_at}).encode())
    assert (alert.firing, alert.starts_at, alert.severity) == (True, NOON, "SEV3")
    assert len(alert.fingerprint) == 16


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"starts_at": 1}, "without name"),
        ({"name": "x"}, "without starts_at"),
        ({"name": "x", "starts_at": 1e300}, "not a time"),
        ({"name": "x", "starts_at": True}, "not a time"),
        ({"name": "x", "starts_at": 1, "status": "maybe"}, "neither firing nor resolved"),
        ({"name": {"a": 1}, "starts_at": 1}, "not a text"),
        (["x"], "not an object"),
        ("x", "not a list"),
    ],
)
def test_a_mistake_is_named(body: Any, words: str) -> None:
    with pytest.raises(BadAlert, match=words):
        hook().alerts("m", json.dumps(body).encode())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"auth": "none"},
        {"auth": "none", "insecure": True, "token": "env:A"},
        {"insecure": True, "token": "env:A"},
        {"auth": "hmac"},
        {"auth": "hmac", "token": "env:A", "signature_header": "a: b"},
    ],
)
def test_a_hook_without_a_secret_does_not_start(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Webhook(type="webhook", **fields)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


@given(
    st.dictionaries(
        st.sampled_from(["name", "starts_at", "ends_at", "status", "severity", "labels", "url"]),
        scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=3), scalars),
    )
)
def test_any_alert_is_read_or_refused(one: dict[str, Any]) -> None:
    with suppress(BadAlert):
        for read in hook().alerts("m", json.dumps({"name": "n", "starts_at": 1, **one}).encode()):
            msgspec.json.encode(read)
