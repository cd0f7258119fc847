"""The post-mortem's notebook: a copy of the chosen run, with three cells that people own."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Final

from irkit.errors import BadInput
from irkit.postmortem import drafts
from irkit.postmortem.values import PostmortemFacts, Text, Texts

OWNED: Final = ("summary", "lessons", "actions")
_HEADINGS: Final = {"summary": "Summary", "lessons": "What we learned", "actions": "Action items"}


def assemble(run_notebook: Any, facts: PostmortemFacts, *, previous: Any = None) -> Any:
    """The notebook of the post-mortem: the run's cells, and summary, lessons and action items.

    The run's own cells become read-only.  With `previous`, the post-mortem as people left it,
    their texts are kept; texts that nobody touched are drafted anew from the facts.  The inputs
    are left as they were.  Nothing but the three cells is meant to be edited: facts are folded
    from the ledger at each export.

    Raises:
        BadInput: the notebook is not one of format 4.
    """
    from nbformat import NotebookNode
    from nbformat.v4 import new_markdown_cell

    if run_notebook.get("nbformat") != 4:
        raise BadInput(
            "not a notebook of format 4",
            on="the run's notebook",
            next="open and save it in JupyterLab",
        )
    made = copy.deepcopy(run_notebook)
    kept = read_texts(previous) if previous is not None else None
    owned = {}
    for name, draft in texts(facts, kept):
        shown = draft.source
        cell = new_markdown_cell(f"## {_HEADINGS[name]}\n\n{shown}")
        cell["id"] = f"irkit-{name}"
        cell["metadata"] = NotebookNode(
            tags=[f"irkit-{name}"],
            irkit=NotebookNode(
                drafted_by=draft.drafted_by,
                source_hash=source_hash(draft.original),
                original=draft.original,
            ),
        )
        owned[name] = cell
    cells = [c for c in made.cells if not _owned_name(c)]
    for cell in cells:
        cell["metadata"]["editable"] = False
    made.cells = [owned["summary"], *cells, owned["lessons"], owned["actions"]]
    made.metadata["irkit"] = NotebookNode(
        {
            **made.metadata.get("irkit", {}),
            "incident": facts.incident,
            "run": facts.run,
            "head": facts.seal.head,
        }
    )
    made.nbformat_minor = max(made.nbformat_minor, 5)
    return made


def texts(facts: PostmortemFacts, kept: Texts | None) -> list[tuple[str, Text]]:
    """The three texts: a person's where there is one, otherwise a fresh draft."""
    by = f"run:{facts.run}" if facts.run else "system"
    seqs = [r.seq for r in facts.records]
    who = f"{by} from events {min(seqs)}-{max(seqs)}" if seqs else by
    out = []
    for name in OWNED:
        old: Text | None = getattr(kept, name) if kept else None
        if old is not None and old.edited:
            out.append((name, old))
            continue
        draft = getattr(drafts, name)(facts)
        out.append((name, Text(source=draft, drafted_by=who, original=draft)))
    return out


def read_texts(notebook: Any, *, edited_by: str = "") -> Texts | None:
    """What the three cells of a post-mortem's notebook say now; None where it has none.

    A cell whose text no longer has the hash that was noted with the draft counts as edited, by
    `edited_by` where the caller knows who.
    """
    found: dict[str, Text] = {}
    for cell in notebook.cells:
        name = _owned_name(cell)
        if not name:
            continue
        source = _without_heading(str(cell.source), _HEADINGS[name])
        noted = cell.metadata.get("irkit", {})
        edited = source_hash(source) != noted.get("source_hash")
        found[name] = Text(
            source=source, drafted_by=str(noted.get("drafted_by", "")), edited=edited,
            edited_by=edited_by if edited else "", original=str(noted.get("original", "")),
        )  # fmt: skip
    if not found:
        return None
    missing = Text(source="")
    return Texts(**{name: found.get(name, missing) for name in OWNED})


def source_hash(source: str) -> str:
    """SHA-256 of a cell's text without the blanks around it."""
    return hashlib.sha256(source.strip().encode()).hexdigest()


def without_owned(notebook: Any) -> Any:
    """The same notebook without the three cells, for the evidence section."""
    bare = copy.copy(notebook)
    bare["cells"] = [c for c in notebook.cells if not _owned_name(c)]
    return bare


def _owned_name(cell: Any) -> str:
    tags = cell.metadata.get("tags", [])
    return next((name for name in OWNED if f"irkit-{name}" in tags), "")


def _without_heading(source: str, heading: str) -> str:
    head, _, rest = source.strip().partition("\n")
    return rest.strip() if head.lstrip("# ").strip().lower() == heading.lower() else source.strip()
