"""Record the shop for the golden notebooks, and execute them: real servers, real releases.

    python tests/notebooks/record.py            # record (about four minutes), then execute
    python tests/notebooks/record.py --golden   # only execute the golden notebooks again

The shop runs under a real Prometheus; its looks go through the session that every notebook uses.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat

import irkit.evidence
from irkit.clock import SystemClock
from irkit.config import Config
from irkit.evidence.local import LocalSession
from irkit.incident import incident
from irkit.model import event as ev
from irkit.model.action import Plan, plan_key
from irkit.model.alert import Alert
from irkit.model.base import canonical
from irkit.model.event import Event, chain_hash
from runner.demo import setting
from runner.demo.shop import Shop
from runner.demo.shop.observe import Observatory

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parents[1] / "notebooks"
RECORDINGS = HERE / "recordings"
GOLDEN = HERE / "golden"
INCIDENT = "IR-1"

# golden notebook: runbook, recording, parameters
STORIES: dict[str, tuple[str, str, dict[str, str]]] = {
    "high-error-rate-diagnose": ("high-error-rate", "diagnose", {"since": "4m"}),
    "high-error-rate-after": ("high-error-rate", "after", {"since": "4m"}),
    "high-error-rate-quiet": ("high-error-rate", "quiet", {"since": "2m", "service": "checkout"}),
    "general-triage-quiet": ("general-triage", "quiet", {"since": "2m", "service": "checkout"}),
}


def main(arguments: list[str]) -> None:
    """Record unless told not to, then execute."""
    if "--golden" not in arguments:
        with tempfile.TemporaryDirectory() as folder:
            record(Path(folder))
    GOLDEN.mkdir(exist_ok=True)
    for name in STORIES:
        execute(name)
        print(f"executed {name}")


def record(home: Path) -> None:
    """One shop, three moments: all well, a bad release, and after its rollback."""
    bearer = home / "bearer"
    bearer.write_text("nobody listens")
    with Shop(home / "shop", seed=7) as shop:
        seen = Observatory(home / "seen", shop.ports, "http://127.0.0.1:9/", bearer)
        (home / "seen").mkdir()
        with seen:
            seen.wait_ready()
            config = setting.write(
                home / "config", prometheus=seen.prometheus_url, ports=shop.ports,
                listen="127.0.0.1:8400", shop=home / "shop",
            )  # fmt: skip
            pause(100, "all is well")
            keep(config, "quiet", ())
            shop.deploy("checkout", "1.4.2")
            pause(60, "a bad release is out")
            events = opened(config)
            keep(config, "diagnose", events)
            plan = planned(config, events)
            approved = datetime.now(UTC)
            shop.deploy("checkout", plan.change.target, by="system", key=plan.key)
            applied = datetime.now(UTC)
            pause(75, "it was rolled back")
            keep(config, "after", acted(config, events, plan, approved, applied))


def keep(config: Config, name: str, events: tuple[Event, ...]) -> None:
    """Let each golden notebook of this recording ask its questions, once, and keep the replies."""
    folder = RECORDINGS / name
    shutil.rmtree(folder, ignore_errors=True)
    session = LocalSession(
        config, incident=INCIDENT if events else "", events=events, clock=SystemClock(),
        folder=folder,
    )  # fmt: skip
    irkit.evidence.connect = lambda: session
    for runbook, recording, parameters in STORIES.values():
        if recording == name:
            names: dict[str, Any] = {}
            for cell in nbformat.read(NOTEBOOKS / f"{runbook}.ipynb", 4).cells:
                if cell.cell_type == "code":
                    exec(cell.source, names)
                    names |= parameters if "parameters" in cell.metadata.get("tags", ()) else {}
    session.seal()
    print(f"recorded {name}: {len(list(folder.glob('blobs/*')))} replies")


def opened(config: Config) -> tuple[Event, ...]:
    """The incident as triage opens it, from what Prometheus says fires."""
    session = LocalSession(config, folder=Path(tempfile.mkdtemp()) / "bundle")
    now = session.briefing.now
    inc = incident(service="checkout", since="90m", session=session)
    rate = inc.signal("error_rate").latest()
    alert = Alert(
        source="alertmanager", fingerprint="0" * 16, firing=True, name="HighErrorRate",
        starts_at=now - timedelta(seconds=20), service="checkout", signal="error_rate",
        severity="SEV1", summary=f"checkout answers {rate:.1%} of its requests with 5xx",
    )  # fmt: skip
    services = config.services.affected("checkout")
    body = ev.IncidentOpened(
        title="HighErrorRate on checkout", severity="SEV1", service="checkout", services=services,
        group="HighErrorRate", route="error-rate", runbook="high-error-rate", signal="error_rate",
    )  # fmt: skip
    at = now - timedelta(seconds=19)
    by = "hook:alertmanager"
    return chained((), (at, by, body), (at, by, ev.AlertFired(alert=alert, delivery="d1")))


def planned(config: Config, events: tuple[Event, ...]) -> Plan:
    """The rollback as the deploy script itself describes it."""
    arguments = {"to": "previous"}
    survey = config.integrations["deploy-script"].survey("rollback", "checkout", arguments)
    now = datetime.now(UTC)
    return Plan(
        id="P1", key=plan_key(INCIDENT, "rollback", "checkout", dict(arguments)),
        incident=INCIDENT, action="rollback", integration="deploy-script", target="checkout",
        arguments=dict(arguments), change=survey.change, blast=survey.blast, undo=survey.undo,
        approvers=("demo-oncall",), requester="run:IR-1-r1", made_at=now,
        expires_at=now + timedelta(minutes=15),
    )  # fmt: skip


def acted(
    config: Config, events: tuple[Event, ...], plan: Plan, approved: datetime, applied: datetime
) -> tuple[Event, ...]:
    """The incident after the rollback, with the verification's numbers as measured now."""
    session = LocalSession(config, events=events, folder=Path(tempfile.mkdtemp()) / "bundle")
    errors = incident(service="checkout", since="5m", session=session).signal("error_rate")
    outcome = ev.Outcome(
        status="applied", text=f"checkout runs {plan.change.target}",
        seconds=round((applied - approved).total_seconds(), 1),
    )  # fmt: skip
    verdict = ev.EffectVerified(
        plan=plan.id, verdict="recovered", service="checkout", signal="error_rate",
        before=errors.at(approved), after=errors.latest(), limit=setting.THRESHOLD, unit="ratio",
    )  # fmt: skip
    allowed = ev.ApprovalGiven(
        plan=plan.id, plan_hash=plan.hash, expires_at=plan.expires_at, note="looks right"
    )
    who = "person:demo-oncall"
    return chained(
        events,
        (plan.made_at, "run:IR-1-r1", ev.PlanMade(plan=plan)),
        (approved, who, ev.Acknowledged()),
        (approved, who, allowed),
        (approved, "system", ev.ActionStarted(plan=plan.id, key=plan.key)),
        (applied, "system", ev.ActionApplied(plan=plan.id, outcome=outcome)),
        (session.briefing.now, "system", verdict),
    )


def chained(
    events: tuple[Event, ...], *drafts: tuple[datetime, str, ev.AnyBody]
) -> tuple[Event, ...]:
    """The events with more of them at the end."""
    made = list(events)
    for at, by, body in drafts:
        prev, seq = (made[-1].hash if made else ev.GENESIS), len(made) + 1
        key = f"{body.kind()}:{seq}"
        head = chain_hash(prev, INCIDENT, seq, key, at, at, by, canonical(body))
        made.append(Event(
            incident=INCIDENT, seq=seq, key=key, at=at, recorded=at, by=by, body=body, prev=prev,
            hash=head,
        ))  # fmt: skip
    return tuple(made)


def golden_source(name: str) -> nbformat.NotebookNode:
    """The runbook as it stands now, with a cell that names the recording, and its parameters."""
    runbook, recording, parameters = STORIES[name]
    notebook = nbformat.read(NOTEBOOKS / f"{runbook}.ipynb", 4)
    source = f'import os\n\nos.environ["IRKIT_REPLAY"] = "../recordings/{recording}"'
    injected = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    cells = [_cell(source, "replay", "replay")]
    for cell in notebook.cells:
        cells.append(cell)
        if "parameters" in cell.metadata.get("tags", ()):
            cells.append(_cell(injected, "injected", "injected-parameters"))
    notebook.cells = cells
    return notebook


def execute(name: str) -> None:
    """Execute a golden notebook on its recording and keep its outputs."""
    from nbclient import NotebookClient

    notebook = golden_source(name)
    NotebookClient(notebook, resources={"metadata": {"path": str(GOLDEN)}}, timeout=120).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(notebook, GOLDEN / f"{name}.ipynb")


def pause(seconds: float, why: str) -> None:
    """Let real time pass: the shop is real."""
    print(f"{why}: {seconds:.0f} s", flush=True)
    time.sleep(seconds)


def _cell(source: str, id: str, tag: str) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell(source)
    cell["id"], cell["metadata"]["tags"] = id, [tag]
    return cell


if __name__ == "__main__":
    main(sys.argv[1:])
