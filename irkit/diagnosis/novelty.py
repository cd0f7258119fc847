"""How unusual the incident's window is, next to windows of the quiet time before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from irkit.diagnosis.moves import Moves

if TYPE_CHECKING:
    import numpy as np

_WINDOWS = 12
_LARGEST = 3


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


def novelty(moves: Moves, labels: Sequence[tuple[str, str]], size: np.ndarray) -> float:
    """By how much the largest movements exceed those of most windows as long before the incident.

    0 and less means that such a window is nothing new; 1 is a movement e times as large.
    """
    import numpy as np

    if not len(size):
        return 0.0
    rows = max(min(len(moves.times) - moves.first, moves.first // 4), 1)
    starts = np.linspace(3, moves.first - rows, _WINDOWS)
    usual = [
        _height(contrast(np.log1p(np.abs(moves.scores[at : at + rows]).max(axis=0)), labels))
        for at in sorted({int(start) for start in starts if start >= 0})
    ]
    return _height(size) - (float(np.quantile(usual, 0.8)) if usual else 0.0)


def _height(size: np.ndarray) -> float:
    import numpy as np

    return float(np.sort(size)[-_LARGEST:].mean())
