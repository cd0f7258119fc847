"""A diagnosis as plain values: suspects with findings, what was ruled out, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from irkit.diagnosis.inputs import Series, read_inputs
from irkit.diagnosis.ranking import rank_services, weigh_changes
from irkit.diagnosis.writer import Diagnosis, Writer
from irkit.model.deploy import Deploy

if TYPE_CHECKING:
    import pandas as pd


class LookedAt(Protocol):
    """What was looked at, as the notebook gathers it; see `explain` for the meaning."""

    services: tuple[str, ...]
    metrics: pd.DataFrame
    columns: dict[str, Series]
    units: dict[str, str]
    evidence: dict[str, str]
    logs: pd.DataFrame
    log_evidence: dict[str, str]
    deploys: tuple[Deploy, ...]
    deploy_evidence: tuple[str, ...]
    calls: tuple[tuple[str, str], ...]
    target: Series | None
    start: datetime
    bad_sides: dict[str, int]
    calm_since: datetime | None


def diagnose(looked: LookedAt) -> Diagnosis:
    """Say what probably broke from what a notebook looked at."""
    return explain(
        looked.metrics,
        looked.start,
        columns=looked.columns,
        services=looked.services,
        target=looked.target,
        graph=looked.calls,
        logs=looked.logs,
        deploys=looked.deploys,
        units=looked.units,
        metric_evidence=looked.evidence,
        log_evidence=looked.log_evidence,
        deploy_evidence=looked.deploy_evidence,
        bad_sides=looked.bad_sides,
        calm_since=looked.calm_since,
    )


def explain(
    metrics: pd.DataFrame | None,
    incident_start: datetime,
    *,
    columns: Mapping[Any, Series] | None = None,
    services: Sequence[str] = (),
    target: Series | None = None,
    graph: Sequence[tuple[str, str]] | None = None,
    logs: pd.DataFrame | None = None,
    traces: pd.DataFrame | None = None,
    deploys: Sequence[Deploy] | pd.DataFrame | None = None,
    changes: Sequence[Mapping[str, Any]] | None = None,
    units: Mapping[Any, str] | None = None,
    metric_evidence: Mapping[Any, str] | None = None,
    log_evidence: Mapping[str, str] | None = None,
    trace_evidence: str = "",
    deploy_evidence: Sequence[str] = (),
    bad_sides: Mapping[Any, int] | None = None,
    calm_since: datetime | None = None,
) -> Diagnosis:
    """Rank as `ranking.rank` does, and say why in sentences.

    `deploys` are Deploy values or a frame with the columns time, service, version, previous,
    message; `changes` are dicts as in `rank_changes`.  `units` and `metric_evidence` go by column
    of `metrics`, `log_evidence` by service: the ids of the looks that showed them, which the
    findings then carry.  `bad_sides` go by column too: 1 where only a rise is bad, -1 where only a
    fall is.  `calm_since` is when trouble of earlier was over: what was before it is no usual time,
    and a change before it did not do this.  Evidence that is missing becomes a gap, never an error.
    """
    given = read_inputs(
        metrics, incident_start, columns=columns, services=services, target=target, graph=graph,
        logs=logs, traces=traces, bad_sides=bad_sides, calm_since=calm_since,
    )  # fmt: skip
    listed = [*_as_changes(deploys), *(changes or ())]
    ranking = rank_services(given, listed)
    by_series = dict(zip(given.labels, given.metrics.columns, strict=True))
    writer = Writer(
        given,
        ranking,
        weigh_changes(given, ranking, listed),
        listed,
        units={one: (units or {}).get(column, "") for one, column in by_series.items()},
        metric_evidence={one: (metric_evidence or {}).get(column, "") for one, column in
                         by_series.items()},
        log_evidence=log_evidence or {},
        trace_evidence=(trace_evidence,) if trace_evidence else (),
        deploy_evidence=tuple(deploy_evidence),
    )  # fmt: skip
    return writer.diagnosis()


def _as_changes(deploys: Sequence[Deploy] | pd.DataFrame | None) -> list[dict[str, Any]]:
    """Deploys in the form of changes; the id is service and version."""
    if deploys is None:
        return []
    if not isinstance(deploys, Sequence):
        rows = deploys.to_dict(orient="records")
        listed = [{str(key): value for key, value in row.items()} for row in rows]
    else:
        listed = [
            {"time": one.time, "service": one.service, "version": one.version,
             "previous": one.previous, "message": one.message}
            for one in deploys
        ]  # fmt: skip
    for number, one in enumerate(listed):
        one.setdefault("kind", "deploy")
        one.setdefault("id", f"{one.get('service')} {one.get('version')} #{number}")
    return listed
