"""docs/commands.md, from the command line itself."""

from __future__ import annotations

import click

from irkit import errors
from pages import NOTICE, table
from runner.cli import COMMANDS, cli

ENVIRONMENT = {
    "IRKIT_CONFIG": "The config file, where `--config` is not given.",
    "IRKIT_TOKEN": "Your own token, where `--token-file` is not given.",
    "IRKIT_DEBUG": "Set to 1: an internal error also prints its traceback, for a report.",
    "IRKIT_SESSION": "Set by the runner: the file that tells a notebook where its session is.",
    "IRKIT_REPLAY": "A bundle that answers a notebook's looks; then no source is asked.",
}
CODES = {
    0: "It was done.",
    130: "Stopped with Ctrl-C.",
    141: "Whoever read the output stopped reading.",
}


def page() -> str:
    """The whole page."""
    summaries = [(f"[`{name}`](#irkit-{name})", text) for name, (_, text) in COMMANDS.items()]
    parts = [
        NOTICE,
        "# Commands",
        "Every command has `--help` with an example, and works without a terminal. Where it prints"
        " data, `--json` prints it for programs. Progress and errors go to standard error.",
        table(("command", "what it does"), summaries),
        "Options of `irkit` itself stand before the command: `irkit --config prod.yaml check`.",
        _block(cli, "irkit"),
    ]
    for name in COMMANDS:
        parts += [f"## irkit {name}", _block(_command(name), f"irkit {name}")]
    parts += [
        "## Environment variables",
        table(("variable", "what it is for"), [(f"`{n}`", t) for n, t in ENVIRONMENT.items()]),
        "## Exit codes",
        table(("code", "meaning"), [(str(code), text) for code, text in sorted(_codes().items())]),
        "What each error means: [errors.md](errors.md).",
    ]
    return "\n\n".join(parts) + "\n"


def _command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def _block(command: click.Command, name: str) -> str:
    context = click.Context(
        command, info_name=name, terminal_width=88, max_content_width=88,
        help_option_names=["-h", "--help"],
    )  # fmt: skip
    return f"```text\n{command.get_help(context)}\n```"


def _codes() -> dict[int, str]:
    found: dict[int, list[str]] = {}
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.IrkitError):
            found.setdefault(kind.exit_code, []).append(f"`{kind.__name__}`")
    named = {code: ", ".join(names) for code, names in found.items()}
    named[2] += ", or a wrong option or argument"
    return {**named, **CODES}
