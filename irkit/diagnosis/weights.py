"""The learned numbers of the ranker; tools/learn_ranker.py writes them."""

from __future__ import annotations

# Log-odds per unit of each sign (features.FEATURES).
WEIGHTS: dict[str, float] = {
    "errors": 0.69,
    "latency": 0.63,
    "resource": 0.87,
    "io": 0.67,
    "traffic": 0.13,
    "other": 0.5,
    "gone": 0.5,
    "follows": 3.36,
    "follows_alone": 0.8,
    "gap": 1.36,
    "waits": 1.05,
    "own": 0.39,
    "flow": 0.11,
    "bad_lines": 0.85,
    "new_lines": 0.25,
    "lost_lines": 0.97,
    "early": 0.17,
    "changed": 0.4,
    "errors_below": -0.76,
    "latency_below": -0.57,
    "follows_below": -1.0,
    "bad_lines_below": -0.41,
    "lost_lines_below": -0.26,
    "flow_below": -0.32,
    "own_below": -0.15,
    "alerting": -1.01,
    "alerting_alone": 0.5,
}

# Log-odds that the first suspect is right: a constant, then one per ranking.doubts.
CONFIDENCE: tuple[float, ...] = (-0.495, 1.056, 0.013, 0.053, 0.068)
