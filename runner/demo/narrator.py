"""Tells the story on the terminal while it happens, one line for each event."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from irkit.model import event as ev
from irkit.model.event import Event
from irkit.model.incident import PlanState
from irkit.model.times import Span
from irkit.model.window import format_duration
from irkit.timeline import sentence

_STYLES: dict[type[ev.Body], str] = {
    ev.AlertFired: "bold red",
    ev.AlertResolved: "green",
    ev.PlanMade: "magenta",
    ev.ApprovalGiven: "magenta",
    ev.EffectVerified: "bold green",
    ev.IncidentResolved: "bold green",
    ev.AttentionNeeded: "bold yellow",
}


class Narrator:
    """Prints events as sentences, with the time since the first one."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._first: datetime | None = None
        self._lock = threading.Lock()

    def say(self, text: str, style: str = "") -> None:
        """One line of the story that is no event."""
        self.console.print(Text(text, style=style))

    def events(self, events: tuple[Event, ...]) -> None:
        """Tell new events."""
        with self._lock:
            for event in events:
                self._first = self._first or event.recorded
                since = format_duration(event.recorded - self._first)
                line = Text(f"  {event.recorded:%H:%M:%SZ} {'+' + since:>7}  ", style="dim")
                line.append(sentence(event), style=_STYLES.get(type(event.body), ""))
                self.console.print(line, soft_wrap=True)

    def card(self, known: PlanState) -> None:
        """What the approver reads before deciding."""
        plan = known.plan
        lines = [
            f"change        {plan.change.diff or plan.title}",
            f"blast radius  {plan.blast.instances} of {plan.blast.of} instances of {plan.target}; "
            f"depended on by {', '.join(plan.blast.dependants) or 'nobody'}",
            f"why           {plan.suspect or plan.reason or 'not said'}"
            + (f" (strength {plan.strength:.0%})" if plan.strength is not None else ""),
            f"against       {plan.contrary or 'nothing found'}",
            f"undo          {plan.undo.how or plan.undo.cannot}",
            f"expires       {plan.expires_at:%H:%M:%SZ}, then nothing is applied",
            f"asked by      {plan.requester}   plan {plan.hash[:12]}",
        ]
        self.console.print(Panel(Text("\n".join(lines)), title=plan.title, border_style="magenta"))

    def times(self, spans: tuple[Span, ...]) -> None:
        """The four times."""
        parts = [f"{s.name} {format_duration(s.length) if s.length else s.unknown}" for s in spans]
        self.say("  the four times: " + ", ".join(parts))

    def waiting(self, text: str) -> Any:
        """A spinner while something takes its time; silent without a terminal."""
        return self.console.status(text)
