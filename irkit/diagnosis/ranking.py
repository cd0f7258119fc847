"""The ranker: evidence in, suspects out, best first, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from irkit.diagnosis.changes import NEEDED, NONE, ScoredChange, read_lines, score_changes
from irkit.diagnosis.features import FEATURES, Signs, read_signs
from irkit.diagnosis.inputs import Inputs, Series, read_inputs
from irkit.diagnosis.weights import CONFIDENCE, WEIGHTS

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    import pandas as pd

_STILL = 0.7  # no sign of any service is larger than this: nothing moved
_CLEAR = 1.6  # log(1 + 4 sigmas), and about as much for the signs of logs and spans
_UNMISSABLE = ("follows", "follows_alone", "gap", "waits", "bad_lines", "lost_lines")
_UNSURE = 0.2  # with a smaller chance to be right, what is usual is not worth a word
_FAINT = 0.3  # log-odds below which logs, spans or the alerting series say nothing
_HEARD = ("gap", "waits", "own", "flow", "bad_lines", "new_lines", "lost_lines", "own_below",
          "flow_below", "bad_lines_below", "lost_lines_below")  # fmt: skip
_FOLLOWED = ("follows", "follows_alone", "follows_below")


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Services in order of suspicion: `order` are places in `signs.services`, best first.

    `share` is each service's part of the suspicion (sums to 1), `parts` the log-odds that each
    sign gives to each service, `confidence` the chance that the first one is the cause.  `silent`
    says that the window is an ordinary one, `still` that nothing in it moved clearly.
    """

    signs: Signs
    order: tuple[int, ...]
    share: np.ndarray
    parts: np.ndarray
    confidence: float
    silent: bool
    still: bool

    def chances(self) -> list[float]:
        """Each service's chance to be the cause, by its place in `signs.services`; sums to 1."""
        first = self.order[0]
        rest = (1.0 - self.confidence) / max(1.0 - float(self.share[first]), 1e-9)
        return [
            self.confidence if place == first else rest * float(part)
            for place, part in enumerate(self.share)
        ]


def rank(
    metrics: pd.DataFrame,
    incident_start: datetime | pd.Timestamp,
    *,
    columns: Mapping[Any, Series] | None = None,
    services: Sequence[str] = (),
    target: Series | None = None,
    graph: Sequence[tuple[str, str]] | None = None,
    changes: Sequence[Mapping[str, Any]] | None = None,
    logs: pd.DataFrame | None = None,
    traces: pd.DataFrame | None = None,
) -> list[tuple[str, str | None, float]]:
    """Services that may have caused the incident, best first: (service, metric, chance).

    `metrics` has a UTC time index and one column per series; `columns` says which service and
    metric each is (or see `inputs.read_inputs`).  `incident_start` is when the alert fired; it may
    be late by minutes.  `target` is the alerting series, `graph` holds (caller, callee) pairs,
    `logs` and `traces` are as in `words.read_words` and `spans.read_spans`.  All but the first two
    may be missing.  The chance is calibrated: of suspects given 0.8, four in five are right.
    An empty list means that nothing moved.  Equal inputs give equal answers.

    Example:
        >>> rank(frame, start, graph=[("frontend", "checkout")])  # doctest: +SKIP
        [('checkout', 'error_ratio', 0.93), ('frontend', 'latency_p99', 0.04)]
    """
    given = read_inputs(
        metrics, incident_start, columns=columns, services=services, target=target, graph=graph,
        logs=logs, traces=traces,
    )  # fmt: skip
    ranking = rank_services(given, changes or ())
    if ranking.silent:
        return []
    chances = ranking.chances()
    return [
        (ranking.signs.services[place], top_metric(ranking, place), round(chances[place], 4))
        for place in ranking.order
    ]


def rank_services(given: Inputs, changes: Sequence[Mapping[str, Any]] = ()) -> Ranking:
    """Rank the services of checked inputs and keep what each sign contributed."""
    import numpy as np

    signs = read_signs(given, changes)
    parts = signs.table * np.array([WEIGHTS[name] for name in FEATURES])
    score = parts.sum(axis=1)
    if not len(score):
        return Ranking(
            signs=signs, order=(), share=score, parts=parts, confidence=0.0, silent=True, still=True
        )
    share = np.exp(score - score.max())
    share /= share.sum()
    doubted = doubts(signs, parts)
    chance = np.dot(CONFIDENCE, [1.0, *doubted])
    confidence = float(np.clip(1 / (1 + np.exp(-chance)), 0.01, 0.98))
    _, louder, heard, followed = doubted
    usual = confidence < _UNSURE and louder < 0 and heard < _FAINT and followed < _FAINT
    largest = float(signs.weighted.max(initial=0.0))
    unheard = max(float(signs.table[:, FEATURES.index(name)].max()) for name in _UNMISSABLE)
    order = tuple(int(i) for i in np.argsort(-score, kind="stable"))
    return Ranking(
        signs=signs,
        order=order,
        share=share,
        parts=parts,
        confidence=confidence,
        silent=usual or float(signs.table.max()) < _STILL,
        still=largest < _CLEAR and unheard < _CLEAR,
    )


def doubts(signs: Signs, parts: np.ndarray) -> list[float]:
    """What the chance that the first suspect is right depends on.

    How far it is ahead of the others, by how much its series are louder than any service usually
    is, and how much logs and spans, and the alerting series, speak against it.
    """
    import numpy as np

    score = parts.sum(axis=1)
    first = int(score.argmax())
    others = np.delete(score, first)
    ahead = score[first] - (np.logaddexp.reduce(others) if len(others) else -6.0)
    heard = sum(parts[first, FEATURES.index(name)] for name in _HEARD)
    followed = sum(parts[first, FEATURES.index(name)] for name in _FOLLOWED)
    return [
        float(np.clip(ahead, -4.0, 6.0)),
        float(np.clip(signs.telling.get(signs.services[first], 0.0) - signs.usual, -2.0, 3.0)),
        float(np.clip(heard, 0.0, 8.0)),
        float(np.clip(followed, 0.0, 8.0)) * float(np.clip(signs.alert, 0.0, 1.0)),
    ]


def top_metric(ranking: Ranking, place: int) -> str | None:
    """The metric of a suspect that shows the fault best: of the kind that spoke most against it."""
    signs = ranking.signs
    service = signs.services[place]
    mine = signs.layout.columns.get(service, [])
    if not mine:
        return None
    parts = dict(zip(FEATURES, ranking.parts[place], strict=True))
    network = parts["gap"] > max(parts["resource"], parts["errors"])

    def strength(column: int) -> tuple[float, float]:
        kind = signs.layout.kinds[column]
        preferred = kind == "latency" if network else True
        return (
            (1.0 if preferred else 0.2)
            * (WEIGHTS[kind] * signs.weighted[column] + WEIGHTS["follows"] * signs.follows[column]),
            float(signs.weighted[column]),
        )

    return signs.columns[max(mine, key=strength)][1]


def rank_changes(
    metrics: pd.DataFrame,
    incident_start: datetime | pd.Timestamp,
    *,
    columns: Mapping[Any, Series] | None = None,
    services: Sequence[str] = (),
    target: Series | None = None,
    graph: Sequence[tuple[str, str]] | None = None,
    changes: Sequence[Mapping[str, Any]] | None = None,
    logs: pd.DataFrame | None = None,
    traces: pd.DataFrame | None = None,
) -> list[str]:
    """Ids of the changes that may have done it, best first; `["none"]` when no change did.

    A change is a dict with `id`, `time` and, where known, `kind` (deploy, flag, config, commit),
    `service`, `message`, `diff`, `files`, `version`.  The other arguments are those of `rank`.
    """
    given = read_inputs(
        metrics, incident_start, columns=columns, services=services, target=target, graph=graph,
        logs=logs, traces=traces,
    )  # fmt: skip
    ranking = rank_services(given, changes or ())
    scored = weigh_changes(given, ranking, changes or ())
    named = [one.id for one in scored if one.score >= NEEDED]
    others = [one.id for one in scored if one.score < NEEDED]
    return [*named, NONE, *others]


def weigh_changes(
    given: Inputs, ranking: Ranking, changes: Sequence[Mapping[str, Any]]
) -> list[ScoredChange]:
    """Score changes against the suspects, the lines and the series of a ranking."""
    if not changes:
        return []
    lines = read_lines(given.logs, given.start)
    signs = ranking.signs
    suspects = {signs.services[i]: float(ranking.share[i]) for i in ranking.order}
    if given.target is not None:
        suspects[given.target[0]] = max(suspects.get(given.target[0], 0.0), 0.3)
    moved = [
        metric
        for (service, metric), size in zip(signs.columns, signs.weighted, strict=True)
        if size > 1.5 and suspects.get(service, 0.0) > 0.05
    ]
    return score_changes(
        changes,
        onset=_onset(given, ranking, lines.began),
        suspects=suspects,
        lines=lines,
        moved=moved,
        calm_since=given.calm_since,
    )


def _onset(given: Inputs, ranking: Ranking, began: pd.Timestamp | None) -> pd.Timestamp:
    """When the trouble began: the first of the alert, the first new lines and the first move."""
    import pandas as pd

    moves = ranking.signs.moves
    moments = [given.start]
    if began is not None:
        moments.append(began)
    likely = {ranking.signs.services[i] for i in ranking.order[:2]}
    for column, (service, _) in enumerate(ranking.signs.columns):
        if service in likely and ranking.signs.weighted[column] > 2.0:
            moments.append(pd.Timestamp(int(moves.times[moves.onset[column]]), tz="UTC"))
    return min(moments)
