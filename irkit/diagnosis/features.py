"""The evidence on every service as numbers: one row per service, one column per kind of sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from irkit.diagnosis.difftext import ChangeText, moment
from irkit.diagnosis.inputs import Inputs
from irkit.diagnosis.kinds import KINDS
from irkit.diagnosis.moves import Moves, measure
from irkit.diagnosis.novelty import Layout, alert_moves, usual_score
from irkit.diagnosis.spans import SpanEvidence, read_spans
from irkit.diagnosis.together import how_closely
from irkit.diagnosis.words import Pattern, read_words

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_NEAR, _FAR = 0.9, 0.5  # a callee's sign explains its caller's at 90 % of it, and not at 50 %
_SHARED = ("errors", "latency", "follows", "bad_lines", "lost_lines", "flow", "own")
FEATURES = (
    *KINDS, "gone", "follows", "follows_alone", "gap", "waits", "own", "flow", "bad_lines",
    "new_lines", "lost_lines", "early", "changed",
    *(f"{name}_below" for name in _SHARED), "alerting", "alerting_alone",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Signs:
    """All that was measured; `table` has a row per service and a column per name of FEATURES.

    `telling` is what the plainest series of each service say (Layout.telling), `usual` what
    the loudest service says in most windows of the quiet time, `alert` by how much the alerting
    series moved more than usual (0 without one).
    """

    services: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    moves: Moves
    table: np.ndarray
    follows: np.ndarray
    spans: Mapping[str, SpanEvidence]
    patterns: Sequence[Pattern]
    callees: Mapping[str, frozenset[str]]
    layout: Layout
    weighted: np.ndarray
    telling: Mapping[str, float]
    usual: float
    alert: float


def read_signs(given: Inputs, changes: Sequence[Mapping[str, Any]] = ()) -> Signs:
    """Measure everything that is at hand; what is not at hand gives zeros."""
    import numpy as np
    import pandas as pd

    labels, target, logs, traces = given.labels, given.target, given.logs, given.traces
    moves = measure(given.metrics, given.start, [metric for _, metric in labels], given.bad_sides)
    first = given.start
    if moves.first < moves.start:
        first = min(first, pd.Timestamp(int(moves.times[moves.first]), unit="ns", tz="UTC"))
    spans = read_spans(traces, first) if traces is not None else {}
    patterns = read_words(logs, first) if logs is not None else []
    known = set(given.services) | set(spans)
    names = tuple(sorted(known | {one.service for one in patterns}))
    place = {name: i for i, name in enumerate(names)}
    callees = _callees(given.graph, traces)

    layout = Layout(labels)
    weighted = layout.contrast(np.log1p(np.abs(moves.sigmas)))
    follows = how_closely(moves, labels, target)
    well = (np.array(given.bad_sides or [0] * len(labels)) != 0) & (np.abs(moves.sigmas) < 1)
    follows = np.where(well, 0.0, follows)  # what only moved toward its good side suffers nothing
    table = {name: np.zeros(len(names)) for name in FEATURES}
    owners = [place[service] for service in layout.services]
    for kind in KINDS:
        table[kind][owners] = layout.largest(weighted, kind)
    for service, columns in layout.columns.items():
        table["gone"][place[service]] = float(moves.gone[columns].max())
        table["follows"][place[service]] = float(follows[columns].max())
    _first_movers(table["early"], moves, weighted, [place[service] for service, _ in labels])
    for service, span in spans.items():
        table["gap"][place[service]] = span.gap
        table["waits"][place[service]] = span.waits
        table["own"][place[service]] = span.own
        table["flow"][place[service]] = span.flow
    for one in patterns:
        kind = "bad_lines" if one.bad and one.ratio > 0 else "new_lines"
        kind = "lost_lines" if one.ratio < 0 else kind
        table[kind][place[one.service]] = max(table[kind][place[one.service]], one.strength)
    if target is not None and target[0] in place:  # it follows itself: that says nothing
        others = np.delete(table["follows"], place[target[0]])
        table["follows"][place[target[0]]] = others.max(initial=0.0)
        if not callees:  # without a call graph, those who suffer follow as closely as the culprit
            table["follows_alone"], table["follows"] = table["follows"], table["follows_alone"]
    for change in changes:
        if change.get("service") in place:
            row = place[str(change["service"])]
            table["changed"][row] = max(table["changed"][row], _recent(change, first))
    for name in _SHARED:
        power = 0.5 if name == "follows" else 1.0  # it is a square
        table[f"{name}_below"] = _explained(table[name], names, place, callees, power)
    if target is not None and target[0] in place:
        alerting = place[target[0]]
        table["alerting" if callees.get(target[0]) else "alerting_alone"][alerting] = 1.0
    return Signs(
        services=names,
        columns=labels,
        moves=moves,
        table=np.column_stack([table[name] for name in FEATURES]),
        follows=follows,
        spans=spans,
        patterns=patterns,
        callees=callees,
        weighted=weighted,
        layout=layout,
        telling=dict(zip(layout.services, layout.telling(weighted).tolist(), strict=True)),
        usual=usual_score(moves, layout),
        alert=alert_moves(moves, labels.index(target)) if target in labels else 0.0,
    )


def _recent(change: Mapping[str, Any], first: pd.Timestamp) -> float:
    """2 for a change that went live at `first`, less the longer before it, 0 for an idle one."""
    import numpy as np

    minutes = (first - moment(change["time"])).total_seconds() / 60
    text = ChangeText(change)
    if not -1 <= minutes <= 240 or change.get("kind") == "commit" or text.idle:
        return 0.0
    weight = 0.5 + text.risk / 4 if text.known else 1.0
    return float(2 * weight * np.exp(-max(minutes, 0.0) / 20))


def _first_movers(early: np.ndarray, moves: Moves, size: np.ndarray, rows: list[int]) -> None:
    """1 for the service whose clear movement began first, falling to 0 for the last."""
    import numpy as np

    clear = size >= max(1.4, float(size.max(initial=0.0)) / 2)
    if clear.sum() < 2:
        return
    span = max(len(moves.times) - moves.first, 1)
    for column in np.flatnonzero(clear):
        lead = 1.0 - (moves.onset[column] - moves.first) / span
        early[rows[column]] = max(early[rows[column]], lead)


def _callees(
    graph: Sequence[tuple[str, str]], traces: pd.DataFrame | None
) -> dict[str, frozenset[str]]:
    edges = {(a, b) for a, b in graph}
    if traces is not None and "caller" in traces:
        called = traces.dropna(subset=["caller"])[["caller", "service"]].drop_duplicates()
        edges |= {(str(a), str(b)) for a, b in called.itertuples(index=False) if a}
    callees: dict[str, set[str]] = {}
    for caller, callee in edges:
        if caller != callee:
            callees.setdefault(caller, set()).add(callee)
    return {caller: frozenset(called) for caller, called in callees.items()}


def _explained(
    sign: np.ndarray,
    names: Sequence[str],
    place: Mapping[str, int],
    callees: Mapping[str, frozenset[str]],
    power: float,
) -> np.ndarray:
    """How much of each service's sign its callees show too: what they do, it suffers."""
    import numpy as np

    below = np.zeros(len(names))
    for caller, called in callees.items():
        if caller in place:
            own = sign[place[caller]]
            strongest = max((sign[place[one]] for one in called if one in place), default=0.0)
            if own > 1e-9 and strongest > 0:
                share = (strongest / own) ** power
                below[place[caller]] = own * np.clip((share - _FAR) / (_NEAR - _FAR), 0.0, 1.0)
    return below
