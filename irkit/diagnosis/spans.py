"""What traces say: time lost on the network, time lost inside, calls that stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from irkit.diagnosis.counts import bin_width, rate_change, split_rows

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_FLOOR_MS = 2.0  # a gap or duration that grows by less than this is not looked at


@dataclass(frozen=True, kw_only=True)
class SpanEvidence:
    """One service's spans.

    `gap` is the log of how much the time between a caller's span and this service's grew, `waits`
    the growth that the gaps to all its own callees share (it is itself slow to send), `own` the
    same for the time spent inside and not in callees, `flow` the strength of the largest change
    in calls per request (see `counts.rate_change`), `operation` the one it is about and `ratio`
    the log of its change; the `*_ms` are means in milliseconds, before and after.
    """

    gap: float = 0.0
    waits: float = 0.0
    own: float = 0.0
    flow: float = 0.0
    operation: str = ""
    ratio: float = 0.0
    gap_before_ms: float = 0.0
    gap_after_ms: float = 0.0
    own_ms: float = 0.0


def read_spans(traces: pd.DataFrame, first: pd.Timestamp) -> dict[str, SpanEvidence]:
    """Evidence per service from span counts and durations.

    `traces` has a row per time, service, operation and caller with `count`, `mean_ms` and
    `gap_mean_ms` (the caller's client span minus the server span; empty for inner spans).  A gap
    that grows is time on the network or in a queue, before the service's own code runs.  Without
    operations, counts or means there is nothing to say.
    """

    if not {"operation", "count", "mean_ms"} <= set(traces.columns):
        return {}
    if "caller" not in traces:
        traces = traces.assign(caller="")
    if "gap_mean_ms" not in traces:
        traces = traces.assign(gap_mean_ms=float("nan"))
    before, after = split_rows(traces, first, bin_width(traces["time"]))
    if before.empty or after.empty:
        return {}
    table = _summed(before).add_suffix("_b").join(_summed(after).add_suffix("_a"), how="outer")
    table = table.fillna({"count_b": 0.0, "count_a": 0.0}).reset_index()
    entry = table["caller"] != ""
    gaps, waits = _gaps(table)
    called_by = dict(tuple(table[entry].groupby("caller")))
    evidence = {}
    for service, rows in table.groupby("service"):
        entries = rows[rows["caller"] != ""]
        inner = rows[rows["caller"] == ""]
        if entries.empty:  # nothing in the traces calls it: its busiest operation stands for it
            entries = rows.nlargest(1, "count_b")
        strength, ratio = _flow(inner, entries)
        top = int(strength.argmax()) if len(inner) else 0
        own, own_ms = _own_time(entries, called_by.get(service))
        into = gaps.get(str(service))
        evidence[str(service)] = SpanEvidence(
            gap=into[0] if into else 0.0,
            gap_before_ms=into[1] if into else 0.0,
            gap_after_ms=into[2] if into else 0.0,
            waits=waits.get(str(service), 0.0),
            own=own,
            own_ms=own_ms,
            flow=float(strength[top]) if len(inner) else 0.0,
            operation=str(inner["operation"].iloc[top]) if len(inner) else "",
            ratio=float(ratio[top]) if len(inner) else 0.0,
        )
    return evidence


def _flow(inner: pd.DataFrame, entries: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """How much each inner operation's rate changed, per request.

    It is compared with all requests and with each entry operation, and the smallest change counts:
    an operation that follows one kind of request is not strange when that kind is asked less.
    """
    import numpy as np

    after, before = inner["count_a"].to_numpy(), inner["count_b"].to_numpy()
    exposures = [(entries["count_a"].sum(), entries["count_b"].sum())]
    kinds = entries.groupby("operation")[["count_a", "count_b"]].sum()
    exposures += [(a, b) for a, b in kinds.itertuples(index=False) if b >= 3]
    best, ratios = np.full(len(inner), np.inf), np.zeros(len(inner))
    for exposure_after, exposure_before in exposures:
        strength, ratio = rate_change(
            after,
            before,
            np.full(len(inner), max(float(exposure_after), 0.5)),
            np.full(len(inner), max(float(exposure_before), 0.5)),
        )
        smaller = strength < best
        best[smaller], ratios[smaller] = strength[smaller], ratio[smaller]
    return best, ratios


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts and count-weighted means per service, operation and caller."""
    rows = rows.assign(
        caller=rows["caller"].fillna(""),
        spent=rows["mean_ms"] * rows["count"],
        waited=rows["gap_mean_ms"] * rows["count"],
        gaps=rows["count"].where(rows["gap_mean_ms"].notna(), 0),
    )
    keys = ["service", "operation", "caller"]
    summed = rows.groupby(keys)[["count", "spent", "waited", "gaps"]].sum()
    summed["mean"] = summed["spent"] / summed["count"]
    summed["gap"] = summed["waited"] / summed["gaps"].where(summed["gaps"] > 0)
    return summed[["count", "mean", "gap", "gaps"]]


def _gaps(
    table: pd.DataFrame,
) -> tuple[dict[str, tuple[float, float, float]], dict[str, float]]:
    """Per callee the growth of the gap (log, ms before, ms after), and per caller what all share.

    Where the gaps to all callees of one caller grow together, the caller is what is slow: that
    part is its own (`waits`) and is taken off its callees.
    """
    import numpy as np

    edges = table[(table["caller"] != "") & table["gap_b"].notna() & table["gap_a"].notna()]
    if edges.empty:
        return {}, {}
    before, after = edges["gap_b"].clip(lower=0), edges["gap_a"].clip(lower=0)
    edges = edges.assign(
        before=before,
        after=after,
        growth=np.log((after + _FLOOR_MS) / (before + _FLOOR_MS)),
        weight=np.sqrt(edges["gaps_a"]),
    )
    waits: dict[str, float] = {}
    for caller, rows in edges.groupby("caller"):
        per_callee = rows.groupby("service")["growth"].mean()
        if len(per_callee) >= 3:
            waits[str(caller)] = max(float(per_callee.quantile(0.25)), 0.0)
    edges["growth"] -= edges["caller"].map(waits).fillna(0.0)
    into = {
        str(service): (
            float(np.average(rows["growth"], weights=rows["weight"])),
            float(np.average(rows["before"], weights=rows["weight"])),
            float(np.average(rows["after"], weights=rows["weight"])),
        )
        for service, rows in edges.groupby("service")
    }
    return into, waits


def _own_time(entries: pd.DataFrame, calls: pd.DataFrame | None) -> tuple[float, float]:
    """The log of how much longer a request takes inside, callees' part taken off; and in ms."""
    import numpy as np

    def added(rows: pd.DataFrame, columns: tuple[str, ...]) -> float:
        both = rows[(rows["count_b"] > 0) & (rows["count_a"] > 0)]
        longer = sum(both[f"{name}_a"].fillna(0) - both[f"{name}_b"].fillna(0) for name in columns)
        return float((longer * both["count_a"]).sum()) if len(both) else 0.0

    both = entries[(entries["count_b"] > 0) & (entries["count_a"] > 0)]
    requests = float(both["count_a"].sum())
    if not requests:
        return 0.0, 0.0
    own = added(entries, ("mean",))
    if calls is not None:
        own -= max(added(calls, ("mean", "gap")), 0.0)
    usual = float((both["mean_b"] * both["count_a"]).sum())
    grown = own / (usual + _FLOOR_MS * requests)
    return float(np.sign(grown) * np.log1p(abs(grown))), own / requests
