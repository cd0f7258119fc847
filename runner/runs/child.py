"""The process of one run: `python -m runner.runs.child`, started by `runner.runs.launch`.

It reads its task as one JSON line on standard input, confines itself, and runs the notebook.
Standard output is the pipe of messages; whatever the notebook writes there goes to standard error.
Standard input stays open for as long as the runner lives: a line interrupts the cell that runs,
and its end kills everything at once.

Two processes: the outer one holds that lifeline and waits; the inner one is process 1 of its own
PID namespace, so its end is the end of all that the notebook started.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from typing import Any

import msgspec

from runner.runs import confine, journal, linux, nbfile, showing


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What the runner asks of a child; without a `notebook` it only says what holds around it."""

    box: confine.Box
    notebook: str = ""
    parameters: dict[str, Any] = {}


def main() -> None:
    """Confine, fork, and wait for the run or for the runner's end."""
    task = msgspec.json.decode(_first_line(), type=Task)
    pipe = os.dup(1)
    os.dup2(2, 1)
    if not sys.platform.startswith("linux"):
        raise SystemExit("runs need Linux")
    # Without a PID namespace, what outlives its parent must come to us to be killed.
    linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    isolation = confine.isolate(task.box)
    inner = os.fork()
    if inner == 0:
        _run(task, isolation, pipe)
    os.close(pipe)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    code = _watch(inner, namespaces=isolation.namespaces)
    os._exit(code if code >= 0 else 128 - code)


def _first_line() -> bytes:
    parts: list[bytes] = []
    while not parts or not parts[-1].endswith(b"\n"):
        part = os.read(0, 1 << 20)
        if not part:
            raise SystemExit("the runner went away before it said what to run")
        parts.append(part)
    return b"".join(parts)


def _watch(inner: int, *, namespaces: bool) -> int:
    """Wait for the inner process; its exit code, negative for a signal."""
    ended = os.pidfd_open(inner)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(0, select.POLLIN | select.POLLHUP)
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if ended in ready:
            break
        if os.read(0, 4096):
            os.kill(inner, signal.SIGINT)
        else:
            signal.pidfd_send_signal(ended, signal.SIGKILL)
            break
    code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    if not namespaces:
        _end_descendants()
    return code


def _end_descendants() -> None:
    """Kill and reap until nothing is left; new orphans come to us, so this ends."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            children = [int(pid) for pid in file.read().split()]
        if not children:
            return
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _run(task: Task, isolation: confine.Isolation, pipe: int) -> None:
    """The inner process: never returns."""
    code = 1
    try:
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        # Until a kernel can be interrupted, there is no cell that could show it.
        signal.signal(signal.SIGINT, lambda *_: None)
        held = confine.enclose(task.box, isolation)

        def emit(message: journal.Message) -> None:
            rest = memoryview(journal.encode(message))
            while rest:
                rest = rest[os.write(pipe, rest) :]

        emit(journal.Confined(confinement=held))
        if task.notebook:
            emit(_execute(task, emit))
        code = 0
    finally:
        # Not the interpreter's own ending: threads and exit hooks of a run delay nobody.
        if code:
            sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(code)


def _execute(task: Task, emit: Any) -> journal.Ended:
    nbformat = nbfile.nbformat()
    # papermill tries every cloud's storage as it is imported; a run has only its folder.
    with nbfile.without("boto3", "azure", "gcsfs", "pyarrow.fs", "github"):
        import papermill
    from jupyter_client.kernelspec import NoSuchKernel
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    for name in (".home", ".tmp"):
        os.mkdir(name)
    startup = ".home/.ipython/profile_default/startup"
    os.makedirs(startup)
    with open(f"{startup}/irkit.py", "w", encoding="ascii") as file:
        file.write(showing.STARTUP)
    source = ".tmp/runbook.ipynb"
    with open(source, "w", encoding="utf-8") as file:
        file.write(task.notebook)
    notebook = nbformat.reads(task.notebook, as_version=4)
    language = notebook.metadata.get("language_info", {}).get("name")
    spec = notebook.metadata.get("kernelspec", {})
    kernel = spec.get("name", "python3")
    if (spec.get("language") or language or "python") == "python":
        kernel = "python3"  # whatever its author called it: this Python is the one with irkit
    try:
        with contextlib.redirect_stdout(sys.stderr):
            papermill.execute_notebook(
                source,
                "notebook.ipynb",
                parameters=task.parameters,
                engine_name="irkit",
                kernel_name=kernel,
                language=language or "python",
                progress_bar=False,
                request_save_on_cell_execute=False,
                autosave_cell_every=0,
                emit=emit,
                output_bytes=int(task.box.limits.output_mb * 1e6),
                shutdown_kernel="immediate",
                # Sockets in our folder: they need no network, and nobody else sees them.
                config=Config(KernelManager={"transport": "ipc", "ip": ".tmp/kernel"}),
            )
    except PapermillExecutionError as error:
        return journal.Ended(
            status="failed",
            cell=error.cell_index,
            error_name=error.ename,
            error_text=error.evalue[:2000],
        )
    except (NoSuchKernel, RuntimeError, OSError) as error:
        return journal.Ended(
            status="failed", error_name=type(error).__name__, error_text=str(error)[:2000]
        )
    return journal.Ended(status="succeeded")


if __name__ == "__main__":
    main()
