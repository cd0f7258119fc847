"""The generated pages, one module each, and what they share."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written by tools/docs.py from the code. Change it there, not here. -->"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"
        for row in lines
    )


def doc(thing: object) -> str:
    """The docstring, without indentation, up to its example."""
    text = inspect.cleandoc(getattr(thing, "__doc__", "") or "")
    return text.split("\nExample:")[0].strip()


def prose(text: str) -> str:
    """Paragraphs of a docstring, each on one line, with its sources as links."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
