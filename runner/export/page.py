"""The page: our own nbconvert exporter, what its templates are given, and its security policy."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
from markupsafe import Markup
from nbconvert.exporters.templateexporter import TemplateExporter
from nbformat import NotebookNode
from traitlets import default

from irkit.errors import NotFound
from irkit.figures import Figure, page_css, reading
from irkit.figures.scale import duration
from irkit.postmortem import pictures
from irkit.postmortem.drafts import md
from irkit.postmortem.values import MEANING, Comparison, PostmortemFacts, Text, Texts
from irkit.text import SEVERITY_SIGNS
from irkit.timeline.entries import Entry
from runner.export.clean import markdown
from runner.export.figures import FigureView, view
from runner.export.steps import STEPS
from runner.shipped import shipped

BUNDLE: Final = "plotly-cartesian-4.1.1.min.js.gz"
BUNDLE_SHA256: Final = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
GZIP_SHA256: Final = "d7eb3e363b08c539569af55384352fa83cb47801e04a79aa819d5c40570ce38d"


class Page:
    """What the templates see besides the notebook, collected while the steps run."""

    def __init__(
        self, *, title: str, facts: PostmortemFacts | None, texts: Texts | None,
        head: tuple[tuple[str, str], ...] = (), before: Sequence[Figure] = (),
    ) -> None:  # fmt: skip
        self.title, self.facts, self.texts, self.head = title, facts, texts, head
        self.demote = 2 if facts else 1
        self.place = self.ended = ""
        self.live = False
        self.figures: list[FigureView] = []
        self.css = Markup(page_css())  # noqa: S704 - our own constant
        self._before = before
        self._drawn: list[Figure] = []

    def add_figure(self, shown: FigureView, figure: Figure | None) -> dict[str, Any]:
        """Register a figure of the notebook; returns its form for the template."""
        self.figures.append(shown)
        if figure is not None:
            self._drawn.append(figure)
        return {"kind": "figure", "figure": shown, "n": len(self.figures)}

    @property
    def severity_sign(self) -> str:
        """The sign that stands for the severity on every page."""
        return SEVERITY_SIGNS.get(self.facts.severity, "●") if self.facts else ""

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The numbers before and after the act, from the notebook's figures."""
        return pictures.compare(self._drawn, self.facts, self._before) if self.facts else ()

    @property
    def timeline(self) -> FigureView | None:
        """The incident in lanes."""
        return view(pictures.timeline(self.facts)) if self.facts else None

    @property
    def signals(self) -> FigureView | None:
        """The notebook's own line figures on the timeline's scale."""
        panels = pictures.signals(self._drawn, self.facts) if self.facts else None
        return view(panels) if panels else None

    @property
    def durations(self) -> FigureView | None:
        """How long this took among earlier incidents."""
        strip = pictures.durations(self.facts) if self.facts else None
        return view(strip) if strip else None

    @property
    def explore(self) -> bool:
        """Whether any figure can be explored, so that the bundle is needed."""
        return any(f.packed for f in self.figures)

    @property
    def drawn(self) -> int:
        """How many of the notebook's figures are drawn without scripts."""
        return sum(1 for f in self.figures if f.wide)

    @property
    def footer(self) -> str:
        """Incident, head and review state, for the foot of each printed page."""
        if not self.facts:
            return _css_text(self.title)
        f = self.facts
        return _css_text(f"{f.incident} - head {f.seal.head[:16]} - {f.review.state}")


class PageExporter(TemplateExporter):
    """nbconvert with our steps, our template folder and nothing else on its path."""

    def __init__(self, *, markup: bool, **kw: Any) -> None:
        self._markup = markup
        super().__init__(
            template_name="postmortem",
            template_file="index.html.j2" if markup else "index.md.j2",
            extra_template_basedirs=[str(shipped("templates"))],
            **kw,
        )
        for step in STEPS:
            self.register_preprocessor(step, enabled=True)

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".html" if self._markup else ".md"

    def from_notebook_node(  # type: ignore[override]
        self, nb: Any, resources: Any = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        """Run the steps and render; the notebook given is left as it was.

        nbconvert's own copies the whole notebook twice and validates it after each step, which
        takes longer than everything else; the steps only replace what hangs on cells and outputs.
        """
        told = dict(resources or {})
        copied = _copied(nb)
        for step in self._preprocessors:
            copied, told = step(copied, told)
        return str(self.template.render(nb=copied, resources=told)), told

    def get_prefix_root_dirs(self) -> list[str]:
        """No template but ours: a file in a user's Jupyter folder does not change an export."""
        return []

    def default_filters(self) -> Iterable[tuple[str, Any]]:
        """Our filters only."""
        return FILTERS.items()

    def _init_preprocessors(self) -> None:
        self._preprocessors: list[Any] = []

    def _create_environment(self) -> Any:
        environment = super()._create_environment()
        environment.autoescape = self._markup
        environment.trim_blocks = environment.lstrip_blocks = True
        return environment


@cache
def exporter(markup: bool) -> PageExporter:
    """The exporter for HTML (`markup`) or Markdown; made once, for compiling templates is slow."""
    return PageExporter(markup=markup)


@cache
def script() -> str:
    """The page's own script, as it stands in the page."""
    return (shipped("templates") / "postmortem" / "page.js").read_text(encoding="utf-8").strip()


@cache
def bundle() -> str:
    """The vendored plotly bundle, gzip in base64, checked against its pinned sum.

    Raises:
        NotFound: the file is missing or not the pinned one.
    """
    path = shipped("templates") / "postmortem" / "vendor" / BUNDLE
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != GZIP_SHA256:
        raise NotFound(
            "the plotly bundle is missing or changed", on=str(path), next="install irkit again"
        )
    return base64.b64encode(data).decode()


def bundle_script() -> bytes:
    """The vendored script itself, for the test that compares its sum."""
    return gzip.decompress(base64.b64decode(bundle()))


def policy(*, explore: bool) -> str:
    """The page's Content-Security-Policy: nothing from anywhere; scripts by their hash only."""
    scripts = "'none'"
    if explore:
        ours = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
        theirs = base64.b64encode(bytes.fromhex(BUNDLE_SHA256)).decode()
        scripts = f"'sha256-{ours}' 'sha256-{theirs}'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _copied(nb: Any) -> Any:
    """A copy down to the outputs' data, whose values the steps replace but never change."""
    cells = []
    for cell in nb.cells:
        made = NotebookNode(cell, metadata=NotebookNode(cell.metadata))
        if "outputs" in cell:
            made["outputs"] = [
                NotebookNode(o, data=NotebookNode(o["data"])) if "data" in o else NotebookNode(o)
                for o in cell.outputs
            ]
        cells.append(made)
    return NotebookNode(nb, cells=cells)


def _clock(moment: datetime | None) -> str:
    return moment.strftime("%H:%M:%SZ") if moment else "unknown"


def _stamp(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ") if moment else "unknown"


def _rows(facts: PostmortemFacts) -> tuple[list[Entry], list[Entry]]:
    """The timeline's rows: what matters and what was folded, then the rest."""
    main: list[Entry] = []
    rest: list[Entry] = []
    for entry in facts.entries:
        routine = entry.kind == "effect.checked" or not entry.inside
        (rest if routine and not entry.key else main).append(entry)
    return main, rest


def _length(value: Any) -> str:
    if value is None:
        return "unknown"
    return duration(value if isinstance(value, int | float) else value.total_seconds())


def _text_html(text: Text) -> Markup:
    return Markup(markdown(text.source))  # noqa: S704 - sanitized by markdown()


def _safe(html: str) -> Markup:
    return Markup(html)  # noqa: S704 - only given what the steps sanitized or drew


def _fence(text: str) -> str:
    """A Markdown fence longer than any in the text."""
    longest = max((len(m) for m in re.findall(r"`{3,}", text)), default=2)
    marks = "`" * (longest + 1)
    return f"{marks}\n{text}\n{marks}"


def _as_text(markup: str) -> str:
    """The words of sanitized HTML, a table row to a line, for Markdown."""
    rows = re.sub(r"</(?:tr|p|div|li|h[1-6]|summary)>|<br>", "\n", markup)
    cells = re.sub(r"</t[dh]>\s*(?=<t[dh])", " | ", re.sub(r"\s*\n\s*(?=<t[dh])", "", rows))
    text = html.unescape(re.sub(r"<[^>]*>", "", cells))
    return re.sub(r"\n\s*\n+", "\n", text).strip()


def _demoted(source: str) -> str:
    """Author Markdown with its headings two steps down and its tags inert; code stays as it is."""
    parts = re.split(
        r"(^(?:```|~~~).*?^(?:```|~~~)[^\n]*$)", source, flags=re.MULTILINE | re.DOTALL
    )
    for i in range(0, len(parts), 2):
        lowered = re.sub(r"^(#{1,4}) ", r"##\1 ", parts[i], flags=re.MULTILINE)
        parts[i] = re.sub(r"<(?=[/!?a-zA-Z])", "&lt;", lowered)
    return "".join(parts)


def _css_text(text: str) -> str:
    """Text for a CSS string: only what cannot end or escape one."""
    return re.sub(r"[^A-Za-z0-9 ._:+-]", "?", text)[:120]


def _tags(cell: Any) -> set[str]:
    return set(cell.get("metadata", {}).get("tags", []))


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "clock": _clock,
    "stamp": _stamp,
    "rows": _rows,
    "span": _length,
    "reading": reading,
    "prose": _text_html,
    "safe_html": _safe,
    "md": md,
    "fence": _fence,
    "as_text": _as_text,
    "demoted": _demoted,
    "tags": _tags,
    "meaning": MEANING.__getitem__,
    "window": lambda w: str(w) if w else "no window",
    "json": lambda v: msgspec.json.encode(v, order="sorted").decode(),
    "short": lambda text, n: text if len(text) <= n else text[: n - 1] + "…",
}
