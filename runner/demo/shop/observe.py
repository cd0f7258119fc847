"""Watches a shop with a real Prometheus and a real Alertmanager, on loopback.

Sources: https://prometheus.io/docs/prometheus/latest/configuration/configuration/ and
https://prometheus.io/docs/alerting/latest/configuration/
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from irkit.errors import IrkitError
from runner.demo.shop.lifeline import environment, python

PROGRAMS = ("prometheus", "prometheus-alertmanager")
INSTALL = "apt-get install prometheus prometheus-alertmanager"
READY_WITHIN = 30.0
"""Seconds for both servers to start and to have seen every target once."""
STARTS = 3
"""Times to start, with new ports each time: another process may take a port that was free."""
STOP_WITHIN = 6.0
POLL = 0.1
# A proxy of the environment is for other machines: it does not reach this one's loopback.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

THRESHOLD = 0.05
"""Share of a service's requests answered with 5xx that is too much."""
WINDOW = "25s"
PENDING = "15s"
SHARE_OF_5XX = (
    'sum by (service) (rate(http_requests_total{code=~"5.."}[' + WINDOW + "]))"
    " / sum by (service) (rate(http_requests_total[" + WINDOW + "]))"
)


def prometheus_config(shop: Mapping[str, int], alertmanager: str, rules: Path) -> dict[str, Any]:
    """Scrape each service of the shop every second; `alertmanager` is "host:port"."""
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {
                "job_name": "shop",
                # The services name themselves; the label here is for `up` and other series that
                # Prometheus makes.
                "honor_labels": True,
                "static_configs": [
                    {"targets": [f"127.0.0.1:{port}"], "labels": {"service": service}}
                    for service, port in shop.items()
                ],
            }
        ],
    }


def alert_rules() -> dict[str, Any]:
    """One rule for every service: too large a share of its answers are 5xx."""
    return {
        "groups": [
            {
                "name": "shop",
                "rules": [
                    {
                        "alert": "HighErrorRate",
                        "expr": f"{SHARE_OF_5XX} > {THRESHOLD}",
                        "for": PENDING,
                        "labels": {"severity": "critical", "signal": "error_rate"},
                        "annotations": {
                            "summary": "{{ $labels.service }} answers "
                            "{{ $value | humanizePercentage }} of its requests with 5xx",
                            "description": f"More than {THRESHOLD:.0%} of the requests to "
                            f"{{{{ $labels.service }}}} failed over {WINDOW}, for {PENDING}.",
                        },
                    }
                ],
            }
        ]
    }


def alertmanager_config(webhook_url: str, bearer_file: Path) -> dict[str, Any]:
    """Post each service's alert by itself, soon, once, and again when it is over."""
    return {
        "route": {
            "receiver": "irkit",
            "group_by": ["alertname", "service"],
            "group_wait": "1s",
            "group_interval": "5s",
            "repeat_interval": "1h",
        },
        "receivers": [
            {
                "name": "irkit",
                "webhook_configs": [
                    {
                        "url": webhook_url,
                        "send_resolved": True,
                        "http_config": {
                            "authorization": {
                                "type": "Bearer",
                                "credentials_file": str(bearer_file.resolve()),
                            }
                        },
                    }
                ],
            }
        ],
    }


class Observatory:
    """A real Prometheus that watches `shop_targets` and an Alertmanager that posts to a webhook.

    `shop_targets` is service -> loopback port. Files lie in `home`; the ports are free ones. The
    webhook's secret stays in `webhook_bearer_file`, which Alertmanager reads itself. Both servers
    end with the `with` block, or with the process that holds it. Raises IrkitError with the
    install line when a program is missing.

    Example:
        >>> with Observatory(home, shop.ports, url, token_file) as seen:    # doctest: +SKIP
        ...     seen.wait_ready()
        ...     print(seen.prometheus_url)
    """

    def __init__(
        self,
        home: Path,
        shop_targets: Mapping[str, int],
        webhook_url: str,
        webhook_bearer_file: Path,
    ) -> None:
        self.home = home.resolve()
        self.prometheus_url = self.alertmanager_url = ""
        self._targets = dict(shop_targets)
        self._webhook, self._bearer_file = webhook_url, webhook_bearer_file
        self._guards: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Observatory:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start both servers and return when they answer; `wait_ready` waits for more."""
        for program in PROGRAMS:
            if not shutil.which(program):
                raise IrkitError("a program is missing", on=program, next=INSTALL)
        try:
            for _ in range(STARTS):
                self._launch()
                if self._wait(self._both_answer):
                    return
                self.stop()
        except BaseException:
            self.stop()
            raise
        raise self._not_ready("Prometheus and Alertmanager did not start")

    def wait_ready(self) -> None:
        """Return when an alert that fires now would arrive.

        That is when every target has been scraped and Prometheus has found its Alertmanager, which
        it looks for every five seconds; alerts that fire before are lost. Raises IrkitError.
        """
        if not self._wait(self._sees_everything):
            raise self._not_ready("Prometheus does not see the shop and its Alertmanager")

    def stop(self) -> None:
        """End both servers; harmless when they are stopped already."""
        guards, self._guards = self._guards, {}
        for guard in guards.values():
            assert guard.stdin is not None
            guard.stdin.close()
        for guard in guards.values():
            try:
                guard.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                guard.kill()
                guard.wait()

    def _launch(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        prometheus, alertmanager = (f"127.0.0.1:{port}" for port in _free_ports(2))
        rules = self._write("rules.yml", alert_rules())
        config = prometheus_config(self._targets, alertmanager, rules)
        self._run(
            "prometheus",
            f"--config.file={self._write('prometheus.yml', config)}",
            f"--storage.tsdb.path={self.home / 'prometheus'}",
            "--storage.tsdb.retention.time=2d",
            f"--web.listen-address={prometheus}",
            f"--web.external-url=http://{prometheus}",
            # The default is a minute: an alert whose first sending fails would come too late.
            "--rules.alert.resend-delay=5s",
            "--log.level=warn",
        )
        config = alertmanager_config(self._webhook, self._bearer_file)
        self._run(
            "prometheus-alertmanager",
            f"--config.file={self._write('alertmanager.yml', config)}",
            f"--storage.path={self.home / 'alertmanager'}",
            f"--web.listen-address={alertmanager}",
            f"--web.external-url=http://{alertmanager}",
            "--cluster.listen-address=",  # one server; it opens no port for others
            "--log.level=warn",
        )
        self.prometheus_url = f"http://{prometheus}"
        self.alertmanager_url = f"http://{alertmanager}"

    def _run(self, program: str, *arguments: str) -> None:
        with (self.home / f"{program}.log").open("ab") as log:
            self._guards[program] = subprocess.Popen(
                python("guard", "--parent", str(os.getpid()), "--", program, *arguments),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment(),
                cwd=self.home,
                start_new_session=True,  # Ctrl-C is for the owner
            )

    def _write(self, name: str, config: dict[str, Any]) -> Path:
        path = self.home / name
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return path

    def _wait(self, seen: Callable[[], bool]) -> bool:
        """Poll until `seen`; False when the time is over or a server has ended."""
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            if any(guard.poll() is not None for guard in self._guards.values()):
                return False
            if seen():
                return True
            time.sleep(POLL)
        return False

    def _both_answer(self) -> bool:
        urls = (self.prometheus_url, self.alertmanager_url)
        return all(_get(f"{url}/-/ready") is not None for url in urls)

    def _sees_everything(self) -> bool:
        targets = _get(f"{self.prometheus_url}/api/v1/targets?state=active")
        senders = _get(f"{self.prometheus_url}/api/v1/alertmanagers")
        if targets is None or senders is None:
            return False
        health = [target["health"] for target in json.loads(targets)["data"]["activeTargets"]]
        found = json.loads(senders)["data"]["activeAlertmanagers"]
        return health == ["up"] * len(self._targets) and bool(found)

    def _not_ready(self, what: str) -> IrkitError:
        logs = ", ".join(str(self.home / f"{program}.log") for program in PROGRAMS)
        return IrkitError(what, on=str(self.home), next=f"see {logs}")


def _get(url: str) -> bytes | None:
    """The body of a GET on loopback, or None while the server does not answer with success."""
    try:
        with _DIRECTLY.open(url, timeout=2) as reply:
            body: bytes = reply.read()
            return body
    except OSError:
        return None


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
