"""Which series move together with the alerting one, more than they always do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from irkit.diagnosis.kinds import kind_of
from irkit.diagnosis.moves import Moves

if TYPE_CHECKING:
    import numpy as np

WORSE = {"latency": 1, "errors": 1, "success": -1}  # the direction in which it gets worse
_USUAL = 0.5  # the part of the usual closeness that is taken off
_SCALE = 3.5
_LEAST_ROWS = 5


def how_closely(
    moves: Moves, labels: Sequence[tuple[str, str]], target: tuple[str, str] | None
) -> np.ndarray:
    """How closely each series moves with the alerting one: 0 not at all, 3 to 6 like one.

    The window is the incident and as much before it as is needed to see the step.  From the log of
    the correlation's t statistic a part of what the same two series have in quiet times is taken
    off (load moves everything), and the rest is squared: what many series reach by chance should
    count for little.
    """
    import numpy as np

    if target is None or target not in labels:
        return np.zeros(len(labels))
    alerting = labels.index(target)
    inside = len(moves.times) - moves.first
    start = max(moves.first - max(2 * inside, 10), 0)
    r, count = _correlation(moves.values[start:], alerting)
    usual, quiet = _correlation(moves.values[: max(moves.first - 3, 0)], alerting)
    usual = np.where((quiet > 10) & (np.sign(usual) == np.sign(r)), usual, 0.0)
    closeness = np.log1p(_statistic(r, count)) - _USUAL * np.log1p(_statistic(usual, count))
    kind = kind_of(target[1])
    weight = [_kinship(kind_of(metric), kind, float(r[i])) for i, (_, metric) in enumerate(labels)]
    closeness = np.maximum(closeness, 0.0) * np.array(weight)
    return np.where(count >= _LEAST_ROWS, closeness**2 / _SCALE, 0.0)


def _correlation(window: np.ndarray, alerting: int) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's r of each column with one of them over the rows known in both, and their number."""
    import numpy as np

    if not len(window):
        return np.zeros(window.shape[1]), np.zeros(window.shape[1])
    alert = window[:, [alerting]]
    known = np.isfinite(window) & np.isfinite(alert)
    count = known.sum(axis=0)

    def centred(values: np.ndarray) -> np.ndarray:
        mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(count, 1)
        return np.where(known, values - mean, 0.0)

    x, y = centred(window), centred(np.broadcast_to(alert, window.shape))
    scale_x, scale_y = np.sqrt((x**2).sum(axis=0)), np.sqrt((y**2).sum(axis=0))
    x = x / np.where(scale_x > 0, scale_x, np.inf)
    y = y / np.where(scale_y > 0, scale_y, np.inf)
    return np.clip((x * y).sum(axis=0), -1.0, 1.0), count


def _statistic(r: np.ndarray, count: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.abs(r) * np.sqrt(np.maximum(count - 2, 0) / np.maximum(1 - r**2, 1e-3))


def _kinship(kind: str, alert: str, r: float) -> float:
    """How much a correlation between two kinds of metric says.

    Latency and errors must get worse together; a resource may move either way; traffic that moves
    with the alert is as often its effect.
    """
    if kind in WORSE and alert in WORSE:
        if r * WORSE[kind] * WORSE[alert] < 0:
            return 0.0
        return 1.0 if (kind == "latency") == (alert == "latency") else 0.7
    return {"traffic": 0.4, "other": 0.7}.get(kind, 0.8)
