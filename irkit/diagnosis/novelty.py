"""How unusual the incident's window is, next to windows of the quiet time before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from irkit.diagnosis.kinds import kind_of
from irkit.diagnosis.moves import Moves
from irkit.diagnosis.weights import WEIGHTS

if TYPE_CHECKING:
    import numpy as np

_WINDOWS = 12
_TELLING = ("errors", "latency", "resource")  # load and disks jump too often by themselves


def contrast(size: np.ndarray, labels: Sequence[tuple[str, str]]) -> np.ndarray:
    """Movement beyond what the same metric does on the typical service (more load moves all)."""
    import numpy as np

    shared: dict[str, list[int]] = {}
    for column, (_, metric) in enumerate(labels):
        shared.setdefault(metric, []).append(column)
    beyond = size.copy()
    for places in shared.values():
        if len(places) >= 5:
            beyond[places] -= np.median(size[places])
    return np.maximum(beyond, 0.0)


def usual_scores(moves: Moves, labels: Sequence[tuple[str, str]]) -> list[float]:
    """The largest score that any service reaches in windows as long before the incident.

    The score is `telling_score`'s, so that it can be compared with a suspect's.
    """
    import numpy as np

    rows = max(min(len(moves.times) - moves.first, moves.first // 4), 1)
    starts = np.linspace(3, moves.first - rows, _WINDOWS)
    services = sorted({service for service, _ in labels})
    usual = []
    for at in sorted({int(start) for start in starts if start >= 0}):
        size = np.log1p(np.abs(moves.scores[at : at + rows]).max(axis=0))
        scores = telling_score(contrast(size, labels), labels)
        usual.append(max((scores[service] for service in services), default=0.0))
    return usual


def telling_score(size: np.ndarray, labels: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Per service, what its errors, latencies and resources alone say, in log-odds."""
    largest: dict[tuple[str, str], float] = {}
    for column, (service, metric) in enumerate(labels):
        kind = kind_of(metric)
        key = (service, "errors" if kind == "success" else kind)
        largest[key] = max(largest.get(key, 0.0), float(size[column]))
    return {
        service: sum(WEIGHTS[kind] * largest.get((service, kind), 0.0) for kind in _TELLING)
        for service, _ in labels
    }
