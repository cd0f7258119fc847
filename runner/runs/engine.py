"""papermill's engine `irkit`: a stock kernel, whose cells are heard while they run.

Without arguments (`papermill --engine irkit`) it runs as papermill's own engine does, with a cap
on what one cell may show.  `runner.runs.child` gives it `emit`, which hears every message at once.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import msgspec
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager
from papermill.log import logger
from papermill.utils import merge_kwargs, remove_args

from runner.runs import journal

Emit = Callable[[journal.Message], None]
# plotly's own script, five megabytes, which it puts before a figure that it writes as HTML.
_PLOTLY_JS = re.compile(r"<script[^>]*>\s*/\*\*\s*\* plotly\.js v.*?</script\s*>", re.DOTALL)


def _nobody_listens(message: journal.Message) -> None:
    """Without a runner, the notebook that papermill writes says it all."""


class StreamingEngine(NBClientEngine):
    """Runs a notebook in a stock kernel and tells `emit` each cell and output as it happens.

    papermill passes on what `execute_notebook` is given: `emit`, and `output_bytes`, the most that
    one cell may show (encoded as JSON, 4 MB by default); more is counted and dropped, visibly.
    `input()` fails at once.  A kernel that dies leaves an error in its cell.
    """

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        *,
        log_output: bool = False,
        stdout_file: Any = None,
        stderr_file: Any = None,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        emit: Emit = _nobody_listens,
        output_bytes: int = 4_000_000,
        **kwargs: Any,
    ) -> NotebookNode:
        """Execute the cells in order, until one fails."""
        options = merge_kwargs(
            remove_args(["input_path", "timeout", "startup_timeout"], **kwargs),
            timeout=execution_timeout or kwargs.get("timeout"),
            startup_timeout=start_timeout,
            kernel_name=kernel_name,
            log=logger,
            log_output=log_output,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
        )
        return _Client(nb_man, emit, output_bytes, **options).execute()


class _Client(PapermillNotebookClient):
    def __init__(
        self,
        nb_man: NotebookExecutionManager,
        emit: Emit,
        output_bytes: int,
        **options: Any,
    ) -> None:
        super().__init__(nb_man, **options)
        self._emit, self._cap = emit, output_bytes
        self._left = self._dropped = 0
        self._busy = self._stopping = False

    def execute(self, **kwargs: Any) -> NotebookNode:
        self.reset_execution_trackers()
        self._emit(journal.Prepared(notebook=self.nb))
        with self.setup_kernel(**kwargs):
            previous = signal.signal(signal.SIGINT, self._interrupt)
            try:
                if self.papermill_execute_cells():
                    info = self.wait_for_reply(self.kc.kernel_info())
                    self.nb.metadata["language_info"] = info["content"]["language_info"]
                self.set_widgets_metadata()
            finally:
                signal.signal(signal.SIGINT, previous)
        return self.nb

    def _interrupt(self, *_: object) -> None:
        """Pass an interrupt on to the kernel, so that the cell that runs shows it; end the run."""
        self._stopping = True
        group = getattr(self.km.provisioner, "pgid", None)
        # A kernel between two cells would not hear it: `process_message` repeats it then.
        if group and self._busy:
            os.killpg(group, signal.SIGINT)

    def process_message(self, *arguments: Any, **kwargs: Any) -> NotebookNode | None:
        """Take in one message from the kernel."""
        kind = arguments[0]["msg_type"]
        if kind == "execute_input":
            self._busy = True
            if self._stopping:
                self._interrupt()
        elif kind == "status" and arguments[0]["content"]["execution_state"] == "idle":
            self._busy = False
        return super().process_message(*arguments, **kwargs)

    def papermill_execute_cells(self) -> bool:
        """Execute the cells; whether the kernel is still alive."""
        for index, cell in enumerate(self.nb.cells):
            if cell.cell_type != "code" or not cell.source.strip():
                self.nb_man.cell_start(cell, index)
                self.nb_man.cell_complete(cell, cell_index=index)
                continue
            if self._stopping:
                return True
            self._left, self._dropped = self._cap, 0
            self._emit(journal.CellStarted(cell=index))
            self.nb_man.cell_start(cell, index)
            ok = alive = True
            # The kernel does not count what papermill put in: `In [n]` stays as its author saw it.
            ours = journal.INJECTED in cell.metadata.get("tags", ())
            try:
                self.execute_cell(cell, index, store_history=not ours)
            except CellExecutionError as error:
                ok = False
                self.nb_man.cell_exception(cell, cell_index=index, exception=error)
            except DeadKernelError as error:
                ok = alive = False
                self._add(cell, index, _death(self.km))
                self.nb_man.cell_exception(cell, cell_index=index, exception=error)
            if self._dropped:
                self._add(cell, index, _notice(self._dropped, self._cap))
            self.nb_man.cell_complete(cell, cell_index=index)
            if ours:
                cell["execution_count"] = None
            count = cell.get("execution_count")
            self._emit(journal.CellFinished(cell=index, ok=ok, execution_count=count))
            if not ok:
                return alive
        return True

    def _add(self, cell: NotebookNode, index: int, output: NotebookNode) -> None:
        cell.outputs.append(output)
        self._emit(journal.Shown(cell=index, output=_typed(output)))

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """Keep an output if the cell may still show that much, and tell of it."""
        hooked = bool(self.output_hook_stack[msg["parent_header"].get("msg_id")])
        if not hooked and self.clear_before_next_output:
            self._emit(journal.Cleared(cell=cell_index))
        if not self._fit(msg):
            return None
        out = super().output(outs, msg, display_id, cell_index)
        if out is not None:
            self._emit(journal.Shown(cell=cell_index, output=_typed(out)))
        return out

    def _fit(self, msg: dict[str, Any]) -> bool:
        """Take a message's size off what the cell may still show, shortening plain text to fit."""
        content = msg["content"]
        _without_plotly_js(content)
        size = len(msgspec.json.encode(content))
        if size <= self._left:
            self._left -= size
            return True
        kept = 0
        if msg["msg_type"] == "stream":
            # Escapes make text longer, never shorter, than its characters.
            room = int(len(content["text"]) * self._left / size)
            kept = int(size * room / max(1, len(content["text"])))
            content["text"] = content["text"][:room]
        self._left = 0
        self._dropped += size - kept
        return kept > 0

    def clear_output(self, outs: list[NotebookNode], msg: dict[str, Any], cell_index: int) -> None:
        """Clear what a cell has shown, and tell of it."""
        had = len(outs)
        super().clear_output(outs, msg, cell_index)
        if had and not outs:
            self._emit(journal.Cleared(cell=cell_index))

    def _update_display_id(self, display_id: str, msg: dict[str, Any]) -> None:
        if msg["msg_type"] == "update_display_data" and not self._fit(msg):
            return
        super()._update_display_id(display_id, msg)
        for cell, indexes in self._display_id_map.get(display_id, {}).items():
            for index in indexes:
                output = self.nb.cells[cell].outputs[index]
                self._emit(journal.Replaced(cell=cell, index=index, output=_typed(output)))


def _typed(output: NotebookNode) -> journal.Output:
    return msgspec.convert(output, journal.Output)


def _without_plotly_js(content: dict[str, Any]) -> None:
    """Take plotly's script out of an output: an exporter draws the figure, and needs the room."""
    data = content.get("data") or {}
    markup = data.get("text/html")
    if isinstance(markup, str) and len(markup) > 1_000_000:
        data["text/html"] = _PLOTLY_JS.sub("", markup)


def _notice(dropped: int, cap: int) -> NotebookNode:
    text = (
        f"\n[irkit: {dropped / 1e6:.1f} MB more was not kept: a cell may show {cap / 1e6:g} MB. "
        "Show less, or write it to a file.]\n"
    )
    return new_output("stream", name="stderr", text=text)


def _death(kernel: Any) -> NotebookNode:
    """What the notebook shows in the cell in which the kernel died."""
    process = getattr(kernel.provisioner, "process", None)
    code = process.poll() if process is not None else None
    how = "it ended"
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        limit = {"SIGXCPU": ", the limit on CPU time", "SIGXFSZ": ", the limit on file size"}
        how = f"signal {name}{limit.get(name, '')}"
    elif code is not None:
        how = f"exit code {code}"
    text = f"the kernel died in this cell ({how}); its variables are lost"
    return new_output("error", ename="DeadKernel", evalue=text, traceback=[f"DeadKernel: {text}"])
