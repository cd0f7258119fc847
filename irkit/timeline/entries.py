"""Events as entries of the timeline: when, in which lane, with which sign, and what may fold."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from irkit.model import event as ev
from irkit.model.base import Value
from irkit.model.event import Event
from irkit.model.window import format_duration, parse_rfc3339
from irkit.text import clock, one_line
from irkit.timeline.sentence import sentence

LANES: Final = ("Signals", "Changes", "Runs", "People", "Messages")
FOLD_FROM: Final = 4
FOLD_WITHIN: Final = timedelta(seconds=60)
LATE: Final = timedelta(seconds=2)

# kind: lane, glyph (the signs of irkit.figures), and whether it is never folded or dropped
_PLACE: Final[dict[str, tuple[str, str, bool]]] = {
    "incident.opened": ("Signals", "other", True),
    "alert.fired": ("Signals", "alert", False),
    "alert.resolved": ("Signals", "resolved", False),
    "severity.changed": ("Signals", "other", True),
    "incident.acknowledged": ("People", "ack", True),
    "run.started": ("Runs", "run", False),
    "run.live": ("Runs", "run", False),
    "run.finished": ("Runs", "run", False),
    "suspects.named": ("Runs", "run", True),
    "gap.found": ("Runs", "gap", True),
    "plan.made": ("Changes", "other", False),
    "act.refused": ("Changes", "refused", True),
    "approval.given": ("People", "decision", True),
    "approval.denied": ("People", "decision", True),
    "approval.expired": ("People", "decision", True),
    "action.started": ("Changes", "act", True),
    "action.applied": ("Changes", "act", True),
    "action.failed": ("Changes", "refused", True),
    "effect.checked": ("Signals", "other", False),
    "effect.verified": ("Signals", "verified", True),
    "message.posted": ("Messages", "message", False),
    "note.written": ("People", "other", True),
    "attention.needed": ("Messages", "refused", True),
    "effect.failed": ("Runs", "refused", False),
    "incident.resolved": ("Signals", "resolved", True),
    "postmortem.exported": ("Runs", "other", False),
    "event.corrected": ("People", "other", True),
}
_PLURAL: Final = {
    "alert.fired": "alerts", "alert.resolved": "alerts resolved", "run.started": "runs started",
    "run.live": "runs went live", "run.finished": "runs finished", "plan.made": "plans",
    "effect.checked": "looks at the effect", "message.posted": "messages",
    "effect.failed": "failed effects", "postmortem.exported": "post-mortem exports",
}  # fmt: skip


class Entry(Value, frozen=True, kw_only=True):
    """One line of the timeline, in plain text that a renderer has yet to escape.

    `at` is when it happened (UTC; corrected, where a person corrected it: then `was` says what
    stood there), `offset` its distance from the first alert.  `lane` is one of `LANES`, `glyph`
    a sign of `irkit.figures`.  `key` entries are never folded or dropped.  `seq` is the event's
    place in the ledger, 0 for what is read out of another event (the onset, a suspected change).
    An entry that stands for several alike ones holds them in `inside`.
    """

    at: datetime
    recorded: datetime
    offset: timedelta | None
    lane: str
    glyph: str
    kind: str
    text: str
    by: str
    key: bool = False
    seq: int = 0
    was: str = ""
    inside: tuple[Entry, ...] = ()

    @property
    def clock(self) -> str:
        """The time of day as pages show it: `14:02:07Z`."""
        return clock(self.at)

    @property
    def relative(self) -> str:
        """The distance from the first alert: `+3m12s`, `-15s`, or empty without an alert."""
        if self.offset is None:
            return ""
        text = format_duration(self.offset)
        return text if text.startswith("-") else f"+{text}"

    @property
    def late(self) -> bool:
        """Whether it was recorded more than two seconds after it happened."""
        return self.recorded - self.at > LATE


def entries(events: Iterable[Event]) -> tuple[Entry, ...]:
    """Every event as an entry, oldest first, with the onset and the suspected changes put in.

    Nothing is left out here; `folded` groups what is alike.
    """
    events = tuple(events)
    first = next((e.recorded for e in events if isinstance(e.body, ev.AlertFired)), None)
    corrections = {e.body.of: e.body for e in events if isinstance(e.body, ev.Corrected)}
    found: list[Entry] = []
    told: set[object] = set()
    for event in events:
        found.extend(_derived(event, told))
        found.append(_entry(event, corrections.get(event.seq), first))
    found.sort(key=lambda e: (e.at, e.seq))
    return tuple(msgspec.structs.replace(e, offset=e.at - first if first else None) for e in found)


def folded(lines: Iterable[Entry]) -> tuple[Entry, ...]:
    """The same entries with four or more alike within 60 s as one: `23 alerts, 14:03:10Z - ...`.

    Key entries stay as they are; the rows of a fold stand in its `inside`.
    """
    lines = tuple(lines)
    alike: dict[str, list[Entry]] = {}
    for line in lines:
        if not line.key:
            alike.setdefault(line.kind, []).append(line)
    swallowed: dict[int, Entry | None] = {}
    for kind, group in alike.items():
        start = 0
        while start < len(group):
            end = start
            while end < len(group) and group[end].at - group[start].at <= FOLD_WITHIN:
                end += 1
            if end - start >= FOLD_FROM:
                inside = tuple(group[start:end])
                head, last = inside[0], inside[-1]
                text = f"{len(inside)} {_PLURAL.get(kind, kind)}, {head.clock} - {last.clock}"
                fold = msgspec.structs.replace(head, text=text, by="", seq=0, inside=inside)
                swallowed.update({id(one): None for one in inside} | {id(head): fold})
                start = end
            else:
                start += 1
    kept = (swallowed.get(id(line), line) for line in lines)
    return tuple(line for line in kept if line is not None)


def _entry(event: Event, correction: ev.Corrected | None, first: datetime | None) -> Entry:
    lane, glyph, key = _PLACE[event.kind]
    body, at, text, was = event.body, event.at, sentence(event), ""
    match body:
        case ev.AlertFired():
            key = event.recorded == first
        case ev.RunFinished(status=status) if status != "succeeded":
            key, glyph = True, "refused"
        case ev.PlanMade(plan=plan) if plan.undoes:
            key = True
        case ev.EffectVerified(verdict=verdict) if verdict != "recovered":
            glyph = "refused"
        case ev.NoteWritten() if event.by.startswith("run:"):
            lane = "Runs"
    if correction and correction.field == "at":
        try:
            at, was = parse_rfc3339(correction.value), f"was {clock(at)}"
        except ValueError:
            was = f"a correction gives {one_line(correction.value, 60)}"
    elif correction:
        text, was = one_line(correction.value), f"was: {text}"
    return Entry(
        at=at, recorded=event.recorded, offset=None, lane=lane, glyph=glyph, kind=event.kind,
        text=text, by=event.by, key=key, seq=event.seq, was=was,
    )  # fmt: skip


def _derived(event: Event, told: set[object]) -> Iterable[Entry]:
    """What an event says about moments before it: when the symptom began, which change fits."""
    if not isinstance(event.body, ev.SuspectsNamed):
        return
    base = Entry(
        at=event.at, recorded=event.recorded, offset=None, lane="Signals", glyph="alert",
        kind="onset", text="", by=event.by, key=True,
    )  # fmt: skip
    replace = msgspec.structs.replace
    if event.body.onset and "onset" not in told:
        told.add("onset")
        yield replace(base, at=event.body.onset, text="Onset of the symptom, as the run found it")
    for suspect in event.body.suspects:
        change = (suspect.service, suspect.change, suspect.change_at)
        if suspect.change and suspect.change_at and change not in told:
            told.add(change)
            yield replace(
                base, at=suspect.change_at, lane="Changes", glyph="deploy", kind="change",
                text=f"Deploy of {one_line(suspect.service, 60)}: {one_line(suspect.change, 120)}",
            )  # fmt: skip
