"""The ledger by hand: `irkit incidents show ack note resolve verify postmortem`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from irkit.clock import SystemClock
from irkit.errors import AlreadyRunning, LedgerBroken
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
from runner.stores import chain, kept
from runner.stores.database import Database
from runner.terminal import columns, labelled, table

_KINDS = {"bundle": "bundles of evidence", "looks.jsonl": "lists of the runner's own looks"}
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
    """Find any byte, event, tail or file that was changed; say what was compared and what was not.

    Files are a run's runbook, notebook, evidence and report, what the runner itself looked at, and
    the post-mortem.  Its notebook is yours to edit: that is told, and is no change of the record.

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
    try:
        with reading(config) as ledger:
            files = kept.compare(
                config.storage_path, ledger.state(incident), ledger.events(incident)
            )
    except LedgerBroken:
        if verdict.intact:  # another incident's events; of this one the chain has told all
            raise
        files = kept.Kept(unproven=("the files: the ledger that names them cannot be read",))
    broken = [*verdict.broken, *files.broken]
    value = {
        **msgspec.to_builtins(verdict),
        "same": list(files.same),
        "broken": broken,
        "edited": list(files.edited),
        "unproven": [*verdict.unproven, *files.unproven],
    }
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
    forms = [form.strip() for form in to.split(",")]
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
        click.echo(config.storage_path / name)


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


def _verdict(value: dict[str, Any]) -> str:
    width = columns()
    lines = [f"{value['incident']}: {value['events']} events, head {value['head']}"]
    lines += [labelled("CHANGED   ", text, width=width) for text in value["broken"]]
    lines += [labelled("edited    ", text, width=width) for text in value["edited"]]
    if not value["broken"]:
        text = f"{value['events']} events and their signed head; {_files(value['same'])}"
        lines.append(labelled("intact:   ", text, width=width))
    lines += [labelled("unproven  ", text, width=width) for text in value["unproven"]]
    return "\n".join(lines)


def _files(names: Sequence[str]) -> str:
    """How many of each kind of file: `2 of runbook.ipynb, 1 of postmortem.html`."""
    counts = Counter(name.rpartition("/")[2] for name in names)
    return ", ".join(f"{n} {_KINDS.get(name, name)}" for name, n in counts.items()) or "no files"


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
