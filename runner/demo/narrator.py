"""Tells the story on the terminal while it happens, one line for each event."""

from __future__ import annotations

import sys
import threading
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from irkit.model import event as ev
from irkit.model.event import Event
from irkit.model.incident import IncidentState, PlanState
from irkit.model.times import four_times
from irkit.model.window import format_duration
from irkit.timeline import sentence
from runner.terminal import card_rows, columns, labelled, table

_STYLES: dict[type[ev.Body], str] = {
    ev.AlertFired: "bold red",
    ev.AlertResolved: "green",
    ev.PlanMade: "bold magenta",
    ev.ApprovalGiven: "magenta",
    ev.ApprovalDenied: "bold yellow",
    ev.EffectChecked: "dim",
    ev.EffectVerified: "bold green",
    ev.IncidentResolved: "bold green",
    ev.AttentionNeeded: "bold yellow",
}


class Narrator:
    """Prints events as sentences, with the time since the first one.

    In a terminal lines wrap under their text and have colours; in a pipe each event is one line.
    """

    def __init__(self) -> None:
        self.width = columns()
        self.console = Console(highlight=False, width=self.width)
        self._first: datetime | None = None
        self._lock = threading.Lock()

    def say(self, text: str, style: str = "") -> None:
        """A sentence of the story that is no event."""
        indent = text[: len(text) - len(text.lstrip())]
        self._print(Text(labelled(indent, text, width=self.width), style=style))

    def events(self, events: tuple[Event, ...]) -> None:
        """Tell new events."""
        with self._lock:
            for event in events:
                self._first = self._first or event.recorded
                since = round((event.recorded - self._first).total_seconds())
                passed = format_duration(timedelta(seconds=since)) if since else "0s"
                label = f"  {event.recorded:%H:%M:%SZ} {'+' + passed:>7}  "
                line = Text(labelled(label, sentence(event), width=self.width))
                line.stylize(_STYLES.get(type(event.body), ""), len(label))
                line.stylize("dim", 0, len(label))
                self._print(line)

    def card(self, known: PlanState, state: IncidentState, now: datetime) -> None:
        """What the approver reads before deciding."""
        rows = card_rows(known, state, now)
        if self.width is None:
            self._print(Text(f"  {known.plan.title}"))
            self._print(Text(table(rows, width=None, indent="    ")))
            return
        body = Text(table(rows, width=self.width - 4))
        body.highlight_regex(r"(?m)^\S[\w ]{6,8}  ", "bold")
        title = labelled("", known.plan.title, width=self.width - 8)
        self.console.print(
            Panel(body, title=Text(title), title_align="left", border_style="magenta")
        )

    def asks(self, person: str) -> bool:
        """Ask whoever sits here for a yes or a no; neither is the default.

        Raises:
            click.Abort: the input ended, or Ctrl-C was pressed.
        """
        return click.confirm(f"  You are {person}. Allow it?", default=None)

    def ends(self, state: IncidentState) -> None:
        """How the story ended: the four times, or that a denied act left the incident open."""
        if state.resolved_at is None:
            self.say("You denied it: nothing was applied, and the incident stays open.")
            return
        parts = [
            f"{s.name} {format_duration(s.length) if s.length is not None else s.unknown}"
            for s in four_times(state)
        ]
        self.say("The four times: " + ", ".join(parts), style="bold")

    def waiting(self, text: str) -> Any:
        """A spinner while something takes its time; silent without a terminal."""
        return self.console.status(text)

    def _print(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True)


def somebody_is_here() -> bool:
    """Whether a question can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()
