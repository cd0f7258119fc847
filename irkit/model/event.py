"""The ledger's events: one class for each kind, with who writes it.

An event is never changed or removed; a correction is a new event.  `kind` names are
`noun.verb` in the past tense.  `docs/adr/0001-event-kinds.md` lists each with its writer.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from irkit.model.action import Outcome, Plan
from irkit.model.alert import Alert
from irkit.model.base import Value, canonical
from irkit.model.finding import Gap, RuledOut, Suspect

GENESIS = "0" * 64


class Body(Value, frozen=True, kw_only=True, tag_field="kind"):
    """What an event says; each kind is a subclass."""

    @classmethod
    def kind(cls) -> str:
        """The name of the kind, such as `alert.fired`."""
        return str(cls.__struct_config__.tag)


class IncidentOpened(Body, frozen=True, kw_only=True, tag="incident.opened"):
    """Alerts formed a new incident; written by triage (`hook:NAME`) or by a person."""

    title: str
    severity: str
    service: str
    services: tuple[str, ...]
    group: str
    route: str
    runbook: str
    parameters: dict[str, str | int | float | bool] = {}
    signal: str = ""
    why: str = ""


class AlertFired(Body, frozen=True, kw_only=True, tag="alert.fired"):
    """An alert of this incident fires; written by triage on a hook's delivery."""

    alert: Alert
    delivery: str


class AlertResolved(Body, frozen=True, kw_only=True, tag="alert.resolved"):
    """An alert of this incident no longer fires; written by triage on a hook's delivery."""

    alert: Alert
    delivery: str


class SeverityChanged(Body, frozen=True, kw_only=True, tag="severity.changed"):
    """The incident is graver or lighter than it was; written by triage or a person."""

    was: str
    severity: str
    why: str


class Acknowledged(Body, frozen=True, kw_only=True, tag="incident.acknowledged"):
    """A person has taken the incident; only `person:NAME` writes it."""

    note: str = ""


class RunStarted(Body, frozen=True, kw_only=True, tag="run.started"):
    """A runbook was started, or started again after a crash (`attempt` 2); written by the runner.

    `now` is the moment that every look's window resolves from.  `purpose` is `diagnose`, `after`
    (an act ended, so look again) or `manual`.
    """

    run: str
    ordinal: int
    attempt: int
    purpose: str
    runbook: str
    parameters: dict[str, str | int | float | bool] = {}
    now: datetime
    because: str = ""


class RunLive(Body, frozen=True, kw_only=True, tag="run.live"):
    """A run's first look that was answered by a source and not by the recording.

    `recorded` says how many looks the recording had answered before it (0 in a run that was not
    resumed); from here on everything is live.  Written by the runner.
    """

    run: str
    attempt: int
    recorded: int


class RunFinished(Body, frozen=True, kw_only=True, tag="run.finished"):
    """A run ended: `succeeded`, `failed`, `timed_out`, `stopped`, `killed` or `refused`.

    Written by the runner.  `cell` is the n in `In [n]` of the cell in which it ended badly,
    `bundle` the root hash of the run's evidence, `runbook` the SHA-256 of the runbook as it was and
    `notebook` that of the executed notebook.
    """

    run: str
    attempt: int
    status: str
    seconds: float
    cell: int | None = None
    error: str = ""
    looks: int = 0
    gaps: int = 0
    bundle: str = ""
    runbook: str = ""
    notebook: str = ""
    confined: str = ""


class SuspectsNamed(Body, frozen=True, kw_only=True, tag="suspects.named"):
    """A run ranked what probably broke, or says that nothing stands out; written by `run:ID`."""

    run: str
    suspects: tuple[Suspect, ...]
    ruled_out: tuple[RuledOut, ...] = ()
    gaps: tuple[Gap, ...] = ()
    onset: datetime | None = None
    method: str = ""


class GapFound(Body, frozen=True, kw_only=True, tag="gap.found"):
    """A look failed, and what it would have shown is missing; written by `run:ID`."""

    run: str
    source: str
    gap: Gap


class PlanMade(Body, frozen=True, kw_only=True, tag="plan.made"):
    """The runner computed what an act would do, because `plan.requester` asked for it."""

    plan: Plan


class ActRefused(Body, frozen=True, kw_only=True, tag="act.refused"):
    """An act was not planned, decided or applied; `reason` is a fixed word, `text` says more.

    `undoes` is the plan that it was to take back.  Written for whoever asked, or by the runner.
    """

    action: str
    target: str
    reason: str
    text: str
    plan: str = ""
    undoes: str = ""


class ApprovalGiven(Body, frozen=True, kw_only=True, tag="approval.given"):
    """A person, or a policy (then `by` is `system`), allows exactly the plan with this hash."""

    plan: str
    plan_hash: str
    expires_at: datetime
    policy: str = ""
    note: str = ""


class ApprovalDenied(Body, frozen=True, kw_only=True, tag="approval.denied"):
    """A person does not allow the plan."""

    plan: str
    plan_hash: str
    note: str = ""


class ApprovalExpired(Body, frozen=True, kw_only=True, tag="approval.expired"):
    """Nobody decided in time; nothing is applied.  Written by the runner."""

    plan: str


class ActionStarted(Body, frozen=True, kw_only=True, tag="action.started"):
    """The runner is about to apply a plan; after a crash the target is asked what came of it."""

    plan: str
    key: str
    title: str = ""


class ActionApplied(Body, frozen=True, kw_only=True, tag="action.applied"):
    """The plan was applied, once; written by the runner."""

    plan: str
    outcome: Outcome


class ActionFailed(Body, frozen=True, kw_only=True, tag="action.failed"):
    """The plan could not be applied, or nobody can tell; written by the runner."""

    plan: str
    outcome: Outcome


class EffectChecked(Body, frozen=True, kw_only=True, tag="effect.checked"):
    """The signal was looked at after the act and is not yet decided; written by the runner."""

    plan: str
    number: int
    value: float | None
    text: str


class EffectVerified(Body, frozen=True, kw_only=True, tag="effect.verified"):
    """The verdict on an act, on the signal that fired: `recovered`, `not_recovered`, `unknown`."""

    plan: str
    verdict: str
    service: str
    signal: str
    before: float | None
    after: float | None
    limit: float | None
    unit: str = ""
    text: str = ""


class MessagePosted(Body, frozen=True, kw_only=True, tag="message.posted"):
    """Something was said to the channel; `channel` is where."""

    channel: str
    text: str


class NoteWritten(Body, frozen=True, kw_only=True, tag="note.written"):
    """A remark for the record, by a person or a run."""

    text: str


class AttentionNeeded(Body, frozen=True, kw_only=True, tag="attention.needed"):
    """A human must look: the software stops here, and says why; written by the runner."""

    why: str
    about: str = ""
    next: str = ""


class EffectFailed(Body, frozen=True, kw_only=True, tag="effect.failed"):
    """Doing something owed raised an error; it is tried again, or a human is told."""

    effect: str
    attempt: int
    error: str


class IncidentResolved(Body, frozen=True, kw_only=True, tag="incident.resolved"):
    """The incident is over: all alerts resolved (`system`), or a person says so."""

    why: str


class PostmortemExported(Body, frozen=True, kw_only=True, tag="postmortem.exported"):
    """The post-mortem was written: it shows the chain up to event `upto`, whose hash is `head`.

    `files` maps paths below the storage to SHA-256: the post-mortem as a notebook that people edit
    and as it was exported, each run's report, and the lists of what the runner itself looked at.
    """

    run: str
    upto: int
    head: str
    files: dict[str, str]


class Corrected(Body, frozen=True, kw_only=True, tag="event.corrected"):
    """A person corrects an earlier event's time or text; both values stay visible."""

    of: int
    field: str
    was: str
    value: str
    why: str


AnyBody = (
    IncidentOpened | AlertFired | AlertResolved | SeverityChanged | Acknowledged
    | RunStarted | RunLive | RunFinished | SuspectsNamed | GapFound
    | PlanMade | ActRefused | ApprovalGiven | ApprovalDenied | ApprovalExpired
    | ActionStarted | ActionApplied | ActionFailed | EffectChecked | EffectVerified
    | MessagePosted | NoteWritten | AttentionNeeded | EffectFailed
    | IncidentResolved | PostmortemExported | Corrected
)  # fmt: skip


class Event(Value, frozen=True, kw_only=True):
    """One fact about an incident, chained to the one before it.

    `at` is when it happened, `recorded` when it was stored (both UTC).  `key` is unique within
    the incident: appending the same key twice stores it once.
    """

    incident: str
    seq: int
    key: str
    at: datetime
    recorded: datetime
    by: str
    body: AnyBody
    prev: str
    hash: str

    @property
    def kind(self) -> str:
        """The kind's name, such as `alert.fired`."""
        return self.body.kind()


class Draft(Value, frozen=True, kw_only=True):
    """An event that is not stored yet: the ledger gives it place, time of record and hash."""

    key: str
    at: datetime
    by: str
    body: AnyBody


def chain_hash(
    prev: str, incident: str, seq: int, key: str, at: datetime, recorded: datetime, by: str,
    body: bytes,
) -> str:  # fmt: skip
    """SHA-256 over the previous hash and this event's canonical content: 64 hex digits."""
    head = canonical([prev, incident, seq, key, at, recorded, by])
    return hashlib.sha256(head + b"\n" + body).hexdigest()


BODY_DECODER = msgspec.json.Decoder(AnyBody)


def kinds() -> dict[str, type[Body]]:
    """Every kind of event, by name."""
    return {cls.kind(): cls for cls in AnyBody.__args__}
