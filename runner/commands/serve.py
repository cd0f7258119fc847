"""`irkit serve`: the runner."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from irkit.config import Config
from irkit.errors import ConfigError
from runner.commands.common import config_of, missing_secrets

if TYPE_CHECKING:
    from runner.serve import Server
    from runner.service import Runner


@click.command()
@click.option("--listen", default="", help="Address and port; default: server.listen.")
@click.option(
    "--person", default="",
    help="Whom a printed one-time link logs in; default: who is alone under people.",
)  # fmt: skip
@click.pass_context
def serve(ctx: click.Context, listen: str, person: str) -> None:
    """Receive alerts, run runbooks, ask for approvals, apply, verify: until Ctrl-C or SIGTERM.

    \b
    Example:
      irkit -c irkit.yaml serve
    """
    config = config_of(ctx)
    if listen:
        server = config.server.model_copy(update={"listen": listen})
        config = config.model_copy(update={"server": server})
    if person and config.people and person not in config.people:
        raise ConfigError("nobody of that name", on=person, next="add them under people")
    if not person and len(config.people) < 2:
        person = next(iter(config.people), "operator")
    missing = missing_secrets(config)  # told now, and not when an alert comes
    if missing:
        raise ConfigError("\n".join(missing))
    click.echo(f"starting  in {config.storage_path}")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with _stopped_by(signal.SIGTERM), suppress(KeyboardInterrupt):  # while it still starts
        _serve(config, person)
    click.echo("stopped; what is owed is done by the next start")


def _serve(config: Config, person: str) -> None:
    from runner.serve import Server
    from runner.service import Runner

    runner = Runner(config)
    try:
        server = Server(runner)
        try:
            with _place(config, server.local), runner:
                _announce(runner, server, person)
                server.run()
        finally:
            server.close()
    finally:
        runner.close()


@contextmanager
def _place(config: Config, url: str) -> Iterator[Path]:
    """Say in the storage where this process is reached, for the commands that act in it."""
    place = config.storage_path / "server.json"
    place.write_text(json.dumps({"url": url, "process": os.getpid()}), encoding="utf-8")
    try:
        yield place
    finally:
        place.unlink(missing_ok=True)


@contextmanager
def _stopped_by(number: signal.Signals) -> Iterator[None]:
    """While nothing serves yet, or no more, this signal interrupts as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    try:
        yield
    finally:
        signal.signal(number, before)


def _pages(server: Server, person: str) -> str:
    """Where the pages are; no link where it would make its reader one of several people."""
    if person:
        return f"{server.link(f'person:{person}')}  (works once, as {person})"
    return f"{server.url}/login  (each with their own token)"


def _announce(runner: Runner, server: Server, person: str) -> None:
    hooks = [f"{server.url}/hooks/{name}" for name in runner.intake.hooks]
    missing = runner.confinement.missing
    states = runner.ledger.states()
    open_ones = sum(s.state != "resolved" for s in states)
    rows = [
        *(("hook", hook) for hook in hooks or ["none: add one under integrations"]),
        ("pages", _pages(server, person)),
        ("ledger", f"{runner.storage}: {len(states)} incidents, {open_ones} open"),
        ("confined", f"not fully: {'; '.join(missing)}" if missing else "yes"),
    ]
    for name, text in rows:
        click.echo(f"{name:<10}{text}")
