"""Real Prometheus and Alertmanager drive `irkit serve` against a service that is not the shop."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from serving import SECRETS, Serving, irkit, until

HERE = Path(__file__).parent
PROMETHEUS_YML = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ["%(alertmanager)s"]}]}]}
scrape_configs:
  - job_name: lending
    static_configs: [{targets: ["%(library)s"]}]
"""
RULES_YML = """
groups:
  - name: library
    rules:
      - alert: LoansRefused
        expr: >-
          sum by (job) (rate(library_loans_total{outcome="refused"}[8s]))
          / sum by (job) (rate(library_loans_total[8s])) > 0.1
        for: 4s
        labels: {severity: critical}
        annotations: {summary: "{{ $value | humanizePercentage }} of loans are refused"}
"""
ALERTMANAGER_YML = """
route: {receiver: irkit, group_wait: 1s, group_interval: 2s}
receivers:
  - name: irkit
    webhook_configs:
      - url: %(hook)s
        http_config: {authorization: {credentials: "%(token)s"}}
"""
IRKIT_YML = """
integrations:
  alertmanager: {type: alertmanager, token: env:AM_TOKEN}
  metrics: {type: prometheus, url: "%(prometheus)s"}
  releases: {type: history, path: releases.jsonl}
  release-script:
    type: script
    apply: [%(python)s, %(script)s, %(home)s, "{service}", "{version}", "{key}", "{by}"]
    history: releases.jsonl
catalog:
  services:
    lending:
      owner: library
      tier: 1
      deploys: [releases]
      signals:
        refused_loans:
          source: metrics
          query: >-
            (sum(rate(library_loans_total{job="$service",outcome="refused"}[8s])) or vector(0))
            / sum(rate(library_loans_total{job="$service"}[8s]))
          unit: ratio
          limit: 0.1
          alerts: [LoansRefused]
      actions: {rollback: {integration: release-script}}
routes:
  - {match: 'alertname="LoansRefused"', runbook: high-error-rate,
     parameters: {signal: refused_loans, since: 5m}}
actions:
  rollback: {policy: approve, approvers: [ada], verify_hold: 4s, verify_every: 2s}
people:
  ada: {token: env:ADA_TOKEN}
  ben: {token: env:BEN_TOKEN}
server: {listen: "127.0.0.1:%(port)d"}
safety: {resolve_after: 4s}
"""


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def program(folder: Path, *command: str) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def release(home: Path, version: str, key: str) -> None:
    script = str(HERE / "release.py")
    subprocess.run(
        [sys.executable, script, str(home), "lending", version, key, "person:ci"], check=True
    )


def releases(home: Path) -> list[str]:
    lines = (home / "releases.jsonl").read_text().splitlines()
    return [json.loads(line)["version"] for line in lines]


def share_refused(prometheus: str) -> float | None:
    """The newest share of refused loans, once Prometheus has enough samples."""
    query = (
        'sum(rate(library_loans_total{outcome="lent"}[8s])) / sum(rate(library_loans_total[8s]))'
    )
    try:
        reply = httpx.get(f"{prometheus}/api/v1/query", params={"query": query})
        found = reply.json()["data"]["result"]
    except (httpx.HTTPError, ValueError, KeyError):
        return None
    return 1 - float(found[0]["value"][1]) if found else None


@pytest.fixture
def library(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The library under Prometheus and Alertmanager; its home, and Prometheus' address."""
    for name in ("prometheus", "prometheus-alertmanager"):
        assert shutil.which(name), f"install it: apt-get install {name}"
    (tmp_path / "release").write_text("8.2")
    release(tmp_path, "8.1", "release-8.1")
    release(tmp_path, "8.2", "release-8.2")
    alertmanager, prometheus, hooks = free_ports(3)
    with ExitStack() as stack:
        stack.enter_context(
            program(tmp_path, sys.executable, str(HERE / "lending.py"), str(tmp_path), "port")
        )
        desk = until(
            lambda: (tmp_path / "port").exists() and (tmp_path / "port").read_text(), "it lends"
        )
        names = {
            "library": f"127.0.0.1:{desk}",
            "alertmanager": f"127.0.0.1:{alertmanager}",
            "prometheus": f"http://127.0.0.1:{prometheus}",
            "hook": f"http://127.0.0.1:{hooks}/hooks/alertmanager",
            "token": SECRETS["AM_TOKEN"],
            "python": sys.executable,
            "script": HERE / "release.py",
            "home": tmp_path,
            "port": hooks,
        }
        for file, text in {
            "prometheus.yml": PROMETHEUS_YML % names,
            "rules.yml": RULES_YML,
            "alertmanager.yml": ALERTMANAGER_YML % names,
            "irkit.yaml": IRKIT_YML % names,
        }.items():
            (tmp_path / file).write_text(text)
        stack.enter_context(
            program(
                tmp_path, "prometheus-alertmanager", "--config.file=alertmanager.yml",
                "--storage.path=alertmanager", f"--web.listen-address=127.0.0.1:{alertmanager}",
                "--cluster.listen-address=",
            )
        )  # fmt: skip
        stack.enter_context(
            program(
                tmp_path, "prometheus", "--config.file=prometheus.yml",
                "--storage.tsdb.path=prometheus", "--rules.alert.resend-delay=4s",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            )
        )  # fmt: skip
        yield tmp_path, names["prometheus"]


def test_an_alert_becomes_one_approved_release_and_a_post_mortem(
    library: tuple[Path, str], serving: Callable[[Path], Serving]
) -> None:
    home, prometheus = library
    server = serving(home)
    until(lambda: share_refused(prometheus) is not None, "Prometheus has samples")
    # The runbook needs a `before`, and Prometheus drops alerts of its first seconds.
    until(lambda: history_seconds(prometheus) >= 15, "a quarter of a minute of good loans")
    release(home, "8.3", "release-8.3")

    headers = {"Authorization": f"Bearer {SECRETS['BEN_TOKEN']}"}

    def asked(path: str) -> Any:
        return httpx.get(f"{server.url}/api/v1{path}", headers=headers, trust_env=False).json()

    until(lambda: asked("/approvals"), "the run proposes an act", 60)
    plan = json.loads(irkit(home, "approvals", "--json").stdout)[0]
    assert plan["change"]["current"] == "8.3"
    assert plan["change"]["target"] == "8.2"
    assert plan["requester"] == "run:IR-1-r1"

    # The wrong people are refused, the right one decides at the running server.
    stranger = irkit(home, "approve", plan["id"], "--yes", token="token-of-nobody-at-all")
    assert stranger.returncode == 5, stranger.stderr
    other = irkit(home, "approve", plan["id"], "--yes", token=SECRETS["BEN_TOKEN"])
    assert other.returncode == 5, other.stderr
    assert releases(home) == ["8.1", "8.2", "8.3"]
    assert irkit(home, "ack", "IR-1", token=SECRETS["ADA_TOKEN"]).returncode == 0
    approved = irkit(home, "approve", plan["id"], "--yes", token=SECRETS["ADA_TOKEN"])
    assert approved.returncode == 0, approved.stderr

    until(lambda: asked("/incidents/IR-1")["state"] == "resolved", "the incident is resolved", 60)
    page = home / ".irkit" / "incidents" / "IR-1" / "postmortem.html"
    until(lambda: exported_last(home), "the post-mortem is written", 60)
    assert releases(home) == ["8.1", "8.2", "8.3", "8.2"]
    assert "LoansRefused" in page.read_text()
    events = json.loads(irkit(home, "show", "IR-1", "--json").stdout)["events"]
    kinds = [event["kind"] for event in events]
    assert kinds.count("action.applied") == 1
    verified = next(event for event in events if event["kind"] == "effect.verified")
    assert "lending recovered" in verified["text"]
    assert {e["by"] for e in events if e["kind"] == "approval.given"} == {"person:ada"}

    assert server.stop() == 0
    assert "Traceback" not in server.err.read_text() + server.out.read_text()
    intact = irkit(home, "verify", "IR-1")
    assert intact.returncode == 0, intact.stdout + intact.stderr


def exported_last(home: Path) -> bool:
    """Whether nothing happened since the post-mortem was written, and the second run ended."""
    incident = json.loads(irkit(home, "show", "IR-1", "--json").stdout)["incident"]
    return len(incident["runs"]) == 2 and incident["exported_seq"] >= incident["last_seq"]


def history_seconds(prometheus: str) -> float:
    """How long Prometheus has watched the library."""
    query = "count_over_time(library_loans_total{outcome='lent'}[5m])"
    reply = httpx.get(f"{prometheus}/api/v1/query", params={"query": query})
    found = reply.json()["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


def test_the_config_is_one_that_irkit_check_likes(
    library: tuple[Path, str], tmp_path: Path
) -> None:
    checked = irkit(tmp_path, "check", "--connect")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert yaml.safe_load((tmp_path / "irkit.yaml").read_text())["routes"]
