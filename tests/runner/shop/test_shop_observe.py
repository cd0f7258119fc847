"""A real Prometheus and a real Alertmanager tell of a failing release, and of its end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from irkit.errors import IrkitError
from runner.demo.shop import Shop, observe
from runner.demo.shop.observe import Observatory

Until = Callable[..., None]


class Webhook(ThreadingHTTPServer):
    """Keeps what is posted to it with the right bearer; refuses the rest."""

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Post)
        self.token = token
        self.posts: list[dict[str, Any]] = []
        self.refused = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/alertmanager"

    def told(self, status: str) -> set[str]:
        """The services that an alert of this status arrived for."""
        alerts = [alert for post in self.posts for alert in post["alerts"]]
        return {alert["labels"]["service"] for alert in alerts if alert["status"] == status}


class _Post(BaseHTTPRequestHandler):
    server: Webhook

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] == f"Bearer {self.server.token}":
            self.server.posts.append(json.loads(body))
            self.send_response(202)
        else:
            self.server.refused += 1
            self.send_response(401)
        self.end_headers()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    server = Webhook("a-token-for-the-test")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_failing_release_is_told_and_its_end_too(
    shop: Shop, webhook: Webhook, tmp_path: Path, until: Until
) -> None:
    token = tmp_path / "token"
    token.write_text(webhook.token)
    with Observatory(tmp_path / "watch", shop.ports, webhook.url, token) as watch:
        watch.wait_ready()
        shop.deploy("checkout", "1.4.2")
        until(lambda: webhook.told("firing") == {"checkout", "frontend"}, within=60)
        assert webhook.told("resolved") == set()
        shop.deploy("checkout", "1.4.1")
        until(lambda: webhook.told("resolved") == {"checkout", "frontend"}, within=60)
    assert webhook.refused == 0
    for post in webhook.posts:
        assert post["version"] == "4"
        assert post["groupLabels"]["alertname"] == "HighErrorRate"
        assert post["commonLabels"]["signal"] == "error_rate"
        assert "of its requests with 5xx" in post["commonAnnotations"]["summary"]
    for file in (tmp_path / "watch").glob("*.*"):
        assert webhook.token not in file.read_text()


def test_the_programs_accept_what_is_rendered(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump(observe.alert_rules()))
    config = observe.prometheus_config({"checkout": 8001}, "127.0.0.1:9093", rules)
    (tmp_path / "p.yml").write_text(yaml.safe_dump(config))
    config = observe.alertmanager_config("http://127.0.0.1:8000/hooks/am", token)
    (tmp_path / "a.yml").write_text(yaml.safe_dump(config))
    for argv in (
        ["promtool", "check", "config", str(tmp_path / "p.yml")],
        ["amtool", "check-config", str(tmp_path / "a.yml")],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_rule_fires_for_each_service_by_itself_and_not_for_declined_cards(
    tmp_path: Path,
) -> None:
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(observe.alert_rules()))

    def series(service: str, code: str, step: int) -> dict[str, str]:
        labels = f'service="{service}",code="{code}",route="/",version="1"'
        return {"series": f"http_requests_total{{{labels}}}", "values": f"0+{step}x120"}

    alert = {
        "exp_labels": {"service": "checkout", "severity": "critical", "signal": "error_rate"},
        "exp_annotations": {
            "summary": "checkout answers 10% of its requests with 5xx",
            "description": "More than 5% of the requests to checkout failed over 25s, for 15s.",
        },
    }
    cases = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [
                    series("checkout", "200", 9),
                    series("checkout", "500", 1),
                    series("frontend", "200", 96),
                    series("frontend", "502", 4),
                    series("payments", "200", 5),
                    series("payments", "402", 5),
                ],
                "alert_rule_test": [
                    {"eval_time": "14s", "alertname": "HighErrorRate", "exp_alerts": []},
                    {"eval_time": "60s", "alertname": "HighErrorRate", "exp_alerts": [alert]},
                ],
            }
        ],
    }
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(cases))
    argv = ["promtool", "test", "rules", str(tmp_path / "cases.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


OWNER = """
import sys
from pathlib import Path
from runner.demo.shop.observe import Observatory
home = Path(sys.argv[1])
with Observatory(home, {}, "http://127.0.0.1:9/", home / "token"):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", ["owner", "guards"])
def test_both_programs_die_with_whoever_is_killed(
    killed: str,
    tmp_path: Path,
    until: Until,
    still_alive: Callable[[list[psutil.Process]], list[psutil.Process]],
) -> None:
    argv = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        guards = psutil.Process(owner.pid).children()
        processes = psutil.Process(owner.pid).children(recursive=True)
        assert (len(guards), len(processes)) == (2, 4)
        for process in guards if killed == "guards" else [psutil.Process(owner.pid)]:
            process.kill()
        until(lambda: not still_alive(processes), within=10)
        owner.kill()


def test_a_missing_program_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IrkitError, match="apt-get install prometheus prometheus-alertmanager"):
        Observatory(tmp_path, {}, "http://127.0.0.1:9/", tmp_path / "token").start()


def test_a_server_that_cannot_start_is_named(
    tmp_path: Path, running: Callable[..., list[psutil.Process]]
) -> None:
    (tmp_path / "prometheus").write_text("a file where the storage should be")
    with pytest.raises(IrkitError, match=r"see .*prometheus\.log"):
        Observatory(tmp_path, {}, "http://127.0.0.1:9/", tmp_path / "token").start()
    assert running(tmp_path) == []
