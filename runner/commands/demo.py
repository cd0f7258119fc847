"""`irkit demo` and `irkit shop`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from irkit.errors import BadInput


@click.command()
@click.option("--live", is_flag=True, help="On real servers: the shop, Prometheus, Alertmanager.")
@click.option(
    "--approve", type=click.Choice(["ask", "auto"]), default=None,
    help="Ask at a prompt, or approve as demo-oncall; default: ask where there is a terminal.",
)  # fmt: skip
@click.option("--record", is_flag=True, help="With --live: make the recording that demo replays.")
@click.option(
    "--record-to", type=click.Path(path_type=Path), default=None,
    help="Where the recording goes; default: among the shipped ones.",
)  # fmt: skip
@click.option("--scenario", default="failing-release", show_default=True, help="Which recording.")
@click.option("--list", "listing", is_flag=True, help="List the recordings and stop.")
@click.option(
    "--home", type=click.Path(path_type=Path), default=None,
    help="Where everything goes; default: a new folder.",
)  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="With --live: seed of the shop's load.")
def demo(
    live: bool, approve: str | None, record: bool, record_to: Path | None, scenario: str,
    listing: bool, home: Path | None, seed: int,
) -> None:  # fmt: skip
    """Watch an alert become an approved rollback, a verified recovery and a post-mortem.

    Without options it replays a recording of a real incident: no servers, no credentials.

    \b
    Example:
      irkit demo
      irkit demo --live --approve ask
    """
    from runner.demo.narrator import Narrator
    from runner.demo.recording import FOLDER, SUFFIX, scenarios

    if listing:
        click.echo("\n".join(scenarios()) or "no recording is shipped")
        return
    if record and not live:
        raise BadInput("a recording is made from the live story", next="add --live")
    home = _home(home)
    narrator, started = Narrator(), time.monotonic()
    if live:
        from runner.demo import live as story

        asks = approve or ("ask" if sys.stdin.isatty() else "auto")
        found = story.live(home, narrator, approve=asks, seed=seed)
        if record:
            target = record_to or FOLDER / f"{story.SCENARIO}{SUFFIX}"
            size = story.record(home, target)
            narrator.say(f"recorded: {target} ({size / 1e6:.2f} MB)")
    else:
        from runner.demo.replay import replay

        found = replay(scenario, home, narrator)
    narrator.say("")
    for name, path in found.items():
        click.echo(f"{name + ':':15} {path}")
    narrator.say(f"\n{time.monotonic() - started:.0f} s. Open the post-mortem in a browser.")


def _home(home: Path | None) -> Path:
    if home is None:
        return Path(tempfile.mkdtemp(prefix="irkit-demo-"))
    home = home.resolve()
    if home.exists() and any(home.iterdir()):
        raise BadInput(
            "the folder is not empty", on=str(home), next="name a new one, or leave --home out"
        )
    home.mkdir(parents=True, exist_ok=True)
    return home


@click.command()
@click.option(
    "--home", type=click.Path(path_type=Path), default=Path("shop"), show_default=True,
    help="Where its releases, logs and deploy history go.",
)  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="Seed of the load.")
def shop(home: Path, seed: int) -> None:
    """Start the shop, a small real system to break, until Ctrl-C.

    \b
    Example:
      irkit shop --home /tmp/shop
      python -m runner.demo.shop.deploy checkout 1.4.2 --home /tmp/shop
    """
    from runner.demo.shop import run_foreground

    run_foreground(home.resolve(), seed)
