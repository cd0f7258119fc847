"""A runner with an incident in a chosen state, for the tests of the pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from irkit.clock import SetClock
from irkit.config import parse
from irkit.evidence.recorder import Recorder
from irkit.model import event as ev
from irkit.model.action import BlastRadius, Change, Check, Outcome, Plan, Undo
from irkit.model.event import Draft
from irkit.model.finding import Finding, Gap, RuledOut, Suspect
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.ports import Raw
from runner.service import Runner

START = datetime(2026, 3, 1, 14, 2, 7, tzinfo=UTC)
TOKENS = {"ada": "token-of-ada", "ben": "token-of-ben", "eve": "token-of-eve"}
HOOK_TOKEN = "token-of-the-hook"
CONFIG = """
integrations:
  am: {type: alertmanager, token: env:SCENE_HOOK}
catalog:
  services:
    checkout: {owner: shop, tier: 1, environment: prod-eu, depends_on: [payment]}
    payment: {owner: pay, tier: 1}
    storefront: {depends_on: [checkout]}
actions:
  rollback: {policy: approve, approvers: [ada, ben]}
  restart: {policy: approve, approvals: 2}
people:
  ada: {token: env:SCENE_ADA}
  ben: {token: env:SCENE_BEN}
  eve: {token: env:SCENE_EVE}
storage: {path: storage}
server: {max_body_kb: 64}
"""


def environment() -> dict[str, str]:
    """The secrets that the config names."""
    return {"SCENE_HOOK": HOOK_TOKEN} | {f"SCENE_{n.upper()}": t for n, t in TOKENS.items()}


def runner_in(folder: Path, clock: SetClock | None = None, config: str = CONFIG) -> Runner:
    """A runner that is not started: nothing happens in it but what a test does."""
    return Runner(
        parse(config, file=folder / "irkit.yaml"),
        clock=clock or SetClock(START + timedelta(minutes=3)),
    )


def body(
    *, status: str = "firing", name: str = "HighErrorRate", starts: str = "2026-03-01T14:02:07Z",
    labels: Mapping[str, str] | None = None, summary: str = "30 % of checkouts fail",
) -> bytes:  # fmt: skip
    """What Alertmanager posts."""
    alert: dict[str, Any] = {
        "status": status,
        "labels": {"alertname": name, "service": "checkout", "severity": "critical",
                   "signal": "error_rate", **(labels or {})},
        "annotations": {"summary": summary},
        "startsAt": starts,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "",
    }  # fmt: skip
    return json.dumps({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status,
        "receiver": "irkit", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "", "alerts": [alert],
    }).encode()  # fmt: skip


def opened(runner: Runner, **given: Any) -> str:
    """An incident, opened by a delivered alert."""
    headers = {"authorization": f"Bearer {HOOK_TOKEN}"}
    runner.intake.receive("am", headers, body(**given)).result()
    runner.intake.triage_waiting()
    state = runner.ledger.newest_open()
    assert state
    return state.id


def append(runner: Runner, incident: str, body: ev.AnyBody, by: str = "system", **at: Any) -> None:
    """One event more."""
    seq = runner.ledger.state(incident).last_seq
    now = at.get("at") or runner.clock.now()
    runner.ledger.append(incident, Draft(key=f"scene:{seq}", at=now, by=by, body=body))


def diagnosed(runner: Runner, incident: str) -> None:
    """A run that found a suspect, ruled one out, and could not see the logs."""
    run = f"{incident}-r1"
    start = START + timedelta(seconds=1)
    append(runner, incident, ev.RunStarted(
        run=run, ordinal=1, attempt=1, purpose="diagnose", runbook="high-error-rate", now=start,
        because="opened",
    ), at=start)  # fmt: skip
    gap = Gap(what="search on logs", why="connection refused", cannot_say="what payment logged")
    append(runner, incident, ev.GapFound(run=run, source="logs", gap=gap), f"run:{run}")
    append(runner, incident, ev.SuspectsNamed(
        run=run,
        suspects=(
            Suspect(
                rank=1, service="checkout", strength=0.86, change="2.40 -> 2.41",
                change_at=START - timedelta(minutes=4),
                sentence="checkout 2.41 probably broke it: errors rose 40 s after its deploy",
                findings_for=(
                    Finding(kind="moved", sentence="error_rate of checkout rose", before=0.004,
                            after=0.304, unit="ratio", evidence=("L1",)),
                    Finding(kind="log_pattern", sentence="new line: 'card token is None'",
                            evidence=("L4",)),
                    Finding(kind="change", sentence="2.41 was deployed 40 s before",
                            evidence=("L5",)),
                ),
                findings_against=(
                    Finding(kind="callee", sentence="payment latency rose 3 s earlier",
                            before=0.08, after=0.21, unit="s", evidence=("L2",)),
                ),
            ),
            Suspect(rank=2, service="payment", strength=0.1, sentence="payment slowed down"),
        ),
        ruled_out=(RuledOut(what="storefront", why="its errors follow checkout's"),),
        gaps=(gap,),
        onset=START - timedelta(minutes=3, seconds=20),
        method="test",
    ), f"run:{run}")  # fmt: skip
    append(runner, incident, ev.RunFinished(
        run=run, attempt=1, status="succeeded", seconds=4.2, looks=9, gaps=1, confined="yes",
    ))  # fmt: skip


def bundled(runner: Runner, incident: str) -> None:
    """The evidence of the run: L1 is the error rate, which jumps when 2.41 is out."""
    start = START - timedelta(minutes=20)
    values = [
        [start.timestamp() + 15 * n, "0.304" if n > 66 else f"0.00{3 + n % 3}"] for n in range(80)
    ]
    reply = {"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {"route": "/pay <b>"}, "values": values}]}}  # fmt: skip
    request = Request(
        source="prom", op="range", arguments={"query": "error_rate{}", "step": 15},
        window=Window(start=start, end=START),
    )  # fmt: skip
    recorder = Recorder(
        runner.runs.folder_of(f"{incident}-r1") / "bundle", now=START, clock=runner.clock
    )
    recorder.look(request, lambda _request: Raw(body=json.dumps(reply).encode()), "prometheus")
    recorder.seal()
    recorder.close()


def plan_of(runner: Runner, incident: str, **changes: Any) -> Plan:
    """The rollback that the run asked for."""
    now = runner.clock.now()
    given: dict[str, Any] = {
        "id": "P-1a2b3c4d", "key": "k1", "incident": incident, "action": "rollback",
        "integration": "deploys", "target": "checkout",
        "change": Change(what="checkout", current="2.41", target="2.40",
                         diff="-image: checkout:2.41\n+image: checkout:2.40"),
        "blast": BlastRadius(instances=3, of=3, dependants=("storefront",), environment="prod-eu"),
        "undo": Undo(how="deploy 2.41 again", action="deploy", seconds=40),
        "check": Check(service="checkout", signal="error_rate", limit=0.05, unit="ratio"),
        "approvers": ("ada", "ben"), "bounds": ("at most 3 an hour on checkout",),
        "requester": f"run:{incident}-r1", "suspect": "checkout 2.40 -> 2.41", "strength": 0.86,
        "gaps": ("logs of payment: connection refused",), "evidence": ("L1", "L4", "L5"),
        "made_at": now, "expires_at": now + timedelta(minutes=15),
    }  # fmt: skip
    return Plan(**(given | changes))


def planned(runner: Runner, incident: str, **changes: Any) -> Plan:
    """The plan, waiting."""
    plan = plan_of(runner, incident, **changes)
    append(runner, incident, ev.PlanMade(plan=plan), plan.requester)
    return plan


def recovered(runner: Runner, incident: str, plan: Plan) -> None:
    """What the runner writes after an approval: applied, looked at, verified."""
    append(runner, incident, ev.ActionStarted(plan=plan.id, key=plan.key))
    outcome = Outcome(status="applied", text="checkout runs 2.40", before="2.41", after="2.40")
    append(runner, incident, ev.ActionApplied(plan=plan.id, outcome=outcome))
    append(runner, incident, ev.EffectChecked(plan=plan.id, number=1, value=0.2, text="too early"))
    append(runner, incident, ev.EffectVerified(
        plan=plan.id, verdict="recovered", service="checkout", signal="error_rate", before=0.304,
        after=0.003, limit=0.05, unit="ratio", text="under its limit for 20s",
    ))  # fmt: skip
