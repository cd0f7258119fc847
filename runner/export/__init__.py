"""Exports: an executed notebook as one self-contained page, as Markdown, as a post-mortem."""

from runner.export.files import (
    Exported,
    export,
    figures_of,
    pdf,
    read_notebook,
    to_html,
    to_markdown,
)

__all__ = [
    "Exported",
    "export",
    "figures_of",
    "pdf",
    "read_notebook",
    "to_html",
    "to_markdown",
]
