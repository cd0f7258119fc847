"""The steps from an executed notebook to what a page shows; each does one thing.

They run in the order of `STEPS`, as nbconvert preprocessors, on nbconvert's own copy.
"""

from __future__ import annotations

import re
from typing import Any, Final

from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_output

from irkit.figures import MIME, from_plotly
from runner.export.clean import clean_html, clean_text, data_image, markdown
from runner.export.figures import PLOTLY, figure_of, recover, view_of_ours, view_of_plotly
from runner.export.widgets import VIEW, models_of, plain, shown_in

# What an object prints that has no text of its own.
_BARE: Final = re.compile(r"<[\w.]+ object( at 0x[0-9a-f]+)?>\s*\Z")
NOTE: Final = "application/vnd.irkit.note"
MOST_TEXT: Final = 20_000
MOST_HTML: Final = 400_000
MOST_IMAGE: Final = 3_000_000
MOST_OUTPUTS: Final = 200


class DropMarkers(Preprocessor):
    """Takes out the banners that papermill puts above a failed cell; the page says it in words."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Drop the marking cells, and keep what the run's own record says of its end."""
        marked = "papermill-error-cell-tag"  # papermill itself removes what has this tag
        nb.cells = [c for c in nb.cells if marked not in c.metadata.get("tags", [])]
        page, redact = resources["irkit_page"], resources.get("irkit_redact")
        page.ended = _ending(nb, redact or str)
        return nb, resources


class RedactText(Preprocessor):
    """Runs the redactor that the exporter was given over every source, output and attachment."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Redact one cell."""
        redact = resources.get("irkit_redact")
        if redact:
            cell.source = redact(cell.source)
            cell.outputs = _redacted(cell.get("outputs", []), redact)
        return cell, resources


class RecoverFigures(Preprocessor):
    """Turns HTML that plotly wrote for a browser back into the figure's JSON."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Recover the figures of one cell's outputs."""
        outputs = []
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            markup = data.get("text/html", "")
            figures = [] if PLOTLY in data or MIME in data else recover(_joined(markup))
            if figures:
                outputs += [new_output("display_data", {PLOTLY: figure}) for figure in figures]
            elif not _is_loader(_joined(markup), data):
                outputs.append(output)
        if cell.cell_type == "code":
            cell.outputs = outputs
        return cell, resources


class DropWidgets(Preprocessor):
    """Leaves the static form of a control, for a page has no kernel to talk to."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Drop the widgets of all cells; what they caught as output stands below each."""
        models = models_of(nb)
        for cell in nb.cells:
            outputs: list[Any] = []
            for output in cell.get("outputs", []):
                outputs.append(output)
                data = output.get("data", {})
                view = data.pop(VIEW, None)
                if view is None:
                    continue
                text = plain(models, view, _joined(data.get("text/plain", "")))
                if text.strip():
                    data["text/plain"] = text
                elif not data:
                    data[NOTE] = "A control that works in JupyterLab only was here."
                for caught in shown_in(models, view):
                    caught.get("data", {}).pop(VIEW, None)
                    outputs.append(caught)
            if cell.cell_type == "code":
                cell.outputs = outputs
        return nb, resources


class DropScripts(Preprocessor):
    """Says that a script was left out, instead of running or hiding it."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Drop the scripts of one cell."""
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            scripted = [m for m in ("application/javascript", "text/javascript") if m in data]
            for mime in scripted:
                del data[mime]
            if scripted and not set(data) - {"text/plain"}:
                data[NOTE] = "A script's output was left out: this page runs no foreign scripts."
                data.pop("text/plain", None)
        return cell, resources


class JoinStreams(Preprocessor):
    """Puts what a cell printed into one text for each stream, and takes out terminal codes."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Join the streams of one cell."""
        outputs: list[Any] = []
        for output in cell.get("outputs", []):
            last = outputs[-1] if outputs else None
            if output.output_type != "stream":
                outputs.append(output)
            elif last is not None and last.output_type == "stream" and last.name == output.name:
                last["text"] = _joined(last.text) + _joined(output.text)
            else:
                outputs.append(output)
        for output in outputs:
            if output.output_type == "stream":
                output["text"] = clean_text(_joined(output.text))
        if cell.cell_type == "code":
            cell.outputs = outputs
        return cell, resources


class CapOutputs(Preprocessor):
    """Cuts what is too long to read, and says how much and where the rest is."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Cap the outputs of one cell."""
        outputs = cell.get("outputs", [])
        if len(outputs) > MOST_OUTPUTS:
            note = f"{len(outputs) - MOST_OUTPUTS} more outputs are in the notebook."
            cell.outputs = [*outputs[:MOST_OUTPUTS], new_output("display_data", {NOTE: note})]
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output["text"] = shorten(output.text)
            data = output.get("data", {})
            for mime in list(data):
                limit = MOST_IMAGE if mime.startswith("image/") else MOST_HTML
                size = len(_joined(data[mime])) if isinstance(data[mime], str | list) else 0
                if mime == "text/plain":
                    data[mime] = shorten(clean_text(_joined(data[mime])))
                elif mime in (PLOTLY, MIME, NOTE):
                    continue
                elif size > limit:
                    del data[mime]
                    data[NOTE] = (
                        f"An output of {size / 1e6:.1f} MB ({mime}) was left out; "
                        "it is in the notebook."
                    )
        return cell, resources


class ChooseForm(Preprocessor):
    """Picks the form of each output that a page can show, and makes it harmless.

    The result is `cell.metadata.irkit_page`: a list of `{"kind": ..., ...}` for the template.
    """

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Choose the forms of all cells; ours are explorable where the bundle is there anyway."""
        outputs = (o for c in nb.cells for o in c.get("outputs", []))
        resources["irkit_page"].live = any(PLOTLY in o.get("data", {}) for o in outputs)
        done: tuple[Any, Any] = super().preprocess(nb, resources)
        return done

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Choose the forms of one cell's outputs."""
        page = resources["irkit_page"]
        count = cell.get("execution_count")
        page.place = f"In [{count}]" if isinstance(count, int) else ""
        shown: list[dict[str, Any]] = []
        if cell.cell_type == "markdown":
            html = markdown(cell.source, demote=page.demote, attachments=cell.get("attachments"))
            shown.append({"kind": "html", "html": html, "plate": False})
        for output in cell.get("outputs", []):
            form = _form(output, page)
            if form is not None:
                shown.append(form)
        cell.metadata["irkit_page"] = shown
        return cell, resources


STEPS: Final = (
    DropMarkers, DropWidgets, RecoverFigures, DropScripts, JoinStreams, RedactText, CapOutputs,
    ChooseForm,
)  # fmt: skip


def shorten(text: str, most: int = MOST_TEXT) -> str:
    """The beginning and end of a long text, with the number of characters left out between."""
    if len(text) <= most:
        return text
    head, tail = text[: most * 3 // 4], text[-most // 4 :]
    gone = len(text) - len(head) - len(tail)
    return f"{head}\n... {gone:,} characters left out here; they are in the notebook ...\n{tail}"


def _form(output: Any, page: Any) -> dict[str, Any] | None:
    if output.output_type == "stream":
        text = output.text.rstrip("\n")
        return {"kind": "text", "text": text, "name": output.name} if text.strip() else None
    if output.output_type == "error":
        trace = clean_text("\n".join(output.get("traceback", [])))
        return {
            "kind": "error", "name": clean_text(output.get("ename", "error")),
            "value": shorten(clean_text(output.get("evalue", "")), 2000), "trace": shorten(trace),
        }  # fmt: skip
    data = output.get("data", {})
    if MIME in data:
        ours = figure_of(data[MIME])
        if ours is not None:
            return page.add_figure(view_of_ours(ours, live=page.live), ours)
    if PLOTLY in data:
        title = f"figure from {page.place}" if page.place else "figure"
        drawn = from_plotly(data[PLOTLY], title=title)
        return page.add_figure(view_of_plotly(data[PLOTLY], drawn, title=title), drawn)
    return _plain_form(data, page)


def _plain_form(data: dict[str, Any], page: Any) -> dict[str, Any] | None:
    text = _joined(data.get("text/plain", ""))
    if "text/html" in data:
        raw = _joined(data["text/html"])
        html = clean_html(raw, demote=page.demote)
        if html.strip():
            return {"kind": "html", "html": html, "plate": "background" in html or "color:" in html}
        if not text and "<script" in raw.lower():
            data[NOTE] = "A script's output was left out: this page runs no foreign scripts."
    if "text/markdown" in data:
        html = markdown(_joined(data["text/markdown"]), demote=page.demote)
        return {"kind": "html", "html": html, "plate": False}
    for mime in ("image/svg+xml", "image/png", "image/jpeg", "image/gif", "image/webp"):
        uri = data_image(mime, _joined(data[mime])) if mime in data else None
        if uri:
            said = text if text and not text.startswith("<") else ""
            alt = said or f"image{' from ' * bool(page.place)}{page.place}, without a description"
            return {"kind": "image", "src": uri, "alt": alt[:300]}
    if NOTE in data:
        return {"kind": "note", "text": data[NOTE]}
    latex = clean_text(_joined(data.get("text/latex", "")))
    if latex.strip() and (not text.strip() or _BARE.match(text)):
        return {"kind": "code", "text": shorten(latex)}
    return {"kind": "text", "text": text, "name": "stdout"} if text.strip() else None


def _ending(nb: Any, redact: Any) -> str:
    """How the run ended, where it did not end well; "" where its record says nothing."""
    told = nb.metadata.get("irkit", {})
    if not isinstance(told, dict) or not told.get("error"):
        return ""
    where = f" in cell In [{told['cell']}]" if isinstance(told.get("cell"), int) else ""
    how = {"timed_out": "timed out", "killed": "was killed", "stopped": "was stopped"}
    ended = how.get(str(told.get("status")), "failed")
    return clean_text(redact(f"This run {ended}{where}: {told['error']}"))[:2000]


def _is_loader(markup: str, data: dict[str, Any]) -> bool:
    """Whether this is only plotly's own script, which its renderers write once per notebook."""
    return (
        set(data) <= {"text/html", "text/plain"}
        and "<script" in markup
        and ("PlotlyConfig" in markup or "plotly.js v" in markup[:20_000])
    )


def _joined(text: Any) -> str:
    return "".join(text) if isinstance(text, list) else str(text)


def _redacted(value: Any, redact: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        texts = [v for v in value if isinstance(v, str)]
        if len(texts) > 16:
            # A series of dates or names: asking once for all is as good, and far faster.
            joined = "\n".join(texts)
            if redact(joined) == joined:
                return [v if isinstance(v, str) else _redacted(v, redact) for v in value]
        return [_redacted(v, redact) for v in value]
    if isinstance(value, dict):
        return NotebookNode(
            {
                k: v if k.startswith("image/") or k == "bdata" else _redacted(v, redact)
                for k, v in value.items()
            }
        )
    return value
