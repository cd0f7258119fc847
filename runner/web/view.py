"""What the pages show, as values; pure: state and events in, words out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from irkit.model import event as ev
from irkit.model.base import Value
from irkit.model.event import Event
from irkit.model.finding import unopposed
from irkit.model.incident import AlertState, IncidentState, RunState
from irkit.model.times import four_times
from irkit.model.units import reading
from irkit.model.window import format_duration
from irkit.postmortem.fold import strength
from irkit.postmortem.values import MEANING
from irkit.text import SEVERITY_SIGNS
from irkit.timeline import Entry, entries, folded
from runner.runs.execute import Live
from runner.web.card import finding, version
from runner.web.shape import Progress

# Severity and state are a sign and a word, and a colour only besides.
_ROLES = {"SEV1": "sev1", "SEV2": "sev2"}
SEVERITY = {name: (sign, _ROLES.get(name, "muted")) for name, sign in SEVERITY_SIGNS.items()}
STATE = {"open": ("▲", "sev1"), "mitigated": ("◐", "sev2"), "resolved": ("✓", "ok")}
FRESH = timedelta(hours=12)


class RunLine(Value, frozen=True, kw_only=True):
    """A run in words; `done` and `total` are cells, and 0 where that is not known."""

    run: str
    text: str
    status: str
    role: str
    at: datetime
    done: int = 0
    total: int = 0
    error: str = ""
    ended: bool = False


class Reading(Value, frozen=True, kw_only=True):
    """The signal that fired, as it was last read."""

    name: str
    service: str
    value: str
    limit: str
    at: datetime
    text: str
    role: str


class SuspectView(Value, frozen=True, kw_only=True):
    """A suspect with the fixed word for how sure that is, and what speaks for and against it."""

    sentence: str
    word: str
    means: str
    backing: tuple[str, ...]
    against: tuple[str, ...]


class TimeLine(Value, frozen=True, kw_only=True):
    """One of the four times in words."""

    name: str
    definition: str
    length: str
    start: datetime | None
    end: datetime | None
    unknown: str


class Row(Value, frozen=True, kw_only=True):
    """A line of the timeline, with the full words where the line had to cut them."""

    entry: Entry
    full: str = ""


def elapsed(state: IncidentState, now: datetime) -> str:
    """How long the incident has lasted, from its first alert."""
    start = state.first_alert_at or state.opened_at
    return format_duration(max(timedelta(0), (state.resolved_at or now) - start))


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, in words; `never` where there is no moment."""
    if moment is None:
        return "never"
    return f"{format_duration(max(timedelta(0), now - moment))} ago"


def stamp(moment: datetime, now: datetime) -> str:
    """`14:02:07Z`, with the day where it is not about now."""
    text = f"{moment:%H:%M:%S}Z"
    return text if abs(now - moment) < FRESH else f"{moment:%Y-%m-%d} {text}"


def since(moment: datetime, first: datetime | None) -> str:
    """`+3m12s` from the first alert; empty where there is none."""
    if first is None:
        return ""
    span = moment - first
    text = format_duration(span) if abs(span) >= timedelta(seconds=1) else "0s"
    return text if text.startswith("-") else f"+{text}"


def run_line(run: RunState, live: Live | None) -> RunLine:
    """A run in words."""
    why = {"diagnose": "to find the cause", "after": "to look again after the act"}
    what = f"{run.runbook}, {why.get(run.purpose, 'started by hand')}"
    if run.status == "running":
        again = f" (attempt {run.attempt})" if run.attempt > 1 else ""
        cells = f": cell {live.cells_done} of {live.cells_total}" if live else ": starting"
        return RunLine(
            run=run.run, status="running", role="deploy", at=live.at if live else run.started_at,
            text=f"{what}{again}{cells}",
            done=live.cells_done if live else 0, total=live.cells_total if live else 0,
        )  # fmt: skip
    took = format_duration(timedelta(seconds=run.seconds))
    gaps = f", {run.gaps} gap{'' if run.gaps == 1 else 's'}" if run.gaps else ""
    good = run.status == "succeeded"
    return RunLine(
        run=run.run,
        status=run.status.replace("_", " "),
        role="ok" if good else "sev1",
        at=run.finished_at or run.started_at,
        text=f"{what}: {run.status.replace('_', ' ')} in {took}, {run.looks} looks{gaps}",
        error=run.error,
        ended=True,
    )


def last_reading(events: Sequence[Event], state: IncidentState) -> Reading | None:
    """What verification last saw of the signal that fired; None before the first look."""
    for event in reversed(events):
        body = event.body
        if isinstance(body, ev.EffectVerified) and body.signal:
            role = {"recovered": "ok", "not_recovered": "sev1"}.get(body.verdict, "sev2")
            return Reading(
                name=body.signal, service=body.service, value=reading(body.after, body.unit),
                limit=reading(body.limit, body.unit) if body.limit is not None else "",
                at=event.at, text=body.text, role=role,
            )  # fmt: skip
        if isinstance(body, ev.EffectChecked):
            known = state.plan(body.plan)
            check = known.plan.check if known else None
            if check is None:
                continue
            bad = body.value is not None and (body.value > check.limit) == check.above
            return Reading(
                name=check.signal, service=check.service, value=reading(body.value, check.unit),
                limit=reading(check.limit, check.unit), at=event.at, text=body.text,
                role="sev1" if bad else "sev2" if body.value is None else "ok",
            )  # fmt: skip
    return None


def alerts(state: IncidentState) -> tuple[tuple[AlertState, int], ...]:
    """The alerts, firing first; those of one name on one service as one, with their number."""
    alike: dict[tuple[bool, str, str], list[AlertState]] = {}
    for known in sorted(state.alerts.values(), key=lambda k: (not k.alert.firing, k.stored_at)):
        alert = known.alert
        alike.setdefault((alert.firing, alert.name, alert.service), []).append(known)
    return tuple((group[0], len(group)) for group in alike.values())


def suspects(state: IncidentState) -> tuple[SuspectView, ...]:
    """The suspects, strongest first, each with its fixed word."""
    found = []
    for one in state.suspects:
        word = strength(one, state)
        found.append(
            SuspectView(
                sentence=one.sentence,
                word=word,
                means=MEANING[word],
                backing=tuple(finding(f) for f in one.findings_for),
                against=tuple(map(finding, one.findings_against)) or (unopposed(one.looks),),
            )
        )
    return tuple(found)


def gaps(events: Iterable[Event]) -> tuple[str, ...]:
    """What could not be looked at, why, and what therefore cannot be said; each once."""
    found: dict[str, None] = {}
    for event in events:
        body = event.body
        named = [body.gap] if isinstance(body, ev.GapFound) else []
        if isinstance(body, ev.SuspectsNamed):
            named = list(body.gaps)
        for gap in named:
            cannot = f". Cannot say: {gap.cannot_say}" if gap.cannot_say else ""
            found[f"{gap.what}: {gap.why}{cannot}"] = None
    return tuple(found)


def times(state: IncidentState) -> tuple[TimeLine, ...]:
    """The four times; what is not known says why, and is never 0."""
    return tuple(
        TimeLine(
            name=span.name,
            definition=span.definition,
            length=format_duration(span.length) if span.length is not None else "unknown",
            start=span.start,
            end=span.end,
            unknown=span.unknown,
        )
        for span in four_times(state)
    )


def timeline(events: Sequence[Event]) -> tuple[Row, ...]:
    """The timeline, newest first, alike events folded; long words in full beside their line."""
    words: dict[int, str] = {}
    for event in events:
        body = event.body
        if isinstance(body, ev.NoteWritten | ev.MessagePosted) and len(body.text) > 200:
            words[event.seq] = body.text
    lines = reversed(folded(entries(events)))
    return tuple(Row(entry=line, full=words.get(line.seq, "")) for line in lines)


def now_of(state: IncidentState, progress: Progress) -> dict[str, object]:
    """What a page that is open needs to know: small, the same for the stream and for polling."""
    runs = {r.run: run_line(r, progress(r.run)) for r in state.runs}
    return {
        "seq": state.last_seq,
        "state": state.state,
        "severity": state.severity,
        "acked": state.acked_by.removeprefix("person:"),
        "ended": state.resolved_at.isoformat() if state.resolved_at else "",
        "plans": {p.plan.id: version(p) for p in state.plans},
        "runs": {
            name: {"text": line.text, "done": line.done, "total": line.total, "ended": line.ended}
            for name, line in runs.items()
        },
        "last": state.last_at.isoformat(),
    }
