"""Every alert source against the same suite."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from irkit.clock import SetClock
from irkit.integrations.alertmanager import Alertmanager
from irkit.integrations.webhook import Webhook
from irkit.testing.contracts import ALERT_CHECKS, AlertSourceCase

TOKEN = "h00k-token"
BODY = (
    Path(__file__).parents[1] / "integrations/replies/alertmanager/alerta-prometheus-v4-alert.json"
).read_bytes()
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLAIN = json.dumps({"name": "Down", "starts_at": "2026-03-01T11:59:00Z"}).encode()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def signed(key: str, stamp: int, body: bytes = PLAIN) -> dict[str, str]:
    mac = hmac.new(key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Irkit-Timestamp": str(stamp), "X-Irkit-Signature": mac}


NOW = int(NOON.timestamp())
WRONG_BEARERS = (
    bearer("another"),
    bearer(""),
    bearer(TOKEN + "x"),
    bearer("é\udcff"),
    {"Authorization": TOKEN},
    {"Authorization": f"Basic {TOKEN}"},
    {"X-Authorization": f"Bearer {TOKEN}"},
)

CASES = {
    "alertmanager, bearer": AlertSourceCase(
        source=Alertmanager(type="alertmanager", token="env:HOOK"),
        headers=bearer(TOKEN),
        body=BODY,
        wrong=WRONG_BEARERS,
        secrets=(TOKEN,),
    ),
    "alertmanager, previous bearer": AlertSourceCase(
        source=Alertmanager(type="alertmanager", token="env:NEXT", previous_token="env:HOOK"),
        headers=bearer(TOKEN),
        body=BODY,
        wrong=WRONG_BEARERS,
        secrets=(TOKEN,),
    ),
    "alertmanager, basic": AlertSourceCase(
        source=Alertmanager(type="alertmanager", username="am", password="env:HOOK"),
        headers=basic("am", TOKEN),
        body=BODY,
        wrong=(
            basic("am", "x"),
            basic("other", TOKEN),
            {"Authorization": "Basic ???"},
            bearer(TOKEN),
        ),
        secrets=(TOKEN,),
    ),
    "webhook, bearer": AlertSourceCase(
        source=Webhook(type="webhook", token="env:HOOK"),
        headers=bearer(TOKEN),
        body=PLAIN,
        wrong=WRONG_BEARERS,
        secrets=(TOKEN,),
    ),
    "webhook, hmac": AlertSourceCase(
        source=Webhook(type="webhook", auth="hmac", token="env:HOOK").at(SetClock(NOON)),
        headers=signed(TOKEN, NOW - 299),
        body=PLAIN,
        wrong=(
            signed("another", NOW),
            signed(TOKEN, NOW - 301),
            signed(TOKEN, NOW + 301),
            signed(TOKEN, -1),
            {**signed(TOKEN, NOW), "X-Irkit-Timestamp": str(NOW + 1)},
            {"X-Irkit-Signature": signed(TOKEN, NOW)["X-Irkit-Signature"]},
        ),
        secrets=(TOKEN,),
        signs_body=True,
    ),
}


@pytest.mark.parametrize("check", ALERT_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_alert_source(case, check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", TOKEN)
    monkeypatch.setenv("NEXT", "the-next-token")
    check(case)
