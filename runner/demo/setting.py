"""The demo's irkit.yaml: the shop as a team would describe it."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

import yaml

from irkit.config import Config, parse
from runner.demo.shop.observe import THRESHOLD, WINDOW

APPROVER = "demo-oncall"
SERVICES = {"frontend": ("checkout",), "checkout": ("payments",), "payments": ()}
_WHY = ["--key", "{key}", "--by", "{by}", "--reason", "{reason}"]
_TIERS = {"frontend": 1, "checkout": 1, "payments": 2}


def write(home: Path, *, prometheus: str, ports: dict[str, int], listen: str, shop: Path) -> Config:
    """Write `home/irkit.yaml` and the two tokens beside it, and read it back.

    `prometheus` is the server's address, `ports` the services' ports, `shop` the shop's folder.
    """
    home.mkdir(parents=True, exist_ok=True)
    for name in ("alertmanager", APPROVER):
        token(home, name)
    content = _content(home, prometheus, ports, listen, shop)
    file = home / "irkit.yaml"
    file.write_text(
        "# Written by `irkit demo`: the shop, described as a team would describe its own system.\n"
        + yaml.safe_dump(content, sort_keys=False, width=100),
        encoding="utf-8",
    )
    return parse(file.read_text(encoding="utf-8"), file=file)


def token(home: Path, name: str) -> Path:
    """The file with the token of that name; made when it is not there, readable by you alone."""
    path = home / "tokens" / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path


def _content(
    home: Path, prometheus: str, ports: dict[str, int], listen: str, shop: Path
) -> dict[str, Any]:
    deploy = [sys.executable, "-m", "runner.demo.shop.deploy", "{service}", "{version}"]
    at_home = ["--home", str(shop)]
    return {
        "integrations": {
            "alertmanager": {
                "type": "alertmanager",
                "token": f"file:{token(home, 'alertmanager')}",
            },
            "metrics": {"type": "prometheus", "url": prometheus},
            "logs": {"type": "jsonl", "root": str(shop / "logs"), "glob": "*.jsonl"},
            "deploys": {"type": "history", "path": str(shop / "deploys.jsonl")},
            "deploy-script": {
                "type": "script",
                "plan": [*deploy, *at_home, "--plan"],
                "apply": [*deploy, *at_home, *_WHY],
                "history": str(shop / "deploys.jsonl"),
            },
            **{
                f"{name}-http": {"type": "http", "url": f"http://127.0.0.1:{ports.get(name, 9)}"}
                for name in SERVICES
            },
        },
        "catalog": {"services": {name: _service(name, calls) for name, calls in SERVICES.items()}},
        "routes": [
            {
                "name": "error-rate",
                "match": 'alertname="HighErrorRate"',
                "runbook": "high-error-rate",
                "group_by": ["alertname"],
            }
        ],
        "actions": {
            "rollback": {
                "policy": "approve",
                "approvers": [APPROVER],
                "expires": "15m",
                "max_per_hour": 2,
                "cooldown": "10m",
            }
        },
        "people": {APPROVER: {"token": f"file:{token(home, APPROVER)}"}},
        "server": {"listen": listen},
        "storage": {"path": "state"},
    }


def _service(name: str, calls: tuple[str, ...]) -> dict[str, Any]:
    requests = f'http_requests_total{{service="$service"}}[{WINDOW}]'
    failed = f'http_requests_total{{service="$service",code=~"5.."}}[{WINDOW}]'
    seconds = f'http_request_duration_seconds_bucket{{service="$service"}}[{WINDOW}]'
    return {
        "owner": "shop",
        "tier": _TIERS[name],
        "environment": "demo",
        "depends_on": list(calls),
        "logs": "logs",
        "logs_match": f'service="{name}"',
        "deploys": ["deploys"],
        "health": f"{name}-http/healthz",
        "signals": {
            "error_rate": {
                "source": "metrics",
                "query": f"(sum(rate({failed})) or vector(0)) / sum(rate({requests}))",
                "unit": "ratio",
                "limit": THRESHOLD,
                "alerts": ["HighErrorRate"],
            },
            "request_rate": {
                "source": "metrics",
                "query": f"sum(rate({requests}))",
                "unit": "requests/s",
            },
            "latency_p95": {
                "source": "metrics",
                "query": f"histogram_quantile(0.95, sum by (le) (rate({seconds})))",
                "unit": "seconds",
            },
        },
        "actions": {"rollback": {"integration": "deploy-script"}},
    }
