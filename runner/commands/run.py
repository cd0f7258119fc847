"""`irkit run`, `replay`, `lab`: notebooks by hand."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from irkit.clock import SystemClock
from irkit.config import Config
from irkit.errors import BadInput, IrkitError, NotFound, RunFailed
from irkit.evidence.bundle import Bundle
from irkit.evidence.redact import Redactor
from irkit.model.event import Event
from irkit.model.incident import IncidentState
from runner.commands.common import config_of, pick, reading
from runner.runs import parameters
from runner.runs.confine import Limits, uid_outside
from runner.runs.launch import Progress, RunSpec, launch
from runner.runs.nbfile import nbformat
from runner.runs.runbooks import Runbooks
from runner.runs.solo import Solo
from runner.stores import kept


@click.command()
@click.argument("runbook")
@click.option("-p", "--parameter", "given", multiple=True, help="NAME=VALUE; may be repeated.")
@click.option(
    "--replay", "bundle", type=click.Path(path_type=Path, exists=True), default=None,
    help="Answer looks from this bundle; asks no source.",
)  # fmt: skip
@click.option("--incident", default="", help="Give the run this incident's ledger to read.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=None,
    help="The run's folder; default: a new one under the storage.",
)  # fmt: skip
@click.option(
    "--read",
    "readable",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="A file or folder that the notebook may read; may be repeated.",
)
@click.pass_context
def run(
    ctx: click.Context, runbook: str, given: tuple[str, ...], bundle: Path | None,
    incident: str, output: Path | None, readable: tuple[Path, ...],
) -> None:  # fmt: skip
    """Execute any notebook once, without a server; prints where notebook, page and evidence lie.

    Ctrl-C (or SIGTERM) stops the cell that runs and keeps what there is; a second one ends at once.

    \b
    Example:
      irkit run high-error-rate -p service=checkout -p since=2h
      irkit run any.ipynb
    """
    config = config_of(ctx)
    path = _path(config, runbook)
    events: tuple[Event, ...] = ()
    if incident:
        with reading(config) as ledger:
            events = ledger.events(ledger.state(incident).id)
    folder = (output or config.storage_path / "runs" / _named(path.stem)).resolve()
    _execute(config, path, folder, dict(map(_pair, given)), bundle, events, readable)


@click.command()
@click.argument("incident")
@click.pass_context
def replay(ctx: click.Context, incident: str) -> None:
    """Execute an incident's run again, offline, on what was recorded then.

    \b
    Example:
      irkit replay IR-1
    """
    config = config_of(ctx)
    with reading(config) as ledger:
        state = pick(ledger, incident)
    ended = [r for r in state.runs if r.bundle]
    if not ended:
        raise NotFound("no run of this incident left evidence", on=state.id)
    chosen = ended[-1]
    then = config.storage_path / "runs" / chosen.run
    Bundle.open(then / "bundle").verify(chosen.bundle)
    kept.is_runbook_of(chosen, then / "runbook.ipynb")
    click.echo(f"runbook and evidence of {chosen.run} are intact: {chosen.looks} looks")
    folder = then / _named("replay")
    _execute(config, then / "runbook.ipynb", folder, dict(chosen.parameters), then / "bundle", ())


@click.command()
@click.argument("incident", default="")
@click.argument("more", nargs=-1, type=click.UNPROCESSED)
@click.option("--print", "only_print", is_flag=True, help="Print the command, start nothing.")
@click.pass_context
def lab(ctx: click.Context, incident: str, more: tuple[str, ...], only_print: bool) -> None:
    """Open JupyterLab on an incident's notebook, with your own read credentials.

    The notebook is a copy: what you do there never changes the record.  Of an incident that is
    over, windows end where its last run's did, and that run's recording answers until you ask
    something that it does not hold; from there on your sources do.  What stands behind -- goes to
    JupyterLab.

    \b
    Example:
      irkit lab IR-1
      irkit lab IR-1 -- --no-browser --port 9999
    """
    if incident.startswith("-"):  # no incident was named, and this stood behind --
        incident, more = "", (incident, *more)
    config = config_of(ctx)
    with reading(config) as ledger:
        state = pick(ledger, incident)
        events = ledger.events(state.id)
    source = next(
        (p for r in reversed(state.runs)
         if (p := config.storage_path / "runs" / r.run / "notebook.ipynb").exists()),
        None,
    ) or Runbooks((config.home / config.runs.notebooks,)).path(state.runbook)  # fmt: skip
    target = config.storage_path / "incidents" / state.id / "lab.ipynb"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        notebook = nbformat().read(source, as_version=4)
        nbformat().write(notebook, target)
    command = _jupyterlab(target, more)
    click.echo(f"notebook: {target}")
    if only_print:
        click.echo(f"command:  {shlex.join(command)}")
        return
    if os.geteuid() == 0 and "--allow-root" not in more:
        click.echo(
            f"you are root, and JupyterLab refuses that; if you mean it: irkit lab {state.id} -- "
            "--allow-root", err=True,
        )  # fmt: skip
    now, recording = _as_it_was(config, state)
    with Solo(config, events=events, folder=None, resume=recording, now=now) as solo:
        environment = {**os.environ, "IRKIT_SESSION": str(solo.session_file)}
        with subprocess.Popen(command, env=environment) as process:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is JupyterLab's
            try:
                code = process.wait()
            finally:
                signal.signal(signal.SIGINT, before)
    ctx.exit(code if code >= 0 else 128 - code)


def _jupyterlab(notebook: Path, more: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "jupyterlab", str(notebook), *more]


def _as_it_was(config: Config, state: IncidentState) -> tuple[datetime | None, Path | None]:
    """At which moment, and on which recording, an incident that is over is looked at."""
    if state.state != "resolved":
        return None, None
    recorded = [r for r in state.runs if r.bundle]
    if not recorded:
        return state.resolved_at, None
    last = recorded[-1]
    bundle = config.storage_path / "runs" / last.run / "bundle"
    try:
        Bundle.open(bundle).verify(last.bundle)
    except IrkitError as why:
        click.echo(f"the recording of {last.run} does not answer, the sources do: {why}", err=True)
        return last.now, None
    click.echo(f"answers:  the recording of {last.run}, then your sources; windows end at "
               f"{last.now:%Y-%m-%d %H:%M:%SZ}")  # fmt: skip
    return last.now, bundle


def _execute(
    config: Config, path: Path, folder: Path, given: dict[str, object], bundle: Path | None,
    events: tuple[Event, ...], readable: tuple[Path, ...] = (),
) -> None:  # fmt: skip
    from runner.export.files import export

    parameters.check(parameters.declared(path), given)  # before anything is written
    if folder.exists() and any(folder.iterdir()):
        raise BadInput("the folder is not empty", on=str(folder), next="name a new one")
    folder.mkdir(parents=True, exist_ok=True)
    redactor = Redactor.of(config)
    with (
        _interrupted() as asked,
        Solo(
            config, events=events, folder=folder / "bundle", replay=bundle, peer=uid_outside()
        ) as solo,
    ):
        with click.progressbar(length=1, label=path.stem, file=sys.stderr) as bar:

            def follow(progress: Progress) -> None:
                bar.length = max(progress.cells_total, 1)
                bar.update(progress.cells_done - bar.pos)

            result = launch(
                RunSpec(
                    run=folder.name,
                    runbook=str(path),
                    folder=str(folder),
                    parameters=given,
                    session=str(solo.session_file),
                    limits=Limits(
                        wall_seconds=config.runs.time_limit.total_seconds(),
                        memory_mb=config.runs.memory_mb,
                        disk_mb=config.runs.disk_mb,
                    ),
                    readable=tuple(str(p.resolve()) for p in readable),
                ),
                on_progress=follow,
                stop=asked.stop,
                clock=SystemClock(),
                redactor=redactor,
            )
        solo.seal()
    status = result.status.replace("_", " ")
    trouble: IrkitError | None = None
    click.echo(f"notebook: {folder / 'notebook.ipynb'}")
    try:
        made = export(
            folder / "notebook.ipynb", folder=folder, to=("html",), title=path.stem,
            head=[("status", status), ("seconds", f"{result.seconds:.1f}")],
            redact=redactor.text,
        )  # fmt: skip
        click.echo(f"page:     {made.paths['html']}")
    except IrkitError as why:
        trouble = why
    click.echo(f"evidence: {folder / 'bundle'}")
    if result.status != "succeeded":
        where = f" in cell In [{result.cell}]" if result.cell is not None else ""
        failed = RunFailed(
            redactor.text(f"{status}{where}: {result.error}")[:500],
            next="the page shows everything up to there" if not trouble else str(trouble),
        )
        if asked.by:
            failed.exit_code = 128 + asked.by
        raise failed
    if trouble:
        raise trouble


class _Asked:
    """Whether somebody asked for an end, and by which signal; 0 is none."""

    def __init__(self) -> None:
        self.stop, self.by = threading.Event(), 0


@contextlib.contextmanager
def _interrupted() -> Iterator[_Asked]:
    """The first SIGINT or SIGTERM asks for an end; the next one does what it always did.

    One that is ignored, as SIGINT is for what a shell starts in the background, stays so.
    """
    asked = _Asked()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: h for n in numbers if (h := signal.getsignal(n)) not in (signal.SIG_IGN, None)}

    def restore() -> None:
        for number, handling in before.items():
            signal.signal(number, handling)

    def ask(number: int, _frame: FrameType | None) -> None:
        restore()
        asked.by = number
        asked.stop.set()
        # Not through a stream: it may be in the middle of a line.
        os.write(2, b"\nstopping; once more ends it at once\n")

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        restore()


def _named(what: str) -> str:
    """A folder's name that sorts by time and is never taken: two may start in one second."""
    return f"{what}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _path(config: Config, name: str) -> Path:
    given = Path(name)
    if given.suffix == ".ipynb" and given.is_file():
        return given.resolve()
    return Runbooks((config.home / config.runs.notebooks,)).path(name)


def _pair(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadInput("not a parameter", on=text, next="write -p name=value")
    return name, value
