"""Looking at everything that an incident may involve; each look that fails leaves a gap.

The notebook's compound calls, and what a diagnosis looks at, gathered in the ranker's form.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from irkit.errors import IrkitError
from irkit.looks.ask import ask_deploys, ask_logs, ask_signal, gap_of
from irkit.model.deploy import Deploy
from irkit.model.finding import Gap, RuledOut
from irkit.model.window import Window
from irkit.text import clock

if TYPE_CHECKING:
    import pandas as pd

    from irkit.deploys.deploys import Deploys
    from irkit.diagnosis.suspects import Suspects
    from irkit.incident import Incident
    from irkit.logs.logs import Logs
    from irkit.logs.patterns import Patterns
    from irkit.looks.health import Healths
    from irkit.metrics.metrics import Marked, Metrics, Onset
    from irkit.metrics.signals import Signals

MOST_SERIES = 20
LOG_LINES = 20_000


def signals_of(
    inc: Incident, services: tuple[str, ...], names: tuple[str, ...], window: Window,
    mark: Marked | Iterable[Marked] = (),
) -> Signals:  # fmt: skip
    """Some signals of some services, by default all; one that fails is a gap."""
    from irkit.metrics.metrics import Marked
    from irkit.metrics.signals import Signals

    found: list[Metrics] = []
    gaps: list[Gap] = []
    for service in services:
        known = inc.catalog.services.get(service)
        if known is None or not (known.signals or names):
            gaps.append(_unknown("signals", service, known is None))
            continue
        for name in names or tuple(sorted(known.signals)):
            try:
                found.append(ask_signal(inc.session, known, name, window, inc.alerted))
            except IrkitError as why:
                gaps.append(gap_of(f"{name} of {service}", why, f"whether {name} moved"))
    marks = (mark,) if isinstance(mark, Marked) else tuple(mark)
    return Signals(found=tuple(found), gaps=tuple(gaps), mark=marks)


def logs_of(
    inc: Incident, services: tuple[str, ...], match: str, window: Window
) -> tuple[list[Logs], list[Gap]]:
    """The log lines of some services, and a gap for each whose logs cannot be searched."""
    found: list[Logs] = []
    gaps: list[Gap] = []
    for service in services:
        known = inc.catalog.services.get(service)
        if known is None:
            gaps.append(_unknown("logs", service, True))
            continue
        try:
            found.append(
                ask_logs(inc.session, known, match, window, limit=LOG_LINES, onset=inc.onset)
            )
        except IrkitError as why:
            gaps.append(gap_of(f"logs of {service}", why, f"what {service} logged"))
    return found, gaps


def patterns_of(inc: Incident, services: tuple[str, ...], match: str, window: Window) -> Patterns:
    """The patterns of the log lines of some services taken together."""
    import pandas as pd

    from irkit.logs.patterns import Patterns

    found, gaps = logs_of(inc, services, match, window)
    if not found:
        return Patterns(rows=(), lines=0, split=inc.now, why="no logs", gaps=tuple(gaps))
    together = replace(
        found[0], frame=pd.concat([f.frame for f in found], ignore_index=True),
        whole_from=max(f.whole_from for f in found),
    )  # fmt: skip
    cut = tuple(gap for gap in (f.gap() for f in found) if gap)
    evidence = tuple(f.evidence for f in found)
    return replace(together.patterns(), gaps=(*gaps, *cut), evidence=evidence)


def healths_of(inc: Incident) -> Healths:
    """What the health endpoints of all affected services say."""
    from irkit.looks.health import Healths

    replies, gaps = [], []
    for service in inc.affected:
        try:
            replies.append((service, inc.health(service)))
        except IrkitError as why:
            gaps.append(gap_of(f"health of {service}", why, f"whether {service} is up"))
    return Healths(replies=tuple(replies), gaps=tuple(gaps))


def deploys_of(inc: Incident, names: tuple[str, ...], window: Window) -> Deploys:
    """The deploys of some services; what is not in the catalog is a gap."""
    known = tuple(inc.catalog.services[n] for n in names if n in inc.catalog.services)
    found = ask_deploys(inc.session, known, window)
    missing = tuple(_unknown("deploys", n, True) for n in names if n not in inc.catalog.services)
    return replace(found, services=names, gaps=(*found.gaps, *missing))


def _unknown(what: str, service: str, missing: bool) -> Gap:
    why = "the catalog does not have this service" if missing else "the catalog names none"
    return Gap(
        what=f"{what} of {service or 'an unknown service'}",
        why=why if service else "no service is known here",
        cannot_say=f"how {service or 'it'} is doing",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """What was looked at, in the form the ranker takes.

    `metrics` has one float column for each series (index: time, UTC), `columns` says which service
    and metric each is, `evidence` which look showed it; `logs` has time, service, level, message;
    `calls` are pairs of caller and callee; `target` is the series that fired, `symptom` when it
    left its usual range, `start` when the incident was noticed.  `bad_sides` says by column which
    movement is bad (1 up, -1 down), where the catalog has a limit; `calm_since` is when trouble of
    earlier, within the window, was over.
    """

    services: tuple[str, ...]
    metrics: pd.DataFrame
    columns: dict[str, tuple[str, str]]
    units: dict[str, str]
    evidence: dict[str, str]
    logs: pd.DataFrame
    log_evidence: dict[str, str]
    deploys: tuple[Deploy, ...]
    deploy_evidence: tuple[str, ...]
    calls: tuple[tuple[str, str], ...]
    target: tuple[str, str] | None
    symptom: datetime | None
    start: datetime
    gaps: tuple[Gap, ...]
    looks: int
    bad_sides: dict[str, int]
    calm_since: datetime | None
    too_late: tuple[RuledOut, ...] = ()


def look_around(inc: Incident) -> Looked:
    """Ask for every signal, log and deploy of the affected services; failures become gaps."""
    import pandas as pd

    from irkit.logs.patterns import GRACE, texts_of

    services = inc.affected or ("",)
    signals = signals_of(inc, services, (), inc.window)
    logs, log_gaps = logs_of(inc, services, "", inc.window)
    deploys = inc.deploys() if services != ("",) else deploys_of(inc, (), inc.window)
    frames: list[pd.DataFrame] = []
    columns: dict[str, tuple[str, str]] = {}
    units: dict[str, str] = {}
    evidence: dict[str, str] = {}
    bad_sides: dict[str, int] = {}
    for one in signals:
        signal, _, service = one.name.partition(" of ")
        names = _names(one, service, signal)
        frames.append(one.frame.iloc[:, : len(names)].set_axis(names, axis=1))
        columns |= {name: (service, name.partition("|")[2]) for name in names}
        units |= dict.fromkeys(names, one.unit)
        evidence |= dict.fromkeys(names, one.evidence)
        if one.limit is not None:
            bad_sides |= dict.fromkeys(names, 1 if one.above else -1)
    symptom = _symptom(inc, signals)
    start = _start(inc, symptom)
    calm = symptom.calm_since if symptom else None
    # Where the lines begin only with the trouble, every line would count as new.
    whole = [found for found in logs if found.whole_from < start - GRACE]
    cut = tuple(gap for gap in (found.gap() for found in logs) if gap)
    before, too_late = _causes(inc, deploys)
    index = pd.DatetimeIndex([], tz="UTC", name="time")
    wanted = ["time", "service", "level", "message"]
    lines = [
        found.frame[wanted].assign(service=found.name, message=texts_of(found.frame))
        for found in whole
    ]
    return Looked(
        services=services,
        metrics=pd.concat(frames, axis=1).sort_index() if frames else pd.DataFrame(index=index),
        columns=columns, units=units, evidence=evidence,
        logs=pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=wanted),
        log_evidence={found.name: found.evidence for found in whole},
        deploys=before, deploy_evidence=deploys.evidence, too_late=too_late,
        calls=tuple(
            (name, callee) for name in services if name in inc.catalog.services
            for callee in inc.catalog.services[name].depends_on
        ),
        target=_target(inc, columns), start=start,
        symptom=symptom.time if symptom and inc.alerted else None,
        gaps=(*signals.gaps, *log_gaps, *cut, *deploys.gaps),
        looks=len(signals) + len(logs) + len(deploys.evidence),
        bad_sides=bad_sides, calm_since=calm if calm and calm < start else None,
    )  # fmt: skip


def _causes(inc: Incident, deploys: Deploys) -> tuple[tuple[Deploy, ...], tuple[RuledOut, ...]]:
    """The deploys that may be a cause, and those that came too late to be one, with the reason.

    What this incident's own acts changed, and what was changed after its first alert, did not start
    it; an onset is an estimate, an alert's start is not.
    """
    state = inc.state
    acts = {p.plan.key for p in state.plans} if state else set()
    causes, late = [], []
    for one in deploys.deploys:
        if one.key and one.key in acts:
            why = "it is what was done about this incident"
        elif inc.alerted and one.time > inc.alerted:
            why = f"it came after the first alert ({clock(inc.alerted)})"
        else:
            causes.append(one)
            continue
        change = f"{one.previous} -> {one.version}" if one.previous else one.version
        late.append(
            RuledOut(what=f"deploy {change} of {one.service}", why=why, evidence=deploys.evidence)
        )
    return tuple(causes), tuple(late)


def _names(metrics: Metrics, service: str, signal: str) -> list[str]:
    """`service|signal`, and the labels that differ where there are several series."""
    shown = metrics._names[:MOST_SERIES]
    if len(shown) == 1:
        return [f"{service}|{signal}"]
    return [f"{service}|{signal} {name}" for name in shown]


def _target(inc: Incident, columns: dict[str, tuple[str, str]]) -> tuple[str, str] | None:
    state = inc.state
    wanted = (inc.service, state.signal) if state and state.signal else None
    return wanted if wanted in columns.values() else None


def _symptom(inc: Incident, signals: Signals) -> Onset | None:
    """The onset of the signal that fired; without an alert, of the first signal that moved."""
    state = inc.state
    if state is None or not state.alerts:
        return next(iter(signals.onsets()), None)
    fired = f"{state.signal} of {inc.service}"
    return next((m.onset() for m in signals if m.name == fired), None)


def _start(inc: Incident, symptom: Onset | None) -> datetime:
    """When the trouble began: the onset of the signal that fired, else the first alert's start.

    An alert is late by what its rule waits for, and lines logged in between would count as usual.
    Without an alert it is the first signal's onset; where nothing moved either, the last quarter of
    the window is compared with the rest.
    """
    quarter = inc.now - inc.window.length / 4
    return min((t for t in (inc.alerted, symptom and symptom.time) if t), default=quarter)


def suspects_of(inc: Incident) -> Suspects:
    """Look around, rank, and note the result in the record."""
    from irkit.diagnosis import diagnose
    from irkit.diagnosis.suspects import Suspects
    from irkit.session import Note

    looked = look_around(inc)
    found = diagnose(looked)
    # No source of traces can be configured: what nobody could have asked is not missing.
    gaps = (*looked.gaps, *(gap for gap in found.gaps if gap.what != "traces"))
    onset = looked.symptom or found.onset
    ruled_out = (*found.ruled_out, *looked.too_late)
    inc.session.note(
        Note(
            suspects=found.suspects, ruled_out=ruled_out, gaps=gaps, onset=onset,
            method=found.method,
        )
    )  # fmt: skip
    return Suspects(
        suspects=found.suspects, ruled_out=ruled_out, gaps=gaps, onset=onset,
        method=found.method, looks=looked.looks,
        newest={d.service: d.version for d in looked.deploys},
        confirmed=frozenset(p.plan.target for p in inc.acts.plans if p.status == "recovered"),
    )  # fmt: skip
