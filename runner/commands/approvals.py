"""`irkit approvals`, `approve`, `deny`: decisions, each with the person's own token."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from irkit.errors import BadInput, NotFound
from irkit.model.incident import PlanState
from runner.commands.common import act, config_of, echo, json_option, reading, token_option


@click.command()
@json_option
@click.pass_context
def approvals(ctx: click.Context, as_json: bool) -> None:
    """List the plans that wait for a decision.

    \b
    Example:
      irkit approvals
    """
    with reading(config_of(ctx)) as ledger:
        waiting = [p for s in ledger.states() for p in s.plans if p.status == "waiting"]
    value = [{**msgspec.to_builtins(p.plan), "hash": p.plan.hash} for p in waiting]
    echo(
        value, as_json=as_json,
        text=lambda: "\n\n".join(map(_card, waiting)) or "nothing waits for a decision",
    )  # fmt: skip


@click.command()
@click.argument("plan")
@click.option("--note", default="", help="A word to go with it.")
@click.option("--yes", is_flag=True, help="Do not ask again after showing the plan.")
@token_option
@click.pass_context
def approve(ctx: click.Context, plan: str, note: str, yes: bool, token_file: Path | None) -> None:
    """Show a plan and allow exactly what is shown; a plan that changes meanwhile is refused.

    \b
    Example:
      irkit approve P-48afb514
    """
    _decide(ctx, plan, "approve", note, yes, token_file)


@click.command()
@click.argument("plan")
@click.option("--note", default="", help="Why not.")
@click.option("--yes", is_flag=True, help="Do not ask again after showing the plan.")
@token_option
@click.pass_context
def deny(ctx: click.Context, plan: str, note: str, yes: bool, token_file: Path | None) -> None:
    """Show a plan and refuse it.

    \b
    Example:
      irkit deny P-48afb514 --note "the cause is elsewhere"
    """
    _decide(ctx, plan, "deny", note, yes, token_file)


def _decide(
    ctx: click.Context, plan: str, verb: str, note: str, yes: bool, token_file: Path | None
) -> None:
    config = config_of(ctx)
    with reading(config) as ledger:
        known = next((k for s in ledger.states() if (k := s.plan(plan))), None)
    if known is None:
        raise NotFound("no such plan", on=plan, next="list them with: irkit approvals")
    click.echo(_card(known))
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("a decision needs a yes", on=plan, next="add --yes, or use a terminal")
        click.confirm(f"\n{verb.capitalize()} it?", abort=True)
    answer: Any = act(
        config, token_file, f"/plans/{plan}/{verb}", {"plan_hash": known.plan.hash, "note": note}
    )
    click.echo(f"{plan}: {'approved' if verb == 'approve' else 'denied'}")
    if isinstance(answer, dict) and answer.get("owed"):
        click.echo("no runner is running: it is applied when `irkit serve` starts")


def _card(known: PlanState) -> str:
    plan = known.plan
    rows = [
        (plan.id, plan.title),
        ("change", plan.change.diff or f"{plan.change.current} -> {plan.change.target}"),
        ("reach", f"{plan.blast.instances} of {plan.blast.of} instances; "
         f"depended on by {', '.join(plan.blast.dependants) or 'nobody known'}"),
        ("why", plan.suspect or plan.reason or "not said"),
        ("against", plan.contrary or "nothing found"),
        ("gaps", "; ".join(plan.gaps) or "none"),
        ("undo", plan.undo.how or plan.undo.cannot),
        ("expires", f"{plan.expires_at:%H:%M:%SZ}, then nothing is applied"),
        ("asked by", plan.requester),
        ("state", known.status),
        ("hash", plan.hash),
    ]  # fmt: skip
    return "\n".join(f"{name:<11} {text}" for name, text in rows)
