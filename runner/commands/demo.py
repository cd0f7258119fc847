"""`irkit demo` and `irkit shop`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click

from irkit.errors import BadInput


@click.command()
@click.option("--live", is_flag=True, help="On real servers: the shop, Prometheus, Alertmanager.")
@click.option(
    "--approve", type=click.Choice(["ask", "auto"]), default=None,
    help="Ask you at a prompt, or decide as demo-oncall; default: ask where there is a terminal.",
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
    from runner.demo.narrator import Narrator, somebody_is_here
    from runner.demo.recording import FOLDER, SUFFIX, scenarios
    from runner.demo.replay import POSTMORTEM, replay
    from runner.terminal import table

    if listing:
        click.echo("\n".join(scenarios()) or "no recording is shipped")
        return
    if (record or record_to) and not live:
        raise BadInput("a recording is made from the live story", next="add --live")
    if approve == "ask" and not somebody_is_here():
        raise BadInput("there is nobody to ask", on="--approve ask", next="use a terminal, or auto")
    asks = somebody_is_here() if approve is None else approve == "ask"
    home = _home(home)
    narrator, started = Narrator(), time.monotonic()
    if live:
        from runner.demo import live as story

        found = story.live(home, narrator, asks=asks, seed=seed)
        if (record or record_to) and POSTMORTEM in found:
            target = record_to or FOLDER / f"{story.SCENARIO}{SUFFIX}"
            size = story.record(home, target)
            narrator.say(f"Recorded: {target} ({size / 1e6:.2f} MB)")
    else:
        found = replay(scenario, home, narrator, asks=asks)
    click.echo(f"\n{table([(f'{name}:', str(path)) for name, path in found.items()], width=None)}")
    took = f"{time.monotonic() - started:.0f} s"
    if POSTMORTEM in found:
        click.echo(f"\n{took}. Open the post-mortem in a browser.")
    else:
        click.echo(f"\n{took}. Look at it with: irkit -c {found['config']} show")


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
