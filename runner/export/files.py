"""From an executed notebook to files that anybody can read: one self-contained page, Markdown, PDF.

Source of the visual rules: docs/adr/0008-figure-contract.md and templates/postmortem/.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import nbformat

from irkit.errors import BadInput, IrkitError, NotFound
from irkit.figures import MIME, Figure, from_mime, from_plotly
from irkit.model.base import Value
from irkit.postmortem.cells import read_texts, texts, without_owned
from irkit.postmortem.drafts import warnings
from irkit.postmortem.values import PostmortemFacts, Text, Texts
from runner.export.figures import PLOTLY
from runner.export.page import Page, bundle, exporter, policy, script

log = logging.getLogger("irkit.runner")
FORMATS: Final = ("html", "md", "pdf")
Redact = Callable[[str], str]


class Exported(Value, frozen=True, kw_only=True):
    """What an export wrote: a path and SHA-256 for each format, and what a person should know.

    `figures` is how many the notebook has, `drawn` how many of them need no script; `warnings`
    name wording that hides what happened.
    """

    paths: dict[str, str]
    sha256: dict[str, str]
    figures: int
    drawn: int
    warnings: tuple[str, ...] = ()


def export(
    notebook: Any, facts: PostmortemFacts | None = None, *, folder: Path | str,
    name: str = "", to: Iterable[str] = ("html", "md"), before: Any = None,
    title: str = "", head: Iterable[tuple[str, str]] = (), redact: Redact | None = None,
    edited_by: str = "",
) -> Exported:  # fmt: skip
    """Write a notebook as files in `folder`; nothing in them asks any network for anything.

    `notebook` is an executed notebook or the path of one.  With `facts` the result is the whole
    post-mortem, without them the report of a single run, whose title lines are `head` (pairs of
    name and value).  `before` is an earlier run's notebook for the numbers before the act.
    `redact` is applied to every text of the notebook.  Files are replaced in one step each.

    Raises:
        BadInput: not a notebook, or an unknown format.
        NotFound: no such file; for `pdf`, no Chromium.

    Example:
        export("runs/R1/notebook.ipynb", folder="runs/R1", to=("html",))
    """
    formats = tuple(to)
    unknown = [f for f in formats if f not in FORMATS]
    if unknown or not formats:
        raise BadInput(
            "no such format",
            on=", ".join(unknown) or "none given",
            next=f"use {', '.join(FORMATS)}",
        )
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    stem = name or ("postmortem" if facts else "report")
    nb = read_notebook(notebook)
    owned = _texts(nb, facts, edited_by)
    earlier = figures_of(read_notebook(before)) if before is not None else []
    paths: dict[str, str] = {}
    sums: dict[str, str] = {}
    page = html = None
    for form in formats:
        if form in ("html", "pdf") and html is None:
            page, html = _render(nb, facts, owned, True, title, head, earlier, redact)
        if form == "pdf":
            data = pdf(str(html))
        elif form == "html":
            data = str(html).encode()
        else:
            page, text = _render(nb, facts, owned, False, title, head, earlier, redact)
            data = text.encode()
        target = out / f"{stem}.{form}"
        _replace(target, data)
        paths[form], sums[form] = str(target), hashlib.sha256(data).hexdigest()
    assert page is not None
    written = [owned.summary, owned.lessons, owned.actions] if owned else []
    return Exported(
        paths=paths, sha256=sums, figures=len(page.figures), drawn=page.drawn,
        warnings=tuple(dict.fromkeys(w for t in written if t.edited for w in warnings(t.source))),
    )  # fmt: skip


def to_html(
    notebook: Any, facts: PostmortemFacts | None = None, *, before: Any = None, title: str = "",
    head: Iterable[tuple[str, str]] = (), redact: Redact | None = None, edited_by: str = "",
) -> str:  # fmt: skip
    """The page as text; see `export`."""
    nb = read_notebook(notebook)
    earlier = figures_of(read_notebook(before)) if before is not None else []
    owned = _texts(nb, facts, edited_by)
    return _render(nb, facts, owned, True, title, head, earlier, redact)[1]


def to_markdown(
    notebook: Any, facts: PostmortemFacts | None = None, *, before: Any = None, title: str = "",
    head: Iterable[tuple[str, str]] = (), redact: Redact | None = None, edited_by: str = "",
) -> str:  # fmt: skip
    """The same as Markdown, with tables for figures; see `export`."""
    nb = read_notebook(notebook)
    earlier = figures_of(read_notebook(before)) if before is not None else []
    owned = _texts(nb, facts, edited_by)
    return _render(nb, facts, owned, False, title, head, earlier, redact)[1]


def read_notebook(notebook: Any) -> Any:
    """The notebook itself, or the one at a path; older minor formats are brought up to date.

    Raises:
        NotFound: no file there.
        BadInput: it is no notebook.
    """
    if not isinstance(notebook, str | os.PathLike):
        return notebook
    path = Path(notebook)
    if not path.is_file():
        raise NotFound("no such notebook", on=str(path), next="give the path of an .ipynb file")
    try:
        return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError) as why:
        raise BadInput(
            f"not a notebook ({type(why).__name__})",
            on=str(path),
            next="open and save it in JupyterLab",
        ) from None


def figures_of(notebook: Any) -> list[Figure]:
    """The figures in a notebook's outputs that are ours or that we can draw."""
    found: list[Figure] = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            try:
                figure = from_mime(data[MIME]) if MIME in data else from_plotly(data.get(PLOTLY))
            except BadInput:
                continue
            if figure is not None:
                found.append(figure)
    return found


def pdf(html: str) -> bytes:
    """The page printed on A4 by the system's Chromium, which is given no network.

    Raises:
        NotFound: there is no Chromium.
        IrkitError: it did not print.
    """
    browser = next(
        (p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None
    )
    if browser is None:
        raise NotFound("no Chromium to print with", next="install chromium, or export html")
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch) / "page.html", Path(scratch) / "page.pdf"
        source.write_text(html, encoding="utf-8")
        # Chromium's own sandbox needs a user other than root; the page runs no foreign script.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [
            browser, "--headless", *root, "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={scratch}/profile", "--no-pdf-header-footer",
            f"--print-to-pdf={target}", source.as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as why:
            raise IrkitError(
                f"Chromium did not print ({type(why).__name__})",
                on=browser,
                next="export html and print it from a browser",
            ) from None
        return target.read_bytes()


def _texts(notebook: Any, facts: PostmortemFacts | None, edited_by: str) -> Texts | None:
    if facts is None:
        return None
    return Texts(**dict(texts(facts, read_texts(notebook, edited_by=edited_by))))


def _render(
    notebook: Any, facts: PostmortemFacts | None, owned: Texts | None, markup: bool, title: str,
    head: Iterable[tuple[str, str]], before: Iterable[Figure], redact: Redact | None,
) -> tuple[Page, str]:  # fmt: skip
    bare = without_owned(notebook)
    if redact and owned:
        owned = Texts(
            summary=_redacted(owned.summary, redact), lessons=_redacted(owned.lessons, redact),
            actions=_redacted(owned.actions, redact),
        )  # fmt: skip
    named = title or (facts.title if facts else str(bare.metadata.get("title", "Run report")))
    page = Page(title=named, facts=facts, texts=owned, head=tuple(head), before=tuple(before))
    resources = {
        "irkit_page": page,
        "irkit_redact": redact,
        "irkit_policy": policy,
        "irkit_script": script,
        "irkit_bundle": bundle,
    }
    try:
        text, _ = exporter(markup).from_notebook_node(bare, resources=resources)
    except IrkitError:
        raise
    except Exception as why:
        # Boundary: a notebook holds what its cells like; a page that fails on it says so in words.
        log.debug("no page from a notebook", exc_info=True)
        raise IrkitError(
            f"the page could not be made ({type(why).__name__}: {why})", on=named,
            next="the notebook itself is whole; please report this",
        ) from None  # fmt: skip
    return page, str(text)


def _redacted(text: Text, redact: Redact) -> Text:
    return msgspec.structs.replace(text, source=redact(text.source), original=redact(text.original))


def _replace(target: Path, data: bytes) -> None:
    """Write beside the file and move over it, so that a reader never sees half of one."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    draft.write_bytes(data)
    os.replace(draft, target)
