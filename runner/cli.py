"""The command `irkit`.  Each command lives in `runner/commands/`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from irkit.errors import IrkitError

COMMANDS = {
    "demo": ("runner.commands.demo:demo", "Watch an alert become a post-mortem; needs no servers."),
    "shop": ("runner.commands.demo:shop", "Start a small real system to break."),
    "init": (
        "runner.commands.setup:init",
        "Make a repository of your own: config, a runbook, its test, CI.",
    ),
    "check": (
        "runner.commands.setup:check",
        "Check the config, runbooks and what this machine can confine.",
    ),
    "route": ("runner.commands.setup:route", "Show where a sample alert would go, and why."),
    "serve": (
        "runner.commands.serve:serve",
        "The runner: receive alerts, run runbooks, ask, apply, verify.",
    ),
    "run": ("runner.commands.run:run", "Execute any notebook once, without a server."),
    "replay": ("runner.commands.run:replay", "Execute an incident's run again, offline."),
    "lab": ("runner.commands.run:lab", "Open JupyterLab on an incident's notebook."),
    "incidents": ("runner.commands.incidents:incidents", "List incidents."),
    "show": (
        "runner.commands.incidents:show",
        "Show an incident: state, times, runs, plans, timeline.",
    ),
    "ack": ("runner.commands.incidents:ack", "Take an incident."),
    "note": ("runner.commands.incidents:note", "Write a remark into the record."),
    "resolve": ("runner.commands.incidents:resolve", "Close an incident by hand."),
    "verify": ("runner.commands.incidents:verify", "Find what was changed in the record."),
    "postmortem": (
        "runner.commands.incidents:postmortem",
        "Write the post-mortem again after edits.",
    ),
    "approvals": (
        "runner.commands.approvals:approvals",
        "List the plans that wait for a decision.",
    ),
    "approve": ("runner.commands.approvals:approve", "Allow a plan."),
    "deny": ("runner.commands.approvals:deny", "Refuse a plan."),
}


class _Group(click.Group):
    """Loads a command when it is called, so that `irkit --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from importlib import import_module

        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as why:
            close = get_close_matches(args[0], COMMANDS, 1)
            if not close:
                raise
            raise click.UsageError(f"{why.message} Did you mean {close[0]!r}?", ctx) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", "-c", type=click.Path(path_type=Path), envvar="IRKIT_CONFIG",
    help="The config file; default: irkit.yaml here.",
)  # fmt: skip
@click.version_option(package_name="irkit")
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Incident response with notebooks: an alert becomes a post-mortem.

    \b
    Example:
      irkit demo
      irkit init my-runbooks && cd my-runbooks && irkit check && irkit serve
    """
    ctx.obj = config


def main(args: list[str] | None = None) -> Any:
    """Run the command line; errors are one sentence on standard error and an exit code."""
    try:
        return cli.main(args=args, prog_name="irkit", standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as why:
        why.show()
        sys.exit(why.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except IrkitError as why:
        click.echo(f"error: {why}", err=True)
        sys.exit(why.exit_code)
    except BrokenPipeError:
        # Whoever read has had enough; without this Python complains once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as why:
        click.echo(f"error: {why.strerror or why}: {why.filename or 'unknown file'}", err=True)
        sys.exit(1)
    except Exception as why:  # the boundary: a defect of ours is one sentence too
        if os.environ.get("IRKIT_DEBUG"):
            raise
        click.echo(
            f"error: a defect in irkit ({type(why).__name__}: {why}). Please report it; "
            "IRKIT_DEBUG=1 shows where it happened", err=True,
        )  # fmt: skip
        sys.exit(1)
