"""Everything a diagnosis looks at, gathered: signals, logs and deploys of the affected services."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from irkit.model.deploy import Deploy
from irkit.model.finding import Gap

if TYPE_CHECKING:
    import pandas as pd

    from irkit.incident import Incident
    from irkit.metrics.metrics import Metrics
    from irkit.signals import Signals

MOST_SERIES: Final = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """What was looked at, in the form the ranker takes.

    `metrics` has one float column for each series (index: time, UTC), `columns` says which service
    and metric each is, `evidence` which look showed it; `logs` has time, service, level, message;
    `calls` are pairs of caller and callee; `target` is the series that fired, `start` when.
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
    start: datetime
    gaps: tuple[Gap, ...]
    looks: int


def look_around(inc: Incident) -> Looked:
    """Ask for every signal, log and deploy of the affected services; failures become gaps."""
    import pandas as pd

    from irkit.gathering import deploys_of, logs_of, signals_of

    services = inc.affected or ("",)
    signals = signals_of(inc, services, (), inc.window)
    logs, log_gaps = logs_of(inc, services, "", inc.window)
    deploys = inc.deploys() if services != ("",) else deploys_of(inc, (), inc.window)
    frames, columns, units, evidence = [], {}, {}, {}
    for one in signals:
        signal, _, service = one.name.partition(" of ")
        names = _names(one, service, signal)
        frames.append(one.frame.iloc[:, : len(names)].set_axis(names, axis=1))
        columns |= {name: (service, name.partition("|")[2]) for name in names}
        units |= dict.fromkeys(names, one.unit)
        evidence |= dict.fromkeys(names, one.evidence)
    index = pd.DatetimeIndex([], tz="UTC", name="time")
    wanted = ["time", "service", "level", "message"]
    lines = [found.frame[wanted].assign(service=found.name) for found in logs]
    return Looked(
        services=services,
        metrics=pd.concat(frames, axis=1).sort_index() if frames else pd.DataFrame(index=index),
        columns=columns, units=units, evidence=evidence,
        logs=pd.concat(lines, ignore_index=True) if lines else pd.DataFrame(columns=wanted),
        log_evidence={found.name: found.evidence for found in logs},
        deploys=deploys.deploys, deploy_evidence=deploys.evidence,
        calls=tuple(
            (name, callee) for name in services if name in inc.catalog.services
            for callee in inc.catalog.services[name].depends_on
        ),
        target=_target(inc, columns), start=_start(inc, signals),
        gaps=(*signals.gaps, *log_gaps, *deploys.gaps),
        looks=len(signals) + len(logs) + len(deploys.evidence),
    )  # fmt: skip


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


def _start(inc: Incident, signals: Signals) -> datetime:
    """When the incident was noticed: the first alert's start, else the first signal's onset.

    Where nothing moved and nothing fires, the last quarter of the window is compared with the rest.
    """
    state = inc.state
    starts = [a.alert.starts_at for a in state.alerts.values()] if state else []
    onsets = [] if starts else [o.time for o in signals.onsets() if o.time]
    quarter = inc.now - inc.window.length / 4
    return min([*starts, *onsets], default=quarter)
