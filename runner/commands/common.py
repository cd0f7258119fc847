"""What the commands share: reading the ledger, writing to it, printing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from irkit.clock import SystemClock
from irkit.config import Config, load
from irkit.errors import AlreadyRunning, BadInput, ConfigError, IrkitError, NotFound, Refused
from irkit.evidence.redact import secrets_in
from irkit.model.incident import IncidentState
from irkit.secret import Secret
from runner.stores.database import Database
from runner.stores.ledger import Ledger

SHORTEST_TOKEN = 12
"""Characters of a person's token; shorter ones could be guessed over the network."""
F = TypeVar("F", bound=Callable[..., Any])
_ANSWERED: dict[int, type[IrkitError]] = {400: BadInput, 404: NotFound, 422: BadInput}
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def token_option(command: F) -> F:
    """`--token-file`, else IRKIT_TOKEN: who is acting."""
    return click.option(
        "--token-file", type=click.Path(path_type=Path),
        help="Your own token; default: the variable IRKIT_TOKEN.",
    )(command)  # fmt: skip


def config_of(ctx: click.Context) -> Config:
    """The config named on the command line."""
    return load(ctx.obj)


@contextmanager
def reading(config: Config) -> Iterator[Ledger]:
    """The ledger for reading; a runner may write it at the same time."""
    database = Database(config.storage_path, writer=False)
    try:
        yield Ledger(database, SystemClock())
    finally:
        database.close()


@contextmanager
def writing(config: Config) -> Iterator[Ledger]:
    """The ledger for a command that writes it itself.

    Raises:
        NotFound: there is no ledger yet.
        AlreadyRunning: a runner holds it.
    """
    with reading(config):
        pass  # a ledger is never made by the way
    database = Database(config.storage_path)
    try:
        yield Ledger(database, SystemClock())
    finally:
        database.close()


def pick(ledger: Ledger, incident: str) -> IncidentState:
    """The incident of that id; without one the newest open, else the newest.

    Raises:
        NotFound: there is none of that id.
        BadInput: there is none at all.
    """
    if incident:
        return ledger.state(incident)
    states = ledger.states()
    if not states:
        raise BadInput("there is no incident yet", next="send an alert to a hook of irkit serve")
    return ledger.newest_open() or states[-1]


def echo(value: Any, *, as_json: bool, text: Callable[[], str]) -> None:
    """Print a value as JSON, or its text."""
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(value), indent=1, ensure_ascii=False))
    else:
        click.echo(text())


def missing_secrets(config: Config) -> list[str]:
    """A sentence for each secret that is not set or cannot be read here, or is easily guessed."""
    missing = []
    sections = {"integrations": config.integrations, "people": config.people}
    for section, entries in sections.items():
        for name, entry in entries.items():
            for secret in secrets_in(entry):
                try:
                    short = len(secret.reveal()) < SHORTEST_TOKEN
                    if short and section == "people":
                        missing.append(
                            f"{config.file.name}: people.{name}.token: is easily guessed. Use at "
                            f"least {SHORTEST_TOKEN} random characters"
                        )
                except ConfigError as why:
                    missing.append(f"{config.file.name}: {section}.{name}: {why}")
    return missing


def act(config: Config, token_file: Path | None, path: str, body: dict[str, Any]) -> Any:
    """Do something in a person's name: at the running runner, else in the ledger itself.

    `path` is the API's, such as `/incidents/IR-1/ack`.

    Raises:
        Refused: the token is nobody's, or the act is not allowed.
        IrkitError: the runner does not answer.
    """
    token = token_of(token_file)
    try:
        return _directly(config, token, path, body)
    except AlreadyRunning:
        return at_the_runner(config, token, path, body)


def token_of(token_file: Path | None) -> str:
    """The token of whoever sits here.

    Raises:
        BadInput: there is none, or the file cannot be read.
    """
    if token_file:
        return Secret(f"file:{token_file}").reveal().strip()
    token = os.environ.get("IRKIT_TOKEN", "")
    if not token:
        raise BadInput(
            "this needs to know who you are", next="set IRKIT_TOKEN or give --token-file"
        )
    return token


def _directly(config: Config, token: str, path: str, body: dict[str, Any]) -> Any:
    from runner.service import Runner
    from runner.web import conduct

    runner = Runner(config)
    try:
        person = runner.person(token)
        _, kind, subject, verb = path.split("/")
        if kind == "plans":
            conduct.decide(
                runner, subject, person, allow=verb == "approve", plan_hash=body["plan_hash"],
                note=body["note"],
            )  # fmt: skip
        elif verb == "ack":
            conduct.acknowledge(runner, subject, person, body["note"])
        elif verb == "note":
            conduct.note(runner, subject, person, body["text"])
        else:
            conduct.resolve(runner, subject, person, body["note"])
        return {"by": person, "owed": "done when the runner is started"}
    finally:
        runner.close()


def at_the_runner(
    config: Config, token: str, path: str, body: dict[str, Any], *, seconds: float = 15
) -> Any:
    """Post to the API of the runner that holds the ledger, and return what it answers.

    Raises:
        AlreadyRunning: what holds it is no server.
        Refused: the token is nobody's, or the act is not allowed.
        IrkitError: it does not answer within `seconds`.
    """
    import httpx

    url = _where_it_serves(config)
    try:
        reply = httpx.post(
            f"{url}/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"},
            timeout=seconds, trust_env=False,
        )  # fmt: skip
        answer = reply.json()
    except (ValueError, httpx.HTTPError) as why:
        raise IrkitError(
            f"the runner that holds the ledger does not answer ({type(why).__name__})",
            on=url, next="look at what `irkit serve` prints",
        ) from None  # fmt: skip
    if reply.is_success:
        return answer
    what, on, then = (str(answer.get(k, "")) for k in ("what", "on", "next"))
    if answer.get("reason"):
        raise Refused(what, reason=str(answer["reason"]), on=on, next=then)
    raise _ANSWERED.get(reply.status_code, IrkitError)(what, on=on, next=then)


def _where_it_serves(config: Config) -> str:
    """The address of the process that holds the ledger; one left by a dead process is not used."""
    storage = config.storage_path
    try:
        place = json.loads((storage / "server.json").read_text(encoding="utf-8"))
        holder = (storage / "lock").read_text(encoding="utf-8").strip()
        if str(place["process"]) == holder:
            return str(place["url"])
    except (OSError, ValueError, KeyError, TypeError):
        holder = "unknown"
    raise AlreadyRunning(
        f"another irkit command (process {holder}) is busy in this folder, and it is not a server",
        on=str(storage), next="try again when it has ended",
    )  # fmt: skip
