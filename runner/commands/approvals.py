"""`irkit approvals`, `approve`, `deny`: decisions, each with the person's own token."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from irkit.clock import SystemClock
from irkit.errors import BadInput, NotFound
from irkit.model.incident import IncidentState, PlanState
from irkit.text import one_line
from runner.commands.common import act, config_of, echo, json_option, reading, token_option
from runner.terminal import card_rows, columns, table


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
        waiting = [(p, s) for s in ledger.states() for p in s.plans if p.status == "waiting"]
    value = [{**msgspec.to_builtins(p.plan), "hash": p.plan.hash} for p, _ in waiting]
    echo(
        value, as_json=as_json,
        text=lambda: "\n\n".join(_card(*one) for one in waiting) or "nothing waits for a decision",
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
        found = next(((k, s) for s in ledger.states() if (k := s.plan(plan))), None)
    if found is None:
        raise NotFound("no such plan", on=plan, next="list them with: irkit approvals")
    known = found[0]
    click.echo(_card(*found))
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("a decision needs a yes", on=plan, next="add --yes, or use a terminal")
        click.confirm(f"\n{verb.capitalize()} it?", abort=True)
    answer: Any = act(
        config, token_file, f"/plans/{plan}/{verb}", {"plan_hash": known.plan.hash, "note": note}
    )
    if verb == "deny":
        click.echo(f"{plan}: denied")
        return
    with reading(config) as ledger:
        after = ledger.state(found[1].id).plan(plan) or known
    given, needed = len(after.approvers_so_far), after.plan.approvals_needed
    if after.status == "waiting":
        more = "one more is" if needed - given == 1 else f"{needed - given} more are"
        click.echo(f"{plan}: {given} of {needed} approvals given, {more} needed")
        return
    click.echo(f"{plan}: approved" + (f" ({given} of {needed})" if needed > 1 else ""))
    if answer.get("owed"):
        click.echo("no runner is running: it is applied when `irkit serve` starts")


def _card(known: PlanState, state: IncidentState) -> str:
    title = f"{state.id}  {one_line(known.plan.title)}"
    return f"{title}\n{table(card_rows(known, state, SystemClock().now()), width=columns())}"
