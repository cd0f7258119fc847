"""docs/adr/README.md, from the first line of every decision."""

from __future__ import annotations

import re
from pathlib import Path

from pages import NOTICE, table

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "adr"


def page() -> str:
    """The whole page."""
    rows = []
    for path in sorted(FOLDER.glob("0*.md")):
        number, title = re.match(r"# (\d+)\. (.+)", path.read_text(encoding="utf-8")).groups()  # type: ignore[union-attr]
        rows.append((number, f"[{title}]({path.name})"))
    return (
        "\n\n".join(
            [
                NOTICE,
                "# Decisions",
                "Why things are as they are: one page each, with what was tried and measured. A"
                " decision that is taken back keeps its page, and says which one follows it.",
                table(("number", "decision"), rows),
            ]
        )
        + "\n"
    )
