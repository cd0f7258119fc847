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
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from irkit.clock import Clock, SystemClock
from irkit.errors import BadInput, IrkitError
from runner import confine, journal, nbfile, parameters
from runner.confine import Confinement, Limits

Status = Literal["succeeded", "failed", "timed_out", "stopped", "killed"]
_UNKNOWN = Confinement(
    **dict.fromkeys(("files", "processes", "network", "memory", "cpu", "user"), "not known"),
    missing=("the run ended before it was confined",),
)


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One run to be: its id, the runbook's path, the folder to make, and what it may use.

    `parameters` are values or command-line text (see `runner.parameters.check`).  `session` is the
    path of a session file, `{"socket": path, "token": str}`: it and the socket stay reachable
    inside, and `IRKIT_SESSION` names it.  `readable` are more paths that the run may read.
    """

    run: str
    runbook: str
    folder: str
    parameters: Mapping[str, Any] = {}
    session: str | None = None
    limits: Limits = Limits()
    readable: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run as it happens; `message` is what the journal keeps of it.

    `cells_done` and `cells_total` count code cells; `at` is UTC.
    """

    run: str
    at: datetime
    message: journal.Message
    cells_done: int
    cells_total: int


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    `failed`: a cell raised or its kernel died; `killed`: the run's process died, or said what it
    may not.  `cell` is the index of the cell at fault in the notebook as it was prepared (with
    the injected parameters, before any marker); `seconds` is wall time.
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


def launch(
    spec: RunSpec,
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> RunResult:
    """Run a runbook to its end, in a confined process of its own; blocks.

    Many may run at once, each from its own thread.  Setting `stop` interrupts the cell that runs
    and ends the run.  Whatever happens, nothing that the run started is alive afterwards and
    `notebook.ipynb` is there.  Raises `BadInput` (no notebook), `BadParameters`, and `IrkitError`
    if the folder holds a run already or cannot be written.
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
        kept = open(os.path.join(folder, "journal"), "xb", buffering=0)  # noqa: SIM115
    except FileExistsError as error:
        raise IrkitError(
            "this folder holds a run already", on=folder, next="give each run its own folder"
        ) from error
    except OSError as error:
        raise IrkitError(
            f"the run's folder cannot be written ({error.strerror})", on=folder, next="free space"
        ) from error
    readable = (*confine.readable_by_default(), *map(os.path.abspath, spec.readable))
    box = confine.Box(
        work=work, readable=readable, session=session, socket=socket, limits=spec.limits
    )
    task = {"box": box, "notebook": json.dumps(notebook), "parameters": given}
    with kept:
        hearing = _Hearing(spec, kept, on_progress, clock or SystemClock())
        seconds = _attend(_start(work, session), task, hearing, spec.limits, stop)
    status, name, text = hearing.verdict()
    made = os.path.join(folder, "notebook.ipynb")
    about = {"run": spec.run, "status": status, "seconds": round(seconds, 3)}
    about["confinement"] = msgspec.to_builtins(hearing.confinement)
    final = nbfile.read_untrusted(os.path.join(work, "notebook.ipynb")) if hearing.ended else None
    if final is None:
        lines = journal.read(os.path.join(folder, "journal"))
        final = journal.rebuild(notebook, lines, reason=text or "its notebook cannot be read")
    final["metadata"].setdefault("papermill", {}).update(
        {"input_path": "runbook.ipynb", "output_path": "notebook.ipynb"}
    )
    final["metadata"]["irkit"] = about
    nbfile.keep(made, json.dumps(final, indent=1, ensure_ascii=False).encode() + b"\n")
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


def probe() -> Confinement:
    """Confine a process that does nothing, and return what it says holds around it."""
    with tempfile.TemporaryDirectory(prefix="irkit-") as folder:
        work = os.path.join(os.path.realpath(folder), "work")
        os.mkdir(work, 0o700)
        box = confine.Box(work=work, readable=confine.readable_by_default())
        spec = RunSpec(run="probe", runbook="", folder=folder)
        with open(os.devnull, "wb", buffering=0) as nothing:
            hearing = _Hearing(spec, nothing, None, SystemClock())
            _attend(_start(work, ""), {"box": box}, hearing, Limits(wall_seconds=20), None)
    if hearing.confinement is _UNKNOWN:
        raise IrkitError("no process can be started", on=hearing.said(), next="check this Python")
    return hearing.confinement


class _Hearing:
    """What has been heard of one run so far: its place, its end, and why it was cut short."""

    def __init__(
        self,
        spec: RunSpec,
        kept: Any,
        on_progress: Callable[[Progress], None] | None,
        clock: Clock,
    ) -> None:
        self._spec, self._kept, self._tell, self._clock = spec, kept, on_progress, clock
        self._room = int(spec.limits.total_output_mb * 1e6) + (32 << 20)
        # One output, its escapes and its envelope; or the whole prepared notebook.
        self._longest = max(64 << 20, int(spec.limits.output_mb * 2e6))
        self._rest = bytearray()
        self._stderr = bytearray()
        self.confinement = _UNKNOWN
        self.ended: journal.Ended | None = None
        self.cell: int | None = None
        self.done = self.total = 0
        self.cut: tuple[Status, str, str] | None = None
        self.code: int | None = None

    def cut_short(self, status: Status, name: str, text: str) -> None:
        """Note why the run is being ended from outside; the first reason counts."""
        where = f" in cell {self.cell}" if self.cell is not None else " before its first cell"
        self.cut = self.cut or (status, name, text + where)

    def hear(self, part: bytes) -> bool:
        """Take in bytes from the child; False once it has said what it may not."""
        self._rest += part
        self._room -= len(part)
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        try:
            for line in lines:
                self._take(line)
            if len(self._rest) > self._longest:
                raise journal.NotAMessage("a message without an end")
            if self._room < 0:
                most = self._spec.limits.total_output_mb
                raise journal.NotAMessage(f"more output than {most:g} MB in all")
        except journal.NotAMessage as error:
            self.cut_short("killed", "RunKilled", f"the run sent {error}"[:500])
            return False
        return True

    def hear_aside(self, part: bytes) -> None:
        """Take in standard error: only its end matters, and only if the run fails without word."""
        self._stderr = (self._stderr + part)[-4000:]

    def said(self) -> str:
        """The last line of standard error."""
        lines = bytes(self._stderr).decode(errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else ""

    def _take(self, line: bytes) -> None:
        message = journal.decode(line)
        at = self._clock.now()
        self._kept.write(journal.stamped(at, line))
        match message:
            case journal.Confined():
                self.confinement = message.confinement
            case journal.Prepared():
                self.total = sum(
                    cell.get("cell_type") == "code" and bool("".join(cell["source"]).strip())
                    for cell in message.notebook["cells"]
                )
            case journal.CellStarted():
                self.cell = message.cell
            case journal.CellFinished():
                self.done += 1
            case journal.Ended():
                self.ended = message
        if self._tell is not None:
            self._tell(
                Progress(
                    run=self._spec.run,
                    at=at,
                    message=message,
                    cells_done=self.done,
                    cells_total=self.total,
                )
            )

    def verdict(self) -> tuple[Status, str, str]:
        """Status, error name and error text."""
        if self.cut is not None:
            return self.cut
        if self.ended is None:
            how = f"exit code {self.code}"
            if self.code is not None and self.code > 128:
                how = f"signal {self.code - 128}"
            said = f": {self.said()}" if self.said() else ""
            return "killed", "RunKilled", f"the run's process ended with {how}{said}"
        self.cell = self.ended.cell
        return self.ended.status, self.ended.error_name, self.ended.error_text


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
    source = str(Path(__file__).resolve().parent.parent)
    if not source.startswith((sys.prefix + os.sep, sys.base_prefix + os.sep)):
        environment["PYTHONPATH"] = source
    if session:
        environment["IRKIT_SESSION"] = session
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "runner.child"],
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
    hearing: _Hearing,
    limits: Limits,
    stop: threading.Event | None,
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


def _end(child: subprocess.Popen[bytes], hearing: _Hearing) -> None:
    """Let go of the lifeline, on which the child kills all that is its own and ends."""
    assert child.stdin
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    try:
        hearing.code = child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        hearing.code = child.wait()
