"""Learn the ranker's weights from labelled incidents, judged on systems it has not seen.

    python tools/learn_ranker.py FOLDER [--write]

FOLDER holds SYSTEM/CASE folders (see tools/cases.py).  A weight starts at what reasoning says it
should be (PRIOR) and moves from there as far as the incidents of all systems together demand; its
sign is fixed.  What counts is the score on each system with the weights learned from the others.
The confidence is fitted on top of the weights in the file, so run it twice when they
change.  With --write the weights go into irkit/diagnosis/weights.py and the figures into
tools/ranker_report.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cases import Labelled, default_folder, labelled, made_up, quiet_window
from scipy.optimize import minimize

from irkit.diagnosis.features import FEATURES, Signs, read_signs
from irkit.diagnosis.inputs import read_inputs
from irkit.diagnosis.ranking import doubts

HERE = Path(__file__).resolve().parent
DEFAULT = default_folder()
PRIOR = {
    "errors": 0.9, "latency": 0.8, "resource": 1.0, "io": 0.6, "traffic": 0.2, "other": 0.5,
    "gone": 0.5, "follows": 3.2, "follows_alone": 0.8, "gap": 1.0, "waits": 1.0, "own": 0.5,
    "flow": 0.3, "bad_lines": 1.0, "new_lines": 0.3, "lost_lines": 0.7, "early": 0.3,
    "changed": 0.4, "errors_below": -0.7, "latency_below": -0.6, "follows_below": -1.0,
    "bad_lines_below": -0.4, "lost_lines_below": -0.2, "flow_below": -0.2, "own_below": -0.1,
    "alerting": -1.0, "alerting_alone": 0.5,
}  # fmt: skip
TRUST = 12.0  # how strongly a weight is held at its prior: so many incidents speak as loudly
UNJUDGED = {"rootcausebench"}  # few services, authored: judges changes, not services
Example = tuple[str, Signs, list[int]]  # system, signs, places of the true services


def examples(cases: Sequence[Labelled]) -> list[Example]:
    """Measure each case once."""
    found = []
    for case in cases:
        context = {key: value for key, value in case.context.items() if key != "changes"}
        signs = read_signs(
            read_inputs(case.metrics, case.start, **context), case.context.get("changes") or ()
        )
        places = [i for i, name in enumerate(signs.services) if name in case.truth]
        found.append((case.system, signs, places))
    return found


def fit(found: Sequence[Example]) -> np.ndarray:
    """Conditional logit, each system counting alike, held at the prior by a ridge."""
    prior = np.array([PRIOR[name] for name in FEATURES])
    used = [one for one in found if one[2] and one[0] not in UNJUDGED]
    systems = [one[0] for one in used]
    size = {system: systems.count(system) for system in systems}

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = 0.0, np.zeros_like(weights)
        for system, signs, places in used:
            score = signs.table @ weights
            share = np.exp(score - score.max())
            share /= share.sum()
            part = 1 / size[system] / len(size)
            total -= part * np.log(share[places].sum())
            wanted = np.zeros(len(share))
            wanted[places] = share[places] / share[places].sum()
            slope -= part * signs.table.T @ (wanted - share)
        hold = TRUST / len(used)
        return total + hold * ((weights - prior) ** 2).sum(), slope + 2 * hold * (weights - prior)

    bounds = [(0, None) if value > 0 else (None, 0) for value in prior]
    return minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds).x


def fit_confidence(found: Sequence[Example], weights: np.ndarray) -> np.ndarray:
    """Logistic regression of "the first is right" on `ranking.doubts`; no weight below zero."""
    rows, right, part = [], [], []
    groups = [(one[0], bool(one[2])) for one in found]
    for (system, real), (_, signs, places) in zip(groups, found, strict=True):
        parts = signs.table * weights
        rows.append([1.0, *doubts(signs, parts)])
        right.append(float(int(parts.sum(axis=1).argmax()) in places))
        part.append(1.0 / groups.count((system, real)))
    x, y, p = np.array(rows), np.array(right), np.array(part)

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ b
        chance = 1 / (1 + np.exp(-z))
        total = (p * (np.logaddexp(0, z) - y * z)).sum() / p.sum() + 0.002 * (b[1:] ** 2).sum()
        slope = x.T @ (p * (chance - y)) / p.sum()
        slope[1:] += 0.004 * b[1:]
        return total, slope

    bounds = [(None, None)] + [(0, None)] * (x.shape[1] - 1)
    return minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds).x


def judge(
    found: Sequence[Example], weights: np.ndarray, confidence: np.ndarray
) -> dict[str, dict[str, float]]:
    """Per system: AC@1, Avg@5, the calibration error of the chance, alarms in quiet windows."""
    outcome: dict[str, dict[str, float]] = {}
    for system in sorted({one[0] for one in found}):
        ranks, chances, alarms = [], [], []
        for _, signs, places in (one for one in found if one[0] == system):
            parts = signs.table * weights
            order = np.argsort(-parts.sum(axis=1), kind="stable")
            z = float(np.dot(confidence, [1.0, *doubts(signs, parts)]))
            chance = 1 / (1 + np.exp(-z))
            if places:
                ranks.append(min(int(np.flatnonzero(order == place)[0]) + 1 for place in places))
                chances.append((chance, ranks[-1] == 1))
            else:
                alarms.append(chance >= 0.5)
        outcome[system] = {
            "n": len(ranks),
            "AC@1": float(np.mean([one == 1 for one in ranks])),
            "Avg@5": float(np.mean([[one <= k for one in ranks] for k in range(1, 6)])),
            "ECE": _calibration_error(chances),
            "quiet_n": len(alarms),
            "false_alarms": float(np.mean(alarms)) if alarms else 0.0,
            "met_with_doubt": float(np.mean([chance < 0.5 for chance, _ in chances])),
        }
    return outcome


def _calibration_error(chances: Sequence[tuple[float, bool]]) -> float:
    chance, right = np.array([c for c, _ in chances]), np.array([r for _, r in chances], float)
    tenth = np.clip((chance * 10).astype(int), 0, 9)
    return float(
        sum(
            abs(chance[tenth == t].mean() - right[tenth == t].mean()) * (tenth == t).mean()
            for t in set(tenth.tolist())
        )
    )


def main() -> None:
    """Learn on all, judge on each system left out, print, and write when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    cases = list(labelled(asked.folder))
    quiet = [one for one in map(quiet_window, cases) if one and one.system not in UNJUDGED]
    found = examples([*cases, *quiet])
    invented = examples([*made_up(range(6), quiet=False), *made_up(range(20, 32), quiet=True)])
    weights = fit(found)
    confidence = fit_confidence([*found, *invented], weights)
    report = {"learned_on_all": judge([*found, *invented], weights, confidence), "unseen": {}}
    for system in sorted({one[0] for one in found} - UNJUDGED):
        others = [one for one in found if one[0] != system]
        held = fit(others)
        calibrated = fit_confidence([*others, *invented], held)
        report["unseen"] |= judge([o for o in found if o[0] == system], held, calibrated)
    for title, outcome in report.items():
        print(title)
        for system, figures in outcome.items():
            print(f"  {system:16}" + "".join(f" {k} {v:<6.3g}" for k, v in figures.items()))
    values = dict(zip(FEATURES, (round(float(w), 2) for w in weights), strict=True))
    print(values, [round(float(b), 2) for b in confidence])
    if asked.write:
        (HERE / "ranker_report.json").write_text(
            json.dumps({"weights": values, "confidence": [round(float(b), 3) for b in confidence],
                        **report}, indent=1) + "\n"
        )  # fmt: skip
        lines = "".join(f'    "{name}": {value},\n' for name, value in values.items())
        (HERE.parent / "irkit" / "diagnosis" / "weights.py").write_text(
            '"""The learned numbers of the ranker; tools/learn_ranker.py writes them."""\n\n'
            "from __future__ import annotations\n\n"
            "# Log-odds per unit of each sign (features.FEATURES).\n"
            f"WEIGHTS: dict[str, float] = {{\n{lines}}}\n\n"
            "# Log-odds that the first suspect is right: a constant, then one per ranking.doubts.\n"
            f"CONFIDENCE: tuple[float, ...] = {tuple(round(float(b), 3) for b in confidence)}\n"
        )


if __name__ == "__main__":
    main()
