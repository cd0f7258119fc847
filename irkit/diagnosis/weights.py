"""The ranker's learned numbers; written by tools/learn_ranker.py, not by hand."""

from __future__ import annotations

# Log-odds per unit of each sign (features.FEATURES).
WEIGHTS: dict[str, float] = {
    "errors": 0.6, "latency": 0.6, "resource": 1.0, "traffic": 0.2, "other": 0.5, "gone": 0.5,
    "follows": 2.5, "follows_alone": 0.8, "gap": 1.0, "waits": 1.0, "own": 0.5, "flow": 0.5, "bad_lines": 1.0,
    "new_lines": 0.3, "lost_lines": 0.7, "early": 0.3, "errors_below": -0.4,
    "latency_below": -0.4, "follows_below": -1.0, "bad_lines_below": -0.4,
    "lost_lines_below": -0.1, "flow_below": -0.2, "own_below": 0.0, "alerting": -1.0,
    "alerting_alone": 0.5,
}  # fmt: skip
