"""What a run says while it runs: the messages, the file that keeps them, a notebook from it.

The child writes messages to a pipe; the parent checks each and appends it to `journal` as one
JSON line `{"at": ..., "message": ...}`.  A cell writes what it likes, so messages are foreign
text: whatever does not fit these types is refused.  Outputs are nbformat 4's
(https://nbformat.readthedocs.io/en/latest/format_description.html).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from runner.runs.confine import Confinement

Index = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Text = str | list[str]


class Stream(msgspec.Struct, frozen=True, kw_only=True, tag_field="output_type", tag="stream"):
    """Text written to standard output or error."""

    name: Literal["stdout", "stderr"]
    text: Text


class Display(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="output_type", tag="display_data"
):
    """Something shown, in one or more MIME types."""

    data: dict[str, Any]
    metadata: dict[str, Any] = {}


class Result(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="output_type", tag="execute_result"
):
    """The value of a cell's last expression."""

    data: dict[str, Any]
    metadata: dict[str, Any] = {}
    execution_count: int | None = None


class Error(msgspec.Struct, frozen=True, kw_only=True, tag_field="output_type", tag="error"):
    """An exception that ended a cell."""

    ename: str
    evalue: str
    traceback: list[str]


Output = Stream | Display | Result | Error


class Confined(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="confined"):
    """The child is shut in; nothing of the notebook has run."""

    confinement: Confinement


class Prepared(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="prepared"):
    """The notebook with its parameters in place, before the first cell; indexes refer to it.

    People are told of a cell by another number: see `numbers`.
    """

    notebook: dict[str, Any]


class CellStarted(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cell_started"):
    """A code cell begins."""

    cell: Index


class Shown(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="output"):
    """A cell shows something more."""

    cell: Index
    output: Output


class Cleared(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cleared"):
    """A cell's outputs so far are gone."""

    cell: Index


class Replaced(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="replaced"):
    """An output shown before has changed (display updates)."""

    cell: Index
    index: Index
    output: Output


class CellFinished(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="cell_finished"
):
    """A code cell has ended."""

    cell: Index
    ok: bool
    execution_count: int | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ended"):
    """The run is over and the child's `notebook.ipynb` complete."""

    status: Literal["succeeded", "failed"]
    cell: Index | None = None
    error_name: str = ""
    error_text: str = ""


Message = Confined | Prepared | CellStarted | Shown | Cleared | Replaced | CellFinished | Ended


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a journal: a message and when the runner got it (UTC)."""

    at: datetime
    message: Message


class NotAMessage(ValueError):
    """A line from a child that is none of the messages above."""


_decode_message = msgspec.json.Decoder(Message).decode
_decode_line = msgspec.json.Decoder(Line).decode


def encode(message: Message) -> bytes:
    """A message as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """The message in one line; raises `NotAMessage` for anything else."""
    try:
        return _decode_message(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise NotAMessage(str(error)) from error


def stamped(at: datetime, line: bytes) -> bytes:
    """A child's line, already checked, as a journal's line; nothing is encoded twice."""
    return b'{"at":%b,"message":%b}\n' % (msgspec.json.encode(at), line.strip())


def read(path: str | Path) -> Iterator[Line]:
    """The lines of a journal, in order; a last line torn by a crash is left out."""
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield _decode_line(line)


INJECTED = "injected-parameters"  # papermill's tag for the cell that it puts in


def numbers(cells: Iterable[dict[str, Any]]) -> list[int | None]:
    """For each cell the n of its `In [n]`: its place among those that run, from 1.

    They are counted as the author wrote them, so the cell of injected parameters has no number
    and shifts none; Markdown and empty cells have none either.

    Example:
        >>> numbers([{"cell_type": "markdown"}, {"cell_type": "code", "source": "1"}])
        [None, 1]
    """
    found: list[int | None] = []
    last = 0
    for cell in cells:
        counts = (
            cell.get("cell_type") == "code"
            and "".join(cell.get("source", "")).strip() != ""
            and INJECTED not in cell.get("metadata", {}).get("tags", ())
        )
        last += counts
        found.append(last if counts else None)
    return found


def rebuild(runbook: dict[str, Any], lines: Iterable[Line], *, reason: str) -> dict[str, Any]:
    """The partial notebook of a run that could not write its own.

    `runbook` is the notebook as it was, used if the run never came to prepare it.  The cell that
    was running gets an error output and papermill's own markers, so that tools find it; `reason`
    says in one sentence why the run ended.
    """
    notebook, running = runbook, -1
    cells: list[dict[str, Any]] = notebook["cells"]
    shown = numbers(cells)
    for line in lines:
        message = line.message
        if isinstance(message, Prepared):
            notebook = message.notebook
            cells = notebook["cells"]
            shown = numbers(cells)
            continue
        if isinstance(message, (Confined, Ended)) or message.cell >= len(cells):
            continue
        cell = cells[message.cell]
        about = cell.setdefault("metadata", {}).setdefault("papermill", {})
        match message:
            case CellStarted():
                running = message.cell
                about |= {"status": "running", "start_time": line.at.isoformat()}
                cell["outputs"] = []
                cell["execution_count"] = shown[message.cell]
            case Shown():
                _append(cell["outputs"], message.output)
            case Cleared():
                cell["outputs"] = []
            case Replaced() if message.index < len(cell["outputs"]):
                cell["outputs"][message.index] = _plain(message.output)
            case CellFinished():
                running = -1
                about["status"] = "completed" if message.ok else "failed"
                about |= {"exception": not message.ok, "end_time": line.at.isoformat()}
                cell["execution_count"] = message.execution_count
    _mark(notebook, running, reason)
    return notebook


def _append(outputs: list[dict[str, Any]], output: Output) -> None:
    plain = _plain(output)
    last = outputs[-1] if outputs else {}
    if isinstance(output, Stream) and last.get("name") == output.name:
        last["text"] = "".join(last["text"]) + "".join(plain["text"])
    else:
        outputs.append(plain)


def _plain(output: Output) -> dict[str, Any]:
    return msgspec.to_builtins(output)


# papermill removes cells with this tag when a notebook is run again.
_TAG = "papermill-error-cell-tag"
_STYLE = 'style="color:red; font-size:1.5em;"'


def _mark(notebook: dict[str, Any], running: int, reason: str) -> None:
    head = f"<span {_STYLE}>This run did not end by itself: {escape(reason)}.</span>"
    if running >= 0:
        cell = notebook["cells"][running]
        cell["metadata"]["papermill"] |= {"status": "failed", "exception": True}
        error = Error(ename="RunEnded", evalue=reason, traceback=[f"RunEnded: {reason}"])
        cell["outputs"].append(_plain(error))
        head += ' <a href="#papermill-error-cell">It was here</a>.'
        here = f'<span id="papermill-error-cell" {_STYLE}>The run ended in this cell:</span>'
        notebook["cells"].insert(running, _markdown(here, "irkit-run-ended-cell"))
    notebook["cells"].insert(0, _markdown(head, "irkit-run-ended"))


def _markdown(source: str, name: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {"tags": [_TAG]}, "source": source}
