"""Start one run of a runbook in a process of its own, hear it out, and keep what it made.

    folder/
      runbook.ipynb    the notebook as it was (0444)
      journal          what the cells said, line by line, as they said it
      notebook.ipynb   the executed notebook, immutable (0444); partial if the run was cut short
      work/            the only place where the run may write

See docs/adr/0005-run-folder.md and docs/adr/0010-confinement.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from irkit.clock import Clock, SystemClock
from irkit.errors import BadInput, IrkitError
from irkit.evidence.redact import Redactor
from runner.runs import confine, disk, journal, nbfile, parameters
from runner.runs.confine import Confinement, Limits
from runner.runs.hearing import UNKNOWN, Hearing, Progress, Status

# How a run ended, where no exception of its own says it.
_OURS = ("RunStopped", "RunTimedOut", "RunKilled")


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One run to be: its id, the runbook's path, the folder to make, and what it may use.

    `parameters` are values or command-line text (see `runner.runs.parameters.check`).  `session` is
    the path of a session file, `{"socket": path, "token": str}`: it and the socket stay reachable
    inside, and `IRKIT_SESSION` names it.  `readable` are more paths that the run may read.
    """

    run: str
    runbook: str
    folder: str
    parameters: Mapping[str, Any] = {}
    session: str | None = None
    limits: Limits = Limits()
    readable: tuple[str, ...] = ()


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    `failed`: a cell raised or its kernel died; `killed`: the run's process died, or said what it
    may not.  `cell` is the n in `In [n]` of the cell at fault (see `runner.runs.journal.numbers`);
    `seconds` is wall time.
    """

    run: str
    status: Status
    cell: int | None = None
    error_name: str = ""
    error_text: str = ""
    seconds: float
    cells_done: int
    cells_total: int
    confinement: Confinement
    notebook: str

    @property
    def error(self) -> str:
        """What went wrong in one line, "" if nothing did; an exception may have no text."""
        return _told(self.error_name, self.error_text)


def launch(
    spec: RunSpec,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
    redactor: Redactor | None = None,
) -> RunResult:
    """Run a runbook to its end, in a confined process of its own; blocks.

    Many may run at once, each from its own thread.  Setting `stop` interrupts the cell that runs
    and ends the run.  `redactor` takes secrets out of the journal, the progress and the final
    notebook before they are written.  Whatever happens, nothing that the run started is alive
    afterwards and `notebook.ipynb` is there.  Raises `BadInput` (no notebook), `BadParameters`,
    and `IrkitError` if the folder holds a run already or cannot be written.
    """
    notebook = nbfile.read(spec.runbook)
    given = parameters.check(parameters.declared(notebook), spec.parameters)
    session, socket = _session(spec.session)
    folder = os.path.realpath(spec.folder)
    work = os.path.join(folder, "work")
    try:
        os.makedirs(folder, exist_ok=True)
        os.mkdir(work, 0o700)
        nbfile.keep(os.path.join(folder, "runbook.ipynb"), Path(spec.runbook).read_bytes())
        kept = open(os.path.join(folder, "journal"), "xb")  # noqa: SIM115
    except FileExistsError as error:
        raise IrkitError(
            "this folder holds a run already", on=folder, next="give each run its own folder"
        ) from error
    except OSError as error:
        raise _unwritable(folder, error) from error
    readable = (*confine.readable_by_default(), *map(os.path.abspath, spec.readable))
    box = confine.Box(
        work=work, readable=readable, session=session, socket=socket, limits=spec.limits
    )
    task = {"box": box, "notebook": json.dumps(notebook), "parameters": given}
    try:
        with kept:
            hearing = Hearing(
                spec.run, spec.limits, kept, on_progress, clock or SystemClock(), redactor
            )
            child = _start(work, session)
            watch = disk.Watch(work, child.pid, spec.limits.disk_mb * 1e6)
            seconds = _attend(child, task, hearing, spec.limits, stop, watch)
        if hearing.disk_full:
            disk.clear(work)
        status, name, text = hearing.verdict()
        about: dict[str, Any] = {"run": spec.run, "status": status, "seconds": round(seconds, 3)}
        if status != "succeeded":
            about |= {"cell": hearing.cell, "error": _told(name, text)}
        about["confinement"] = msgspec.to_builtins(hearing.confinement)
        final = _final(folder, notebook, reason=text, whole=hearing.ended is not None)
        final["metadata"].setdefault("papermill", {}).update(
            {"input_path": "runbook.ipynb", "output_path": "notebook.ipynb"}
        )
        final["metadata"]["irkit"] = about
        content = json.dumps(final, indent=1, ensure_ascii=False).encode() + b"\n"
        made = os.path.join(folder, "notebook.ipynb")
        nbfile.keep(made, redactor.body(content) if redactor is not None else content)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return RunResult(
        run=spec.run,
        status=status,
        cell=hearing.cell,
        error_name=name,
        error_text=text,
        seconds=seconds,
        cells_done=hearing.done,
        cells_total=hearing.total,
        confinement=hearing.confinement,
        notebook=made,
    )


def _told(name: str, text: str) -> str:
    """An exception as one line; why we ended a run is a sentence already."""
    if name in _OURS:
        return text
    return f"{name}: {text}" if text.strip() else name


def _unwritable(folder: str, error: OSError) -> IrkitError:
    why = error.strerror or str(error)
    return IrkitError(f"the run cannot be kept ({why})", on=folder, next="free space, then retry")


def _final(folder: str, runbook: dict[str, Any], *, reason: str, whole: bool) -> dict[str, Any]:
    """The child's own notebook if it came to an end, else what the journal tells."""
    own = os.path.join(folder, "work", "notebook.ipynb")
    made = nbfile.read_untrusted(own) if whole else None
    # What is kept is kept once, and without secrets; a directory of that name is a cell's joke.
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        os.unlink(own)
    if made is not None:
        return made
    lines = journal.read(os.path.join(folder, "journal"))
    return journal.rebuild(runbook, lines, reason=reason or "its notebook cannot be read")


def probe() -> Confinement:
    """Confine a process that does nothing, and return what it says holds around it."""
    with tempfile.TemporaryDirectory(prefix="irkit-") as folder:
        work = os.path.join(os.path.realpath(folder), "work")
        os.mkdir(work, 0o700)
        box = confine.Box(work=work, readable=confine.readable_by_default())
        limits = Limits(wall_seconds=20)
        with open(os.devnull, "wb") as nothing:
            hearing = Hearing("probe", limits, nothing, None, SystemClock())
            child = _start(work, "")
            watch = disk.Watch(work, child.pid, limits.disk_mb * 1e6)
            _attend(child, {"box": box}, hearing, limits, None, watch)
    if hearing.confinement is UNKNOWN:
        raise IrkitError("no process can be started", on=hearing.said(), next="check this Python")
    return hearing.confinement


def _session(path: str | None) -> tuple[str, str]:
    if path is None:
        return "", ""
    try:
        with open(path, encoding="utf-8") as file:
            return os.path.abspath(path), os.path.abspath(json.load(file)["socket"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            "the session file cannot be read",
            on=path,
            next='it holds {"socket": path, "token": text}',
        ) from error


def _start(work: str, session: str) -> subprocess.Popen[bytes]:
    """Start the child with an environment made from nothing, in a session of its own."""
    home = os.path.join(work, ".home")
    environment = {
        "PATH": os.pathsep.join([os.path.dirname(sys.executable), "/usr/local/bin:/usr/bin:/bin"]),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": home,
        "TMPDIR": os.path.join(work, ".tmp"),
        "IPYTHONDIR": os.path.join(home, ".ipython"),
        "MPLCONFIGDIR": os.path.join(home, ".matplotlib"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # Where the packages are not installed but found by path, the child must find them too.
    source = str(Path(__file__).resolve().parents[2])
    if not source.startswith((sys.prefix + os.sep, sys.base_prefix + os.sep)):
        environment["PYTHONPATH"] = source
    if session:
        environment["IRKIT_SESSION"] = session
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "runner.runs.child"],
        cwd=work,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _attend(
    child: subprocess.Popen[bytes],
    task: dict[str, Any],
    hearing: Hearing,
    limits: Limits,
    stop: threading.Event | None,
    watch: disk.Watch,
) -> float:
    """Hear a child out, within its time; seconds.  Nothing of it lives when this returns."""
    assert child.stdin
    assert child.stdout
    assert child.stderr
    began = time.monotonic()
    end, kill_at = began + limits.wall_seconds, float("inf")
    with child, selectors.DefaultSelector() as selector:
        try:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(msgspec.json.encode(task) + b"\n")
                child.stdin.flush()
            selector.register(child.stdout, selectors.EVENT_READ, hearing.hear)
            selector.register(child.stderr, selectors.EVENT_READ, hearing.hear_aside)
            talking = True
            while talking:
                for key, _ in selector.select(timeout=0.1):
                    part = os.read(key.fd, 1 << 18)
                    if not part:
                        selector.unregister(key.fileobj)
                        talking = talking and key.fileobj is not child.stdout
                    elif key.data(part) is False:
                        return time.monotonic() - began
                if watch.over():
                    # No time to end in: a disk can be full in seconds.
                    hearing.cut_short_by_disk()
                    return time.monotonic() - began
                now = time.monotonic()
                if kill_at == float("inf"):
                    if stop is not None and stop.is_set():
                        hearing.cut_short("stopped", "RunStopped", "the run was stopped")
                    elif now >= end:
                        limit = f"the run passed its limit of {limits.wall_seconds:g} s"
                        hearing.cut_short("timed_out", "RunTimedOut", limit)
                    if hearing.cut is not None:
                        kill_at = now + limits.grace_seconds
                        with contextlib.suppress(BrokenPipeError):
                            child.stdin.write(b"interrupt\n")
                            child.stdin.flush()
                elif now >= kill_at:
                    return now - began
            return time.monotonic() - began
        finally:
            _end(child, hearing)


def _end(child: subprocess.Popen[bytes], hearing: Hearing) -> None:
    """Let go of the lifeline, on which the child kills all that is its own and ends."""
    assert child.stdin
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    try:
        hearing.code = child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        hearing.code = child.wait()
