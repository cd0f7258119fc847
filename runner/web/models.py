"""What the API says and takes: the shapes of `/api/v1`.  Times are UTC, durations seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Note = Annotated[str, StringConstraints(max_length=4000)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
State = Literal["open", "mitigated", "resolved"]


class Shape(BaseModel):
    """A part of the API: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid")


class Error(Shape):
    """Why something was not done: what, on what, what to do next, and a fixed word."""

    what: str
    on: str = ""
    next: str = ""
    reason: str = Field(default="", description="A fixed word for programs: `plan_changed`, ...")


class Stored(Shape):
    """A delivery is on the disk."""

    delivery: int


class RunView(Shape):
    """One execution of a runbook; `cells_done` only while it is under way."""

    run: str
    purpose: str
    runbook: str
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    seconds: float = 0.0
    error: str = ""
    looks: int = 0
    gaps: int = 0
    cells_done: int | None = None
    cells_total: int | None = None


class DecisionView(Shape):
    """Who decided what, when; `by` is `system` where a policy did."""

    by: str
    at: datetime
    allowed: bool
    note: str = ""
    policy: str = ""


class PlanView(Shape):
    """What an act would do, as the runner computed it.  A decision must name its `hash`."""

    id: str
    incident: str
    title: str
    action: str
    target: str
    status: str
    hash: str
    requester: str
    approvers: list[str] = Field(description="Who may decide; empty: any person but the requester.")
    approvals_needed: int
    approvals_given: int
    expires_at: datetime
    diff: str
    instances: int
    of: int
    dependants: list[str]
    undo: str
    suspect: str
    contrary: str
    gaps: list[str]
    decisions: list[DecisionView]
    outcome: str = ""
    verdict: str = ""


class TimeView(Shape):
    """One of the four times; `seconds` is null and `unknown` says why where it is not known."""

    name: str
    definition: str
    start: datetime | None
    end: datetime | None
    seconds: float | None
    unknown: str


class EntryView(Shape):
    """One line of the timeline."""

    seq: int
    at: datetime
    recorded: datetime
    lane: str
    kind: str
    text: str
    by: str
    corrected: str = ""


class IncidentSummary(Shape):
    """An incident in a list."""

    id: str
    title: str
    severity: str
    state: State
    service: str
    opened_at: datetime
    first_alert_at: datetime | None
    resolved_at: datetime | None
    acked_by: str
    alerts_firing: int
    plans_waiting: int
    runs: list[RunView]


class IncidentDetail(IncidentSummary):
    """Everything that the ledger says about an incident now; `head` is its chain's end."""

    services: list[str]
    signal: str
    mitigated_at: datetime | None
    onset: datetime | None
    times: list[TimeView]
    plans: list[PlanView]
    suspects: list[dict[str, Any]]
    ruled_out: list[dict[str, Any]]
    attention: list[str]
    timeline: list[EntryView]
    last_seq: int
    head: str


class EventView(Shape):
    """One event of the ledger, as stored."""

    incident: str
    seq: int
    key: str
    kind: str
    at: datetime
    recorded: datetime
    by: str
    body: dict[str, Any]
    prev: str
    hash: str


class Remark(Shape):
    """Words for the record; may be empty."""

    note: Note = ""


class Written(Shape):
    """A note; must not be empty."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"\S")]


class Forms(Shape):
    """In which forms the post-mortem is written."""

    to: Annotated[list[Literal["html", "md", "pdf"]], Field(min_length=1, max_length=3)] = [
        "html",
        "md",
    ]


class Exported(Shape):
    """The files of a post-mortem as they were written: name to SHA-256."""

    files: dict[str, str]


class Verdict(Shape):
    """A decision on exactly the plan with this hash."""

    plan_hash: Hash
    note: Note = ""
