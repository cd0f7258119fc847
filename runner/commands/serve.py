"""`irkit serve`: the runner."""

from __future__ import annotations

import json
import signal
from types import FrameType
from typing import TYPE_CHECKING

import click

from irkit.errors import ConfigError
from runner.commands.common import config_of

if TYPE_CHECKING:
    from runner.serve import Server
    from runner.service import Runner


@click.command()
@click.option("--listen", default="", help="Address and port; default: server.listen.")
@click.option("--person", default="", help="Whom the printed one-time link logs in.")
@click.pass_context
def serve(ctx: click.Context, listen: str, person: str) -> None:
    """Receive alerts, run runbooks, ask for approvals, apply, verify: until Ctrl-C.

    \b
    Example:
      irkit -c irkit.yaml serve
    """
    from runner.serve import Server
    from runner.service import Runner

    config = config_of(ctx)
    if listen:
        server = config.server.model_copy(update={"listen": listen})
        config = config.model_copy(update={"server": server})
    person = person or next(iter(config.people), "operator")
    if config.people and person not in config.people:
        raise ConfigError("nobody of that name", on=person, next="add them under people")
    runner = Runner(config, url=config.server.url or f"http://{config.server.listen}")
    place = config.storage_path / "server.json"
    try:
        server_ = Server(runner)
        place.write_text(json.dumps({"url": server_.url}))
        with runner:
            _announce(runner, server_, person)
            signal.signal(signal.SIGTERM, _interrupt)
            server_.run()
    finally:
        place.unlink(missing_ok=True)
        runner.close()


def _announce(runner: Runner, server: Server, person: str) -> None:
    hooks = ", ".join(f"{server.url}/hooks/{name}" for name in runner.intake.hooks) or "none"
    click.echo(f"hooks:  {hooks}")
    click.echo(f"pages:  {server.link(f'person:{person}')}  (once, as {person})")
    missing = runner.confinement.missing
    if missing:
        click.echo(f"runs are not fully confined: {'; '.join(missing)}", err=True)
    open_ones = sum(s.state != "resolved" for s in runner.ledger.states())
    click.echo(f"ledger: {runner.storage}, {open_ones} open incidents")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
