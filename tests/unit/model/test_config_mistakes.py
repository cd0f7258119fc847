"""irkit.yaml: each kind of mistake names file, path, value and cure; several at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from irkit.config import load, parse
from irkit.errors import ConfigError

GOOD = """
integrations:
  am: {type: alertmanager, insecure: true}
  metrics: {type: prometheus, url: "http://127.0.0.1:9090"}
  deploy: {type: script, apply: [deploy, "{version}", "{key}"], history: deploys.jsonl}
catalog:
  services:
    checkout:
      depends_on: [payments]
      signals: {error_rate: {source: metrics, query: up, limit: 0.05, alerts: [HighErrorRate]}}
      actions: {rollback: {integration: deploy}}
    payments: {}
routes:
  - {name: errors, match: 'alertname="HighErrorRate"', runbook: high-error-rate}
actions:
  rollback: {policy: approve, approvers: [oncall], expires: 15m, max_share: 0.5, verify_hold: 30s}
people:
  oncall: {token: "env:IRKIT_TOKEN"}
safety: {resolve_after: 2m}
"""
MISTAKES = {
    # what is written: (instead of, path, value or key, cure)
    "unknown section": ("people:", "peoples:", "peoples", "did you mean 'people'"),
    "unknown key": ("policy: approve", "policyy: approve", "actions.rollback.policyy", "'policy'"),
    "unknown key of an integration": ("url:", "uri:", "integrations.metrics.uri", "'url'"),
    "missing": ('url: "http://127.0.0.1:9090"', "", "integrations.metrics.url", "is missing"),
    "no type": ("type: prometheus, ", "", "integrations.metrics", "type: prometheus"),
    "unknown type": ("type: prometheus", "type: promethius", "metrics.type", "prometheus"),
    "a choice": ("policy: approve", "policy: maybe", "'maybe'", "write auto, approve or forbid"),
    "no unit": ("expires: 15m", "expires: 15", "actions.rollback.expires: 15", "such as 15m"),
    "no duration": ("expires: 15m", "expires: soon", "'soon'", "90m"),
    "out of range": ("max_share: 0.5", "max_share: 2", "rollback.max_share: 2", "less than"),
    "not a number": ("limit: 0.05", "limit: low", "error_rate.limit: 'low'", "number"),
    "not a list": ("depends_on: [payments]", "depends_on: payments", "depends_on", "list"),
    "a matcher": ("alertname=", "alertname==", "routes.0.match", "severity="),
    "a pattern": ('alertname="HighErrorRate"', 'alertname=~"("', "routes.0.match", "regular"),
    "a secret in the open": ("env:IRKIT_TOKEN", "hunter2-hunter2", "people.oncall.token", "env:"),
    "no such service": ("[payments]", "[paiments]", "'paiments'", "Add it to the catalog"),
    "no such source": ("source: metrics", "source: metrix", "'metrix'", "under integrations"),
    "no such target": ("{integration: deploy}", "{integration: gone}", "'gone'", "under"),
    "an action without rules": ("rollback: {policy", "restart: {policy", "rollback", "actions"),
    "nobody of that name": ("[oncall]", "[nobody]", "approvers: 'nobody'", "under people"),
    "a bad name": ("oncall: {token", "'on call': {token", "people", "pattern"),
    "given twice": ("people:", "safety: {}\npeople:", "'safety'", "twice"),
    "not YAML": ("people:", "people: [", "irkit.yaml:", "correct the line"),
}  # fmt: skip


def test_the_good_one(tmp_path: Path) -> None:
    config = parse(GOOD, file=tmp_path / "irkit.yaml")
    assert config.services.signal_of_alert("checkout", "HighErrorRate") == "error_rate"
    rules = config.policy.action("rollback")
    assert (rules.mode, rules.approvers, rules.max_share) == ("approve", ("oncall",), 0.5)
    assert (rules.hold_seconds, rules.within_seconds, rules.every_seconds) == (30, 300, 5)
    assert config.policy.resolve_after_seconds == 120
    assert config.routing[0].runbook == "high-error-rate"
    assert config.storage_path == (tmp_path / ".irkit").resolve()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_names_place_and_cure(mistake: str, tmp_path: Path) -> None:
    instead, written, place, cure = MISTAKES[mistake]
    assert instead in GOOD
    with pytest.raises(ConfigError) as why:
        parse(GOOD.replace(instead, written, 1), file=tmp_path / "irkit.yaml")
    said = str(why.value)
    assert "irkit.yaml" in said
    assert place in said, said
    assert cure in said, said
    assert "hunter2" not in said
    assert why.value.exit_code == 2


def test_several_mistakes_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("type: prometheus", "type: x").replace("policy: approve", "policy: maybe")
    with pytest.raises(ConfigError) as why:
        parse(text, file=tmp_path / "irkit.yaml")
    assert "integrations.metrics.type" in str(why.value)
    assert "actions.rollback.policy" in str(why.value)


@pytest.mark.parametrize("text", ["[]", "just words", "5"])
def test_not_a_mapping(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a mapping"):
        parse(text, file=tmp_path / "irkit.yaml")


@pytest.mark.parametrize("text", ["!!python/object:os.system {}", "a: !!python/name:os.system x"])
def test_no_objects_from_yaml(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not YAML"):
        parse(text, file=tmp_path / "irkit.yaml")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="irkit init"):
        load(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "bytes.yaml")


def test_no_file_is_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IRKIT_CONFIG", raising=False)
    config = load()
    assert config.integrations == {}
    assert config.runs.time_limit == timedelta(minutes=10)
    (tmp_path / "other.yaml").write_text("safety: {freeze: true}")
    monkeypatch.setenv("IRKIT_CONFIG", str(tmp_path / "other.yaml"))
    assert load().policy.freeze
