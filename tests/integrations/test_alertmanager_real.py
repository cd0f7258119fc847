"""The real Alertmanager delivers to a hook: its token, a firing alert, and the end of it."""

from __future__ import annotations

import queue
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from irkit.errors import Refused
from irkit.integrations.alertmanager import Alertmanager
from irkit.testing.servers import Asked, Said, http_server

TOKEN = "am-t0ken"
CONFIG = """
global: {resolve_timeout: 1h}
route: {receiver: web.hook, group_by: [alertname], group_wait: 100ms, group_interval: 1s}
receivers:
  - name: web.hook
    webhook_configs:
      - url: URL/hooks/am
        http_config: {authorization: {credentials_file: token}}
"""


@pytest.fixture
def delivered() -> Iterator[tuple[str, queue.Queue[Asked]]]:
    got: queue.Queue[Asked] = queue.Queue()

    def answer(asked: Asked) -> Said:
        got.put(asked)
        return Said(status=202)

    with http_server(answer) as url:
        yield url, got


@pytest.fixture
def alertmanager(tmp_path: Path, delivered: tuple[str, queue.Queue[Asked]]) -> Iterator[str]:
    if not shutil.which("prometheus-alertmanager"):
        pytest.fail("the tests need Alertmanager: apt-get install prometheus-alertmanager")
    (tmp_path / "am.yml").write_text(CONFIG.replace("URL", delivered[0]))
    (tmp_path / "token").write_text(TOKEN)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus-alertmanager",
                "--config.file=am.yml",
                "--storage.path=data",
                "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while True:
        with suppress(httpx.TransportError):  # it does not listen yet
            if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                break
        assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
        time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(10)


def test_a_real_delivery(
    alertmanager: str,
    delivered: tuple[str, queue.Queue[Asked]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AM_TOKEN", TOKEN)
    hook = Alertmanager(type="alertmanager", token="env:AM_TOKEN", receiver="web.hook")
    began = datetime.now(UTC).replace(microsecond=123456) - timedelta(minutes=1)
    labels = {"alertname": "HighErrorRate", "service": "checkout", "severity": "critical"}
    alert = {
        "labels": labels,
        "annotations": {"summary": 'so "odd" <b>\u00e9'},
        "startsAt": began.isoformat(),
    }

    def send(**more: str) -> None:
        reply = httpx.post(
            f"{alertmanager}/api/v2/alerts", json=[{**alert, **more}], trust_env=False
        )
        assert reply.status_code == 200, reply.text

    send()
    asked = delivered[1].get(timeout=30)
    assert asked.path == "/hooks/am"
    hook.authenticate(asked.headers, asked.body)
    with pytest.raises(Refused):
        hook.authenticate({**asked.headers, "authorization": "Bearer other"}, asked.body)
    (fired,) = hook.alerts("am", asked.body)
    assert (fired.firing, fired.name, fired.service, fired.severity) == (
        True,
        "HighErrorRate",
        "checkout",
        "SEV1",
    )
    assert fired.starts_at == began
    assert fired.ends_at is None
    assert fired.summary == 'so "odd" <b>\u00e9'

    ended = datetime.now(UTC)
    send(endsAt=ended.isoformat())
    (resolved,) = hook.alerts("am", delivered[1].get(timeout=30).body)
    assert not resolved.firing
    assert resolved.fingerprint == fired.fingerprint
    assert resolved.starts_at == fired.starts_at
    assert resolved.ends_at is not None
