"""What a post-mortem says, as one immutable value; folded from the ledger, never typed."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from irkit.model.base import Value
from irkit.model.finding import Gap, RuledOut, Suspect
from irkit.model.incident import PlanState, RunState
from irkit.model.look import LookRecord
from irkit.model.times import Span
from irkit.timeline.entries import Entry

Strength = Literal["confirmed", "supported", "consistent", "untested"]
ReviewState = Literal["draft", "in review", "reviewed", "closed", "amended"]

MEANING: Final[dict[str, str]] = {
    "confirmed": "an act on it was verified: the symptom recovered after it",
    "supported": "two or more independent looks agree",
    "consistent": "one look agrees",
    "untested": "nothing recorded speaks for it yet",
}


class RatedSuspect(Value, frozen=True, kw_only=True):
    """A suspect with the fixed word for how sure we are."""

    suspect: Suspect
    strength: Strength


class Refusal(Value, frozen=True, kw_only=True):
    """An act that was not allowed: which, when, and the named reason."""

    at: datetime
    action: str
    target: str
    reason: str
    text: str


class Response(Value, frozen=True, kw_only=True):
    """One act from plan to verdict; `checks` are the looks at the signal after it."""

    state: PlanState
    made_at: datetime
    checks: tuple[str, ...] = ()


class Measure(Value, frozen=True, kw_only=True):
    """A window of values in three numbers."""

    start: datetime
    end: datetime
    n: int
    median: float | None
    p95: float | None


class Comparison(Value, frozen=True, kw_only=True):
    """The same query over two windows of one length, before and after the act."""

    label: str
    query: str
    unit: str
    before: Measure
    after: Measure
    evidence: str = ""


class SignalImpact(Value, frozen=True, kw_only=True):
    """How far a signal was from its limit, and where it came back to."""

    service: str
    signal: str
    unit: str
    worst: float | None
    limit: float | None
    after: float | None


class Responder(Value, frozen=True, kw_only=True):
    """Somebody who acted, and what they did, in order; roles, not blame."""

    name: str
    first_at: datetime
    did: tuple[str, ...]


class Seal(Value, frozen=True, kw_only=True):
    """What vouches for the record: the chain's head, and whether it was checked.

    `verified` is None where nobody checked; `problems` says what the check found.
    """

    head: str
    verified: bool | None = None
    problems: tuple[str, ...] = ()
    signed_by: str = ""


class Past(Value, frozen=True, kw_only=True):
    """An earlier incident to compare with; `alike` says why it is similar, or is empty."""

    id: str
    title: str
    severity: str
    opened_at: datetime
    mitigate_seconds: float | None = None
    resolve_seconds: float | None = None
    alike: str = ""


class Review(Value, frozen=True, kw_only=True):
    """How far people have read it."""

    state: ReviewState = "draft"
    by: str = ""
    at: datetime | None = None


class Record(Value, frozen=True, kw_only=True):
    """One event as the record lists it."""

    seq: int
    at: datetime
    recorded: datetime
    kind: str
    by: str
    text: str
    hash: str


class Text(Value, frozen=True, kw_only=True):
    """Markdown of a person or a machine; `edited` where it no longer is what was drafted."""

    source: str
    drafted_by: str = ""
    edited: bool = False
    edited_by: str = ""
    original: str = ""


class Texts(Value, frozen=True, kw_only=True):
    """The three texts that people own."""

    summary: Text
    lessons: Text
    actions: Text


class PostmortemFacts(Value, frozen=True, kw_only=True):
    """Everything a post-mortem states, as a pure fold over an incident's events.

    `effect` says what broke for whom, `ended` what ended it; `span` is onset (or first alert) to
    recovery (or resolution), with `over` saying whether it is.  `entries` are the timeline's,
    alike ones folded; `evidence` names the looks behind an event, by its place in the ledger.
    """

    incident: str
    title: str
    severity: str
    state: str
    service: str
    services: tuple[str, ...]
    effect: str
    ended: str
    over: bool
    start: datetime
    end: datetime | None
    first_alert_at: datetime | None
    onset: datetime | None
    times: tuple[Span, ...]
    entries: tuple[Entry, ...]
    evidence: dict[int, tuple[str, ...]] = {}
    alerts: int
    signals: tuple[SignalImpact, ...] = ()
    suspects: tuple[RatedSuspect, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    gaps: tuple[Gap, ...] = ()
    failed_looks: tuple[str, ...] = ()
    method: str = ""
    responses: tuple[Response, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    responders: tuple[Responder, ...] = ()
    runs: tuple[RunState, ...] = ()
    looks: tuple[LookRecord, ...] = ()
    records: tuple[Record, ...] = ()
    seal: Seal
    review: Review = Review()
    past: tuple[Past, ...] = ()
    customers: str = ""
    as_of: datetime

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None where it is not over."""
        return (self.end - self.start).total_seconds() if self.end else None

    @property
    def run(self) -> str:
        """The run whose notebook the post-mortem shows: the last one that succeeded."""
        good = [r.run for r in self.runs if r.status == "succeeded"]
        return good[-1] if good else self.runs[-1].run if self.runs else ""
