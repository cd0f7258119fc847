"""Every integration as it is written in irkit.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from irkit.config import IntegrationConfig, parse
from irkit.errors import ConfigError
from irkit.ports import AlertSource, MetricsSource, Source, Target
from irkit.registry import BUILTIN, integration

CONFIG = """
integrations:
  prom:
    type: prometheus
    url: https://prometheus.example.org/prefix/
    token: env:PROM_TOKEN
    headers: {X-Scope-OrgID: shop}
    timeout: 5s
    ca: certs/ca.pem
  logs: {type: jsonl, root: logs, glob: "*.jsonl"}
  deploys: {type: history, path: deploys.jsonl}
  repo: {type: git, path: repo, tags: "v*", services: {checkout: [src/checkout]}}
  health: {type: http, url: "http://127.0.0.1:8080"}
  deploy:
    type: script
    apply: [./deploy, "{service}", "{version}", "{key}"]
    plan: [./deploy, --plan, "{service}", "{version}"]
    lookup: [./deploy, --lookup, "{key}"]
    folder: bin
    history: deploys.jsonl
    environment: [DEPLOY_TOKEN]
    time_limit: 3m
  am: {type: alertmanager, token: "env:AM_TOKEN", previous_token: "file:/run/old"}
  hook:
    type: webhook
    auth: hmac
    token: env:HOOK_KEY
    fields: {alerts: data.alerts, name: title}
"""


def test_every_type_is_read_and_its_paths_start_at_the_config(tmp_path: Path) -> None:
    made = parse(CONFIG, file=tmp_path / "irkit.yaml").integrations
    assert {one.type for one in made.values()} == set(BUILTIN)
    assert made["prom"].url == "https://prometheus.example.org/prefix"
    assert made["prom"].ca == str(tmp_path / "certs/ca.pem")
    assert made["logs"].root == tmp_path / "logs"
    assert made["deploys"].path == tmp_path / "deploys.jsonl"
    assert made["repo"].path == tmp_path / "repo"
    assert made["deploy"].folder == tmp_path / "bin"
    assert made["deploy"].history == tmp_path / "deploys.jsonl"
    assert made["hook"].fields.alerts == "data.alerts"


@pytest.mark.parametrize("type_name", sorted(BUILTIN))
def test_every_field_says_what_it_is_for(type_name: str) -> None:
    kind = integration(type_name)
    assert issubclass(kind, IntegrationConfig)
    assert (kind.__doc__ or "").strip()
    for name, field in kind.model_fields.items():
        assert field.description, f"{type_name}.{name}"
        assert field.description.endswith((".", "?"))


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("prom", (Source, MetricsSource)),
        ("logs", (Source,)),
        ("deploys", (Source,)),
        ("repo", (Source,)),
        ("health", (Source,)),
        ("deploy", (Target,)),
        ("am", (AlertSource,)),
        ("hook", (AlertSource,)),
    ],
)
def test_every_type_has_its_ports(name: str, ports: tuple[type, ...], tmp_path: Path) -> None:
    made = parse(CONFIG, file=tmp_path / "irkit.yaml").integrations[name]
    for port in (Source, MetricsSource, Target, AlertSource):
        assert isinstance(made, port) is (port in ports)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("p: {type: prometheus, url: 'http://u:hunter2@p'}", "integrations.p.url"),
        ("p: {type: prometheus, url: 'http://p', token: hunter2}", "env:NAME"),
        (
            "p: {type: prometheus, url: 'http://p', headers: {Authorization: hunter2}}",
            "secret_headers",
        ),
        ("p: {type: prometheus, url: 'http://p', user: x}", "unknown key"),
        ("p: {type: jsonl, root: /x, glob: ../*}", "below root"),
        ("p: {type: script, apply: ['a {version}', '{key}'], history: h}", "whole word"),
        ("p: {type: script, aply: [x]}", "did you mean 'apply'"),
        ("p: {type: alertmanager}", "needs a token"),
        ("p: {type: webhook, auth: none}", "insecure"),
    ],
)
def test_a_mistake_says_where_and_what_to_do(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words) as failure:
        parse(f"integrations:\n  {line}\n", file=tmp_path / "irkit.yaml")
    assert "irkit.yaml: integrations.p" in str(failure.value)
    assert "hunter2" not in str(failure.value)
