"""docs/files.md, from the first sentence of every module."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from pages import NOTICE, table

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("irkit", "runner")


def page() -> str:
    """The whole page."""
    parts = [
        NOTICE,
        "# Where is what",
        "Every module with the first sentence of its docstring, and every runbook and template."
        " How they hang together: [architecture.md](architecture.md).",
    ]
    for folder in [ROOT / name for name in FOLDERS]:
        for inner in [folder, *sorted(p for p in folder.rglob("*") if p.is_dir())]:
            rows = [(f"`{path.name}`", text) for path in sorted(inner.glob("*.py"))
                    if (text := _sentence(path))]  # fmt: skip
            if rows:
                parts += [
                    f"## {inner.relative_to(ROOT).as_posix()}/",
                    table(("file", "what"), rows),
                ]
    parts += ["## notebooks/", table(("file", "what"), _runbooks())]
    parts += ["## templates/", table(("folder", "what"), TEMPLATES)]
    return "\n\n".join(parts) + "\n"


TEMPLATES = (
    ("`postmortem/`", "The post-mortem as HTML and Markdown, and the report of a run."),
    ("`postmortem/vendor/`", "The pinned plotly bundle that draws foreign figures, and its terms."),
    ("`init/`", "What `irkit init` copies; `dot-` in front of a name becomes a dot."),
)


def _runbooks() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        lines = [line for line in "".join(first).splitlines() if line and not line.startswith("#")]
        yield f"`{path.name}`", lines[0]


def _sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())
