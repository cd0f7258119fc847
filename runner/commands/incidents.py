"""The ledger by hand: `irkit incidents show ack note resolve verify postmortem`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from irkit.clock import SystemClock
from irkit.config import Config
from irkit.errors import AlreadyRunning, IrkitError, LedgerBroken
from irkit.evidence.bundle import Bundle
from irkit.model.event import PostmortemExported
from irkit.model.incident import IncidentState
from irkit.model.principal import SYSTEM
from irkit.model.times import four_times
from irkit.model.window import format_duration
from irkit.timeline import sentence
from runner.commands.common import (
    act,
    at_the_runner,
    config_of,
    echo,
    json_option,
    pick,
    reading,
    token_of,
    token_option,
    writing,
)
from runner.people import person_of
from runner.stores import chain
from runner.stores.database import Database
from runner.terminal import columns, labelled, table

WRITE_WITHIN = 180.0
"""Seconds that a running runner may take for a post-mortem; a PDF starts a browser."""


@click.command()
@click.option("--open", "only_open", is_flag=True, help="Leave the resolved ones out.")
@json_option
@click.pass_context
def incidents(ctx: click.Context, only_open: bool, as_json: bool) -> None:
    """List incidents, newest first.

    \b
    Example:
      irkit incidents --open
    """
    with reading(config_of(ctx)) as ledger:
        found = [s for s in reversed(ledger.states()) if not only_open or s.state != "resolved"]
    rows = [
        {
            "id": s.id, "severity": s.severity, "state": s.state, "title": s.title,
            "opened_at": s.opened_at, "acked_by": s.acked_by, "runs": len(s.runs),
            "waiting": sum(p.status == "waiting" for p in s.plans),
        }
        for s in found
    ]  # fmt: skip
    echo(rows, as_json=as_json, text=lambda: _table(rows) or "no incidents")


@click.command()
@click.argument("incident", default="")
@json_option
@click.pass_context
def show(ctx: click.Context, incident: str, as_json: bool) -> None:
    """Show an incident: state, the four times, runs, plans, timeline. Default: the newest.

    \b
    Example:
      irkit show IR-1
    """
    with reading(config_of(ctx)) as ledger:
        state = pick(ledger, incident)
        events = ledger.events(state.id)
    told = [
        {"seq": e.seq, "at": e.at, "kind": e.kind, "by": e.by, "text": sentence(e)} for e in events
    ]
    value = {
        "incident": msgspec.to_builtins(state),
        "times": [msgspec.to_builtins(s) for s in four_times(state)],
        "events": told,
    }
    echo(value, as_json=as_json, text=lambda: _shown(state, told))


@click.command()
@click.argument("incident")
@click.option("--note", "text", default="", help="A word to go with it.")
@token_option
@click.pass_context
def ack(ctx: click.Context, incident: str, text: str, token_file: Path | None) -> None:
    """Take an incident: others see that you have it.

    \b
    Example:
      IRKIT_TOKEN=... irkit ack IR-1
    """
    act(config_of(ctx), token_file, f"/incidents/{incident}/ack", {"note": text})
    click.echo(f"{incident} is acknowledged")


@click.command()
@click.argument("incident")
@click.argument("text")
@token_option
@click.pass_context
def note(ctx: click.Context, incident: str, text: str, token_file: Path | None) -> None:
    """Write a remark into the record.

    \b
    Example:
      irkit note IR-1 "payments confirms: no trouble on their side"
    """
    act(config_of(ctx), token_file, f"/incidents/{incident}/note", {"text": text})
    click.echo(f"noted on {incident}")


@click.command()
@click.argument("incident")
@click.option("--why", default="", help="What makes you say so.")
@token_option
@click.pass_context
def resolve(ctx: click.Context, incident: str, why: str, token_file: Path | None) -> None:
    """Close an incident by hand, whatever its alerts say.

    \b
    Example:
      irkit resolve IR-1 --why "the alert was a test"
    """
    act(config_of(ctx), token_file, f"/incidents/{incident}/resolve", {"note": why})
    click.echo(f"{incident} is resolved")


@click.command()
@click.argument("incident")
@click.option("--head", default="", help="A chain head printed elsewhere, such as a post-mortem.")
@json_option
@click.pass_context
def verify(ctx: click.Context, incident: str, head: str, as_json: bool) -> None:
    """Find any byte, event, tail, reply or notebook that was changed; say what cannot be proven.

    \b
    Example:
      irkit verify IR-1 --head 3f9a1c
    """
    config = config_of(ctx)
    database = Database(config.storage_path, writer=False)
    try:
        verdict = chain.verify(database, incident, printed_head=head)
    finally:
        database.close()
    broken = list(verdict.broken)
    try:
        with reading(config) as ledger:
            state = ledger.state(incident)
            exports = [e.body for e in ledger.events(incident)
                       if isinstance(e.body, PostmortemExported)]  # fmt: skip
        broken.extend(_changed_files(config, state, exports))
    except LedgerBroken:
        if not broken:  # another incident's events; of this one the chain has told all
            raise
    value = {**msgspec.to_builtins(verdict), "broken": broken}
    echo(value, as_json=as_json, text=lambda: _verdict(value))
    if broken:
        raise LedgerBroken(
            "1 thing was changed" if len(broken) == 1 else f"{len(broken)} things were changed",
            on=incident,
            next="compare with a backup",
        )


@click.command()
@click.argument("incident")
@click.option("--to", default="html,md", show_default=True, help="Any of html, md, pdf.")
@token_option
@click.pass_context
def postmortem(ctx: click.Context, incident: str, to: str, token_file: Path | None) -> None:
    """Write the post-mortem again after edits: your texts stay, facts are folded anew.

    The new files' hashes are recorded, in your name if IRKIT_TOKEN is set, so that `irkit verify`
    knows them.  While a runner is running it does the writing, and needs to know who you are.

    \b
    Example:
      irkit postmortem IR-1 --to html,md,pdf
    """
    from irkit.evidence.redact import Redactor
    from runner.export.job import Exports

    config = config_of(ctx)
    named = token_file is not None or bool(os.environ.get("IRKIT_TOKEN"))
    by = person_of(config, token_of(token_file)) if named else SYSTEM
    forms = to.split(",")
    try:
        with writing(config) as ledger:
            exports = Exports(config.storage_path, ledger, SystemClock(), Redactor.of(config))
            files = list(exports.again(incident, forms, by=by))
    except AlreadyRunning:
        answer = at_the_runner(
            config, token_of(token_file), f"/incidents/{incident}/postmortem", {"to": forms},
            seconds=WRITE_WITHIN,
        )  # fmt: skip
        files = list(answer["files"])
    for name in files:
        click.echo(config.storage_path / "incidents" / incident / name)


def _shown(state: IncidentState, told: list[dict[str, Any]]) -> str:
    width = columns()
    rows = [
        ("service", f"{state.service or 'unknown'}; affected: {', '.join(state.services)}"),
        ("has it", state.acked_by.removeprefix("person:") or "nobody yet"),
    ]
    for span in four_times(state):
        rows.append(
            (span.name, format_duration(span.length) if span.length is not None else span.unknown)
        )
    rows += [("run", f"{run.run} {run.status} {run.error}") for run in state.runs]
    rows += [("plan", f"{p.plan.id} {p.status}: {p.plan.title}") for p in state.plans]
    head = f"{state.id}  {state.severity}  {state.state}  "
    story = [labelled(f"  {e['at']:%Y-%m-%d %H:%M:%SZ}  ", e["text"], width=width) for e in told]
    return "\n".join(
        [
            labelled(head, state.title, width=width),
            table(rows, width=width, indent="  "),
            "",
            *story,
        ]
    )


def _changed_files(
    config: Config, state: IncidentState, exports: list[PostmortemExported]
) -> list[str]:
    """Replies, notebooks and post-mortems whose bytes are not those the ledger names."""
    found = []
    for run in state.runs:
        folder = config.storage_path / "runs" / run.run
        if run.bundle:
            found += _checked(f"{run.run}/bundle", lambda f=folder, r=run: _bundle(f, r.bundle))  # type: ignore[misc]
        if run.notebook:
            found += _checked(
                f"{run.run}/notebook.ipynb",
                lambda f=folder, r=run: _same(f / "notebook.ipynb", r.notebook),  # type: ignore[misc]
            )
    if exports:
        folder = config.storage_path / "incidents" / state.id
        newest = {name: digest for one in exports for name, digest in one.files.items()}
        for name, digest in newest.items():
            found += _checked(name, lambda f=folder, n=name, d=digest: _same(f / n, d))  # type: ignore[misc]
    return found


def _checked(name: str, check: Callable[[], None]) -> list[str]:
    try:
        check()
    except (IrkitError, OSError) as why:
        return [f"{name}: {why}"]
    return []


def _bundle(folder: Path, root: str) -> None:
    Bundle.open(folder / "bundle").verify(root)


def _same(path: Path, digest: str) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise LedgerBroken("its bytes were changed since the ledger named them", on=path.name)


def _verdict(value: dict[str, Any]) -> str:
    lines = [f"{value['incident']}: {value['events']} events, head {value['head']}"]
    lines += [f"CHANGED   {text}" for text in value["broken"]]
    lines += ["intact: every event, reply and notebook is as it was"] if not value["broken"] else []
    lines += [f"unproven  {text}" for text in value["unproven"]]
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]]) -> str:
    width = columns()
    return "\n".join(
        labelled(
            f"{r['id']:<7} {r['severity']} {r['state']:<9} {r['opened_at']:%Y-%m-%d %H:%MZ}  ",
            r["title"] + (f" [{r['waiting']} waiting for a decision]" if r["waiting"] else ""),
            width=width,
        )
        for r in rows
    )
