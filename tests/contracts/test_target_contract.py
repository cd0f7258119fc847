"""Every target, ours and the fake, against the same suite."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from irkit.integrations.script import Script
from irkit.testing.contracts import TARGET_CHECKS, TargetCase
from irkit.testing.fakes import FakeTarget

SECRET = "deploy-s3cret"

# A deploy script as people have them: it appends to a history after success, prints what it likes
# (even the credential), and does nothing for a key that it knows.
DEPLOY = """
import json, os, pathlib, sys
service, version, key, by, reason = sys.argv[1:6]
history = pathlib.Path("deploys.jsonl")
entries = [json.loads(line) for line in history.read_text().splitlines()]
print("using", os.environ["DEPLOY_TOKEN"])
if any(entry.get("key") == key for entry in entries):
    sys.exit(0)
entry = dict(time="2026-03-01T12:%02d:00Z" % len(entries), service=service, version=version,
             previous=entries[-1]["version"], key=key, by=by, reason=reason)
with history.open("a") as file:
    file.write(json.dumps(entry) + "\\n")
print("deployed with", os.environ["DEPLOY_TOKEN"])
"""


def script(home: Path) -> TargetCase:
    (home / "deploy.py").write_text(DEPLOY)
    first = [
        {"time": "2026-03-01T10:00:00Z", "service": "checkout", "version": "1.4.1"},
        {"time": "2026-03-01T11:00:00Z", "service": "checkout", "version": "1.4.2"},
    ]
    history = home / "deploys.jsonl"
    history.write_text("".join(json.dumps(one) + "\n" for one in first))

    def entries() -> list[dict]:
        return [json.loads(line) for line in history.read_text().splitlines()]

    command = [sys.executable, "deploy.py", "{service}", "{version}", "{key}", "{by}", "{reason}"]
    target = Script(
        type="script", apply=command, history="deploys.jsonl", environment=["DEPLOY_TOKEN"]
    )
    return TargetCase(
        target=target.anchored(home),
        action="rollback",
        service="checkout",
        arguments={"to": "previous"},
        state=lambda: entries()[-1]["version"],
        changes=lambda: len(entries()) - len(first),
        secrets=(SECRET,),
    )


def fake(home: Path) -> TargetCase:
    target = FakeTarget({"checkout": ["1.4.1", "1.4.2"]})
    return TargetCase(
        target=target,
        action="rollback",
        service="checkout",
        arguments={"to": "previous"},
        state=lambda: target.runs["checkout"][-1],
        changes=lambda: len(target.applied),
    )


@pytest.mark.parametrize("check", TARGET_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", [script, fake])
def test_target(case, check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", SECRET)
    check(case(tmp_path))
