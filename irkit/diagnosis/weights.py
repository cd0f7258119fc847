"""The learned numbers of the ranker; tools/learn_ranker.py writes them."""

from __future__ import annotations

# Log-odds per unit of each sign (features.FEATURES).
WEIGHTS: dict[str, float] = {
    "errors": 0.43,
    "latency": 0.5,
    "resource": 0.86,
    "io": 0.76,
    "traffic": 0.11,
    "other": 0.5,
    "gone": 0.5,
    "follows": 2.75,
    "follows_alone": 0.8,
    "gap": 1.35,
    "waits": 1.05,
    "own": 0.39,
    "flow": 0.11,
    "bad_lines": 0.86,
    "new_lines": 0.25,
    "lost_lines": 0.97,
    "early": 0.19,
    "changed": 0.4,
    "errors_below": -0.49,
    "latency_below": -0.4,
    "follows_below": -1.01,
    "bad_lines_below": -0.41,
    "lost_lines_below": -0.26,
    "flow_below": -0.32,
    "own_below": -0.15,
    "alerting": -1.02,
    "alerting_alone": 0.5,
}

# Log-odds that the first suspect is right: a constant, then one per ranking.doubts.
CONFIDENCE: tuple[float, ...] = (-0.706, 0.898, 0.196, 0.104, 0.241)
