"""A session: the one way from a notebook to the world.

Two classes have these methods.  `irkit.evidence.remote.RemoteSession` speaks to the runner over
the run's socket; `irkit.evidence.local.LocalSession` does the looks itself, with the engineer's own
read credentials, where there is no runner.  Both record every look.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from irkit.model.action import Argument, Plan
from irkit.model.base import Value
from irkit.model.catalog import Catalog
from irkit.model.event import Event
from irkit.model.finding import Gap, RuledOut, Suspect
from irkit.model.incident import PlanState
from irkit.model.look import Reply, Request


class Briefing(Value, frozen=True, kw_only=True):
    """What a notebook is told at the start: who it is, the frozen now, the incident, the catalog.

    `events` is the incident's ledger so far; empty where there is no incident.  `types` maps each
    integration's name to its type, so that replies can be read.
    """

    principal: str
    run: str = ""
    now: datetime
    events: tuple[Event, ...] = ()
    catalog: Catalog
    types: dict[str, str] = {}
    url: str = ""
    live: bool = True


class Proposal(Value, frozen=True, kw_only=True):
    """The runner's answer to a proposed act: the plan, how it stands, or why it is refused.

    `state` is None for a plan that was only asked for and not proposed.
    """

    plan: Plan | None = None
    state: PlanState | None = None
    refused: str = ""
    reason: str = ""
    url: str = ""


class Note(Value, frozen=True, kw_only=True):
    """Something for the record: a text, or what a diagnosis found."""

    text: str = ""
    suspects: tuple[Suspect, ...] | None = None
    ruled_out: tuple[RuledOut, ...] = ()
    gaps: tuple[Gap, ...] = ()
    onset: datetime | None = None
    method: str = ""


class Ask(Value, frozen=True, kw_only=True):
    """A proposed act: which, on what, why.

    With `commit` false the runner only computes the plan.  `wait` is how long to wait for an
    automatic decision and its effect, in seconds.
    """

    action: str
    target: str
    arguments: dict[str, Argument] = {}
    commit: bool = False
    wait: float = 0.0
    suspect: str = ""
    strength: float | None = None
    contrary: str = ""
    reason: str = ""
    gaps: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


class Session(Protocol):
    """The verbs a notebook has: look, propose, say, note."""

    @property
    def briefing(self) -> Briefing:
        """What it was told at the start."""
        ...

    def look(self, request: Request) -> Reply:
        """Ask a source; the reply is recorded first.  A failed look is a reply with an error."""
        ...

    def propose(self, ask: Ask) -> Proposal:
        """Ask the runner for an act's plan, or propose the act.

        Raises:
            NeedsRunner: there is no runner.
        """
        ...

    def say(self, text: str) -> None:
        """Say something to the incident's channel."""
        ...

    def note(self, note: Note) -> None:
        """Write something into the record."""
        ...

    def events(self) -> tuple[Event, ...]:
        """The incident's ledger as it stands now."""
        ...
