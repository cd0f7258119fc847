"""The post-mortem's own figures: the timeline, and numbers before and after the act."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from irkit.figures import DotStrip, Figure, LineFigure, Panels, Span, Tick, TimelineFigure, ms
from irkit.figures.scale import at, duration
from irkit.postmortem.values import Comparison, Measure, PostmortemFacts
from irkit.timeline.entries import Entry

_UNDRAWN: Final = ("incident.opened", "run.started", "run.finished", "postmortem.exported")
_SHORT: Final = {
    "plan.made": "plan", "approval.given": "{who} approves", "approval.denied": "{who} denies",
    "approval.expired": "no decision", "action.started": "act begins",
    "action.applied": "applied", "action.failed": "act failed", "act.refused": "refused",
    "incident.acknowledged": "{who} acknowledges", "incident.resolved": "resolved",
    "suspects.named": "suspect named", "gap.found": "gap", "onset": "onset",
    "note.written": "note", "message.posted": "message", "attention.needed": "human needed",
    "event.corrected": "correction", "severity.changed": "severity", "effect.failed": "retry",
}  # fmt: skip
CONTEXT: Final = 1_800_000
"""How much of the time before is shown, in ms: half an hour, less where the incident was short."""

FURTHEST: Final = 7_200_000
"""A change longer before the onset than this, in ms, is in the table only."""


def timeline(facts: PostmortemFacts) -> TimelineFigure:
    """The incident in lanes, from the last change before the onset and some quiet before."""
    ticks = [_tick(e) for e in facts.entries if e.kind not in _UNDRAWN]
    for run in facts.runs:
        ticks.append(Tick(
            at=ms(run.started_at), end=ms(run.finished_at) if run.finished_at else None,
            lane="Runs", glyph="run", label=f"run {run.ordinal}: {run.purpose}", key=False,
        ))  # fmt: skip
    last = max((t.end or t.at for t in ticks), default=ms(facts.start))
    recent = ms(facts.start) - FURTHEST
    changes = [ms(e.at) for e in facts.entries if e.kind == "change"]
    changes = [when for when in changes if recent <= when <= ms(facts.start)]
    context = min(CONTEXT, 2 * (last - ms(facts.start)))
    first = min([ms(facts.start) - 60_000, last - max(context, 180_000), *changes[-1:]])
    pad = (last - first) * 0.03
    phases = tuple(
        Span(
            start=ms(t.start), end=ms(t.end), label=f"{t.name} {duration(t.length.total_seconds())}"
        )
        for t in facts.times
        if t.start and t.end and t.length is not None and t.name in ("detect", "mitigate")
    )
    if facts.times and facts.end and facts.times[3].end and facts.times[3].end > facts.end:
        phases += (Span(start=ms(facts.end), end=ms(facts.times[3].end), label="watch"),)
    return TimelineFigure(
        title=_timeline_title(facts),
        ticks=tuple(ticks),
        phases=phases,
        span=(first - pad, last + pad),
    )


def signals(figures: Iterable[Figure], facts: PostmortemFacts) -> Panels | None:
    """The run's own line figures as small multiples on the timeline's scale; None without any."""
    scale = timeline(facts).span
    seen: dict[str, LineFigure] = {}
    for figure in _panels(figures):
        known = figure.query and any(
            x
            for line in figure.lines
            for x, _ in line.known()
            if scale and scale[0] <= x <= scale[1]
        )
        if known:
            seen.setdefault(figure.query, msgspec.structs.replace(figure, span=scale, trim=False))
    panels = tuple(seen.values())[:4]
    return Panels(title="", panels=panels) if panels else None


def _timeline_title(facts: PostmortemFacts) -> str:
    if facts.seconds is not None:
        to = "recovery" if facts.times[2].length is not None else "resolution"
        return f"{duration(facts.seconds)} from the {_from(facts)} to the {to}"
    return f"Since the {_from(facts)}, not over"


def _from(facts: PostmortemFacts) -> str:
    return "onset" if facts.onset else "first alert"


def _tick(entry: Entry) -> Tick:
    """A row's sign; an alert stands where it was stored, for so the four times count it."""
    at_ = entry.recorded if entry.kind == "alert.fired" else entry.at
    # Checks of a signal are routine, however many there are.
    key = entry.key or (bool(entry.inside) and entry.kind != "effect.checked")
    last = entry.inside[-1] if entry.inside else None
    end = ms(last.recorded if last.kind == "alert.fired" else last.at) if last else None
    return Tick(at=ms(at_), end=end, lane=entry.lane, glyph=entry.glyph,  # type: ignore[arg-type]
                label=_label(entry), key=key)  # fmt: skip


def _label(entry: Entry) -> str:
    """A few words for the figure; the table has the whole sentence."""
    if entry.inside:
        return entry.text.split(",")[0]
    if entry.kind == "alert.fired":
        return "first alert" if entry.key else "alert"
    if entry.kind == "approval.given" and entry.by == "system":
        return "policy approves"
    if entry.kind == "effect.verified":
        return "verified" if entry.glyph == "verified" else "not verified"
    if entry.kind == "change":
        return entry.text.removeprefix("Deploy of ").replace(": ", " ")[:40]
    who = entry.by.partition(":")[2] or entry.by
    return _SHORT.get(entry.kind, entry.text[:40]).format(who=who)


def compare(
    figures: Iterable[Figure], facts: PostmortemFacts, before: Iterable[Figure] = (),
) -> tuple[Comparison, ...]:  # fmt: skip
    """The same query, window length and numbers before and after the act that was verified.

    Values come from the drawn series of the chosen run; where they do not reach back before the
    act, from figures of the same query in an earlier run (`before`).
    """
    act = next((r.state for r in facts.responses if r.state.status == "recovered"), None)
    if act is None or act.applied_at is None or facts.end is None:
        return ()
    applied, recovered = ms(act.applied_at), ms(facts.end)
    # A title tells the numbers of its own run: the query says what was asked.
    earlier = {f.query or f.title: f for f in _panels(before)}
    out = []
    seen: set[tuple[str, str]] = set()
    for figure in _panels(figures):
        lines = [(line.name, line.known()) for line in figure.lines if line.known()]
        for name, known in lines[:4]:
            if figure.query and (figure.query, name) in seen:
                continue
            seen.add((figure.query, name))
            last = max(x for x, _ in known)
            start = max(ms(facts.onset), applied - 1_800_000) if facts.onset else applied - 600_000
            length = min(applied - start, last - applied)
            if length <= 0:
                continue
            again = min(recovered, last - length)
            source = known
            old = earlier.get(figure.query or figure.title)
            if old and min(x for x, _ in known) > applied - length / 2:
                source = next((ln.known() for ln in old.lines if ln.name == name), known)
            pair = (
                measure(source, applied - length, applied),
                measure(known, again, again + length),
            )
            if pair[0].n and pair[1].n:
                alone = len(lines) == 1 or name == figure.title
                label = _of_service(name, figure, facts) if alone else f"{figure.title}: {name}"
                out.append(
                    Comparison(
                        label=label,
                        query=figure.query,
                        unit=figure.unit,
                        before=pair[0],
                        after=pair[1],
                        evidence=figure.evidence,
                    )
                )
    return tuple(out[:12])


def _of_service(name: str, figure: LineFigure, facts: PostmortemFacts) -> str:
    """A signal's name with its service, which a line's own name has no room for."""
    told = re.search(rf"(?<!\S){re.escape(name)} of ([\w./-]*\w)", figure.title)
    asked = [s for s in facts.services if f'"{s}"' in figure.query]
    service = told[1] if told else asked[0] if len(asked) == 1 else ""
    return f"{name} of {service}" if service and " of " not in name else name


def measure(points: Iterable[tuple[float, float]], start: float, end: float) -> Measure:
    """Median and 95th percentile (nearest rank) of the points from `start` to `end`, in ms."""
    ys = sorted(y for x, y in points if start <= x <= end)
    p95 = ys[min(len(ys) - 1, int(0.95 * len(ys)))] if ys else None
    return Measure(
        start=at(start), end=at(end), n=len(ys), p95=p95, median=ys[len(ys) // 2] if ys else None
    )


def durations(facts: PostmortemFacts) -> DotStrip | None:
    """How long mitigating took here and in earlier incidents, on a log axis; None without any."""
    values = tuple(p.mitigate_seconds for p in facts.past if p.mitigate_seconds)
    if not values:
        return None
    length = facts.times[2].length if len(facts.times) > 2 else None
    this = length.total_seconds() if length else None
    return DotStrip(
        title="Time to mitigate, this one among earlier incidents", values=values, this=this
    )


def _panels(figures: Iterable[Figure]) -> list[LineFigure]:
    out: list[LineFigure] = []
    for figure in figures:
        if isinstance(figure, Panels):
            alone = figure.title if len(figure.panels) == 1 else ""
            out += [msgspec.structs.replace(p, title=p.title or alone) for p in figure.panels]
        elif isinstance(figure, LineFigure):
            out.append(figure)
    return [f for f in out if f.x_kind == "time"]
