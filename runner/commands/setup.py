"""`irkit init`, `check`, `route`: before anything happens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click

from irkit.config import Config
from irkit.errors import BadAlert, BadInput, ConfigError, IrkitError, LookFailed
from irkit.model.alert import Alert
from runner.commands.common import config_of, echo, json_option, missing_secrets, reading
from runner.decide.grouping import triage
from runner.decide.routing import choose
from runner.runs import confine, parameters
from runner.runs.runbooks import Runbooks
from runner.shipped import shipped


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Make a repository of your own: config, a runbook, its test, CI.

    \b
    Example:
      irkit init my-runbooks
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadInput("the folder is not empty", on=str(folder), next="name a new one")
    template = shipped("templates") / "init"
    for path in sorted(p for p in template.rglob("*") if p.is_file()):
        names = [re.sub(r"\Adot-", ".", name) for name in path.relative_to(template).parts]
        target = folder.joinpath(*names)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        click.echo(f"  {target.relative_to(folder)}")
    runbook = folder / "notebooks" / "my-error-rate.ipynb"
    runbook.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(shipped("notebooks") / "high-error-rate.ipynb", runbook)
    click.echo(f"  {runbook.relative_to(folder)}")
    click.echo(f"\nnext: cd {folder} && irkit check")


@click.command()
@click.option("--connect", is_flag=True, help="Try every integration too.")
@click.pass_context
def check(ctx: click.Context, connect: bool) -> None:
    """Check the config, routes, runbooks and their parameters, and what this machine can confine.

    \b
    Example:
      irkit check --connect
    """
    config = config_of(ctx)
    click.echo(f"config      {config.file}")
    counts = {
        "integration": len(config.integrations), "service": len(config.services.services),
        "route": len(config.routes), "person": len(config.people),
    }  # fmt: skip
    click.echo(f"            {', '.join(_counted(n, one) for one, n in counts.items())}")
    mistakes = list(_mistakes(config))
    missing = missing_secrets(config)
    if connect:
        mistakes += missing
    elif missing:
        click.echo("secrets     not set here, and `irkit serve` needs them:")
        for one in missing:
            click.echo(f"            {one}")
    held = confine.available()
    for name in ("files", "processes", "network", "memory", "cpu", "user"):
        click.echo(f"confined    {name}: {getattr(held, name)}")
    if not held.complete:
        click.echo(f"            missing: {'; '.join(held.missing)}")
        click.echo("            so automatic actions wait for a person, unless named in "
                   "safety.allow_unconfined")  # fmt: skip
    if connect:
        mistakes += _probes(config)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    click.echo("all is well")


@click.command()
@click.argument("alert", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--source", default="", help="The hook it comes to; default: one that reads it.")
@json_option
@click.pass_context
def route(ctx: click.Context, alert: Path, source: str, as_json: bool) -> None:
    """Show where a sample delivery would go, and why; runs nothing.

    \b
    Example:
      irkit route tests/alert.json
    """
    config = config_of(ctx)
    alerts = _read(config, source, alert.read_bytes())
    try:
        with reading(config) as ledger:
            known = [s for s in ledger.states() if s.state != "resolved"]
    except IrkitError:
        known = []  # no ledger yet: nothing is open
    rows = []
    for one in alerts:
        choice = choose(one, config.routing)
        decision = triage(one, known, config.routing, config.services)
        joins = f"joins {decision.join}" if decision.join else "opens an incident"
        rows.append(
            {
                "alert": one.name,
                "service": one.service,
                "severity": one.severity,
                "firing": one.firing,
                "steps": list(choice.steps),
                "runbook": choice.route.runbook,
                "outcome": joins if decision.join or decision.opened else "kept in the inbox only",
                "why": decision.why,
            }
        )
    echo(rows, as_json=as_json, text=lambda: "\n\n".join(map(_explained, rows)))


def _counted(number: int, one: str) -> str:
    many = {"person": "people"}.get(one, f"{one}s")
    return f"{number} {one if number == 1 else many}"


def _explained(row: dict[str, object]) -> str:
    steps = row["steps"]
    assert isinstance(steps, list)
    return "\n".join(
        [
            f"{row['alert']} on {row['service'] or 'no service'} ({row['severity']}, "
            f"{'firing' if row['firing'] else 'resolved'})",
            *(f"  {step}" for step in steps),
            f"  runbook: {row['runbook']}",
            f"  {row['outcome']}: {row['why']}",
        ]
    )


def _read(config: Config, source: str, body: bytes) -> tuple[Alert, ...]:
    hooks = {n: i for n, i in config.integrations.items() if hasattr(i, "authenticate")}
    if source and source not in hooks:
        raise BadInput("no such hook", on=source, next=f"configured: {', '.join(hooks) or 'none'}")
    if not hooks:
        from irkit.integrations.alertmanager import Alertmanager

        open_hook = {"type": "alertmanager", "insecure": True}
        hooks = {"alertmanager": Alertmanager.model_validate(open_hook)}
    errors = []
    for name, hook in hooks.items():
        if source and name != source:
            continue
        try:
            found: tuple[Alert, ...] = hook.alerts(name, body)
            return found
        except BadAlert as why:
            errors.append(f"{name}: {why}")
    raise BadAlert("no hook can read it", on="; ".join(errors))


def _mistakes(config: Config) -> Iterator[str]:
    runbooks = Runbooks((config.home / config.runs.notebooks,))
    for number, one in enumerate(config.routing, 1):
        where = f"{config.file.name}: routes.{number - 1}"
        try:
            declared = parameters.declared(runbooks.path(one.runbook))
            parameters.check(declared, one.parameters)
        except IrkitError as why:
            yield f"{where}: {why}"
        click.echo(f"route       {one.name or number}: {one.runbook}")
    for path in runbooks.all():
        try:
            names = ", ".join(parameters.declared(path)) or "no parameters"
            click.echo(f"runbook     {path.stem}: {names}")
        except IrkitError as why:
            yield f"{path}: {why}"


def _probes(config: Config) -> list[str]:
    failed = []
    for name, one in config.integrations.items():
        probe = getattr(one, "probe", None)
        if probe is None:
            continue
        try:
            click.echo(f"connect     {name}: {probe()}")
        except (LookFailed, ConfigError) as why:
            failed.append(f"integrations.{name}: {why}")
    return failed
