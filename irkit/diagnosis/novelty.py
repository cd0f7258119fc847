"""How unusual the incident's window is, next to windows of the quiet time before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from irkit.diagnosis.kinds import kind_of
from irkit.diagnosis.moves import Moves
from irkit.diagnosis.weights import WEIGHTS

if TYPE_CHECKING:
    import numpy as np

_WINDOWS = 12
_TELLING = ("errors", "latency", "resource")  # load and disks jump too often by themselves
_PEERS = 5


class Layout:
    """Which columns belong together: to one service, to one kind, to one metric of all services."""

    def __init__(self, labels: Sequence[tuple[str, str]]) -> None:
        self.labels = tuple(labels)
        self.services = tuple(sorted({service for service, _ in labels}))
        kinds = [kind_of(metric) for _, metric in labels]
        self.kinds = tuple("errors" if kind == "success" else kind for kind in kinds)

    @cached_property
    def columns(self) -> dict[str, list[int]]:
        """The columns of each service."""
        mine: dict[str, list[int]] = {service: [] for service in self.services}
        for column, (service, _) in enumerate(self.labels):
            mine[service].append(column)
        return mine

    @cached_property
    def _rows(self) -> np.ndarray:
        import numpy as np

        place = {service: row for row, service in enumerate(self.services)}
        return np.array([place[service] for service, _ in self.labels], dtype=int)

    @cached_property
    def _peers(self) -> list[list[int]]:
        shared: dict[str, list[int]] = {}
        for column, (_, metric) in enumerate(self.labels):
            shared.setdefault(metric, []).append(column)
        return [columns for columns in shared.values() if len(columns) >= _PEERS]

    def contrast(self, size: np.ndarray) -> np.ndarray:
        """Movement beyond what the same metric does on the typical service (load moves all)."""
        import numpy as np

        beyond = size.copy()
        for columns in self._peers:
            beyond[columns] -= np.median(size[columns])
        return np.maximum(beyond, 0.0)

    def largest(self, size: np.ndarray, kind: str) -> np.ndarray:
        """Per service, the largest of its series of one kind."""
        import numpy as np

        most = np.zeros(len(self.services))
        chosen = np.array([one == kind for one in self.kinds], dtype=bool)
        np.maximum.at(most, self._rows[chosen], size[chosen])
        return most

    def telling(self, size: np.ndarray) -> np.ndarray:
        """Per service, what its errors, latencies and resources alone say, in log-odds."""
        import numpy as np

        parts = [WEIGHTS[kind] * self.largest(size, kind) for kind in _TELLING]
        return np.sum(parts, axis=0)


def usual_score(moves: Moves, layout: Layout) -> float:
    """What the loudest service says in most windows as long before the incident."""
    if not layout.labels:
        return 0.0
    return _most(
        float(layout.telling(layout.contrast(_peak(window))).max()) for window in _windows(moves)
    )


def alert_moves(moves: Moves, column: int) -> float:
    """By how much the alerting series moved more than in most windows as long before, in logs."""
    import numpy as np

    usual = _most(float(_peak(window[:, [column]])[0]) for window in _windows(moves))
    return float(np.log1p(abs(moves.sigmas[column]))) - usual


def _windows(moves: Moves) -> Iterator[np.ndarray]:
    import numpy as np

    rows = max(min(len(moves.times) - moves.first, moves.first // 4), 1)
    starts = np.linspace(3, moves.first - rows, _WINDOWS)
    for at in sorted({int(start) for start in starts if start >= 0}):
        if at + rows <= moves.first:
            yield moves.scores[at : at + rows]


def _most(usual: Iterable[float]) -> float:
    import numpy as np

    found = list(usual)
    return float(np.quantile(found, 0.8)) if found else 0.0


def _peak(scores: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.log1p(np.abs(scores).max(axis=0))
