"""Texts on a terminal: they wrap with a hanging indent; in a pipe each is one line."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from datetime import datetime

from irkit.model.incident import IncidentState, PlanState
from irkit.text import one_line
from runner.web.card import card

NARROWEST, WIDEST = 40, 110
_LONGEST = 2000


def columns() -> int | None:
    """How wide lines may be; None where no terminal wraps them, such as in a pipe or a log."""
    if not sys.stdout.isatty():
        return None
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))


def labelled(label: str, text: str, *, width: int | None) -> str:
    """A label and its text; what does not fit on the line goes on under the text.

    Control characters of foreign text are taken out: a log line cannot repaint a terminal.

    Example:
        >>> print(labelled("why  ", "one two three four", width=14))
        why  one two
             three
             four
    """
    text = one_line(text, _LONGEST)
    if width is None:
        return f"{label}{text}".rstrip()
    lines = textwrap.wrap(text, max(width - len(label), 10), break_on_hyphens=False) or [""]
    return f"\n{' ' * len(label)}".join([f"{label}{lines[0]}".rstrip(), *lines[1:]])


def table(rows: Iterable[tuple[str, str]], *, width: int | None, indent: str = "") -> str:
    """Labels and texts below one another, aligned."""
    rows = list(rows)
    longest = max((len(label) for label, _ in rows), default=0)
    return "\n".join(
        labelled(f"{indent}{label:<{longest}}  ", text, width=width) for label, text in rows
    )


def card_rows(known: PlanState, state: IncidentState, now: datetime) -> list[tuple[str, str]]:
    """What the approver reads before deciding, in the order of the page's card."""
    shown = card(known, state, person="", now=now, refusal=None)
    plan = known.plan
    why = shown.suspect or shown.reason or "not said"
    dependants = ", ".join(shown.dependants) or "nobody known"
    return [
        ("change", shown.diff or f"{plan.change.current} -> {plan.change.target}"),
        ("reach", f"{shown.reach}; depended on by {dependants}"),
        ("why", f"{why} ({shown.strength})" if shown.suspect else why),
        ("against", shown.contrary),
        ("gaps", "; ".join(shown.gaps) or "none"),
        ("undo", shown.undo or f"none: {shown.undo_cannot}"),
        ("decides", f"{shown.asked}; {shown.given}"),
        ("expires", f"{plan.expires_at:%H:%M:%SZ}, then nothing is applied"),
        ("asked by", shown.requester),
        ("state", shown.status_words),
        ("plan", f"{shown.id}, hash {shown.hash[:16]}"),
    ]
