"""How good the ranker is: per system with intervals, against simple rankers, part by part.

    python benchmarks/diagnosis.py [FOLDER]

FOLDER holds labelled incidents as SYSTEM/CASE folders (see tools/cases.py); by default
$IRKIT_RCA_DATA, or a folder `*/rca/data` beside the repository.  Without it only made-up systems
are measured, and it says so.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tools"))

from cases import Labelled, default_folder, labelled, made_up, quiet_window  # noqa: E402

from irkit.diagnosis import rank, rank_changes  # noqa: E402
from irkit.diagnosis.features import FEATURES, read_signs  # noqa: E402
from irkit.diagnosis.inputs import read_inputs  # noqa: E402
from irkit.diagnosis.weights import WEIGHTS  # noqa: E402

DEFAULT = default_folder()
Ranker = Callable[[Labelled], Sequence[str]]
PARTS = {
    "all": (),
    "no alerting series": ("follows", "follows_alone", "follows_below", "alerting"),
    "no call graph": tuple(name for name in FEATURES if name.endswith("_below")),
    "no spans": ("gap", "waits", "own", "flow", "own_below", "flow_below"),
    "no logs": ("bad_lines", "new_lines", "lost_lines", "bad_lines_below", "lost_lines_below"),
    "no resources": ("resource", "io"),
    "no latency, errors": ("latency", "errors", "latency_below", "errors_below"),
    "no onset order": ("early",),
}


def ours(case: Labelled) -> list[str]:
    """The ranker itself."""
    return [service for service, _, _ in rank(case.metrics, case.start, **case.context)]


def n_sigma(case: Labelled) -> list[str]:
    """Largest distance from the mean in standard deviations."""
    before, after = _windows(case)
    return _services(case, (after - before.mean()).abs().max() / before.std().replace(0, np.nan))


def robust_z(case: Labelled) -> list[str]:
    """Largest distance from the median in interquartile ranges (the score of BARO)."""
    before, after = _windows(case)
    spread = (before.quantile(0.75) - before.quantile(0.25)).replace(0, np.nan)
    return _services(case, (after - before.median()).abs().max() / spread)


def _windows(case: Labelled) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = case.metrics[[c for c in case.metrics if c in case.context["columns"]]]
    return frame[frame.index < case.start], frame[frame.index >= case.start]


def _services(case: Labelled, score: pd.Series) -> list[str]:
    ordered = score.fillna(0.0).sort_values(ascending=False, kind="stable").index
    return list(dict.fromkeys(case.context["columns"][column][0] for column in ordered))


def place(ranked: Sequence[str], truth: Iterable[str]) -> int:
    """The best place of a true service, 99 when it is not named."""
    return min((ranked.index(one) + 1 for one in truth if one in ranked), default=99)


def figures(places: Sequence[int]) -> str:
    """AC@1 with its 95 % bootstrap interval, and Avg@5."""
    first = np.array([one == 1 for one in places], float)
    average = np.mean([[one <= k for one in places] for k in range(1, 6)])
    draws = np.random.default_rng(0).choice(first, (2000, len(first))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{first.mean():.2f} [{low:.2f} {high:.2f}] / {average:.2f}"


def table(title: str, rows: dict[str, dict[str, str]], columns: Sequence[str]) -> None:
    """Print one table in Markdown."""
    print(f"\n{title}\n")
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells.get(one, "") for one in columns) + " |")


def _by_system(cases: Sequence[Labelled], ranker: Ranker) -> dict[str, str]:
    systems: dict[str, list[int]] = {}
    for case in cases:
        systems.setdefault(case.system, []).append(place(ranker(case), case.truth))
    return {system: figures(places) for system, places in systems.items()}


def _without(cases: Sequence[Labelled]) -> dict[str, dict[str, str]]:
    """The ranking again with parts of the evidence switched off."""
    weights = np.array([WEIGHTS[name] for name in FEATURES])
    signs = []
    for case in cases:
        context = {key: value for key, value in case.context.items() if key != "changes"}
        given = read_inputs(case.metrics, case.start, **context)
        signs.append(read_signs(given, case.context.get("changes") or ()))
    rows = {}
    for name, off in PARTS.items():
        kept = weights * [feature not in off for feature in FEATURES]
        systems: dict[str, list[int]] = {}
        for case, one in zip(cases, signs, strict=True):
            order = np.argsort(-(one.table @ kept), kind="stable")
            ranked = [one.services[i] for i in order]
            systems.setdefault(case.system, []).append(place(ranked, case.truth))
        rows[name] = {system: figures(places) for system, places in systems.items()}
    return rows


def _changes(cases: Sequence[Labelled]) -> dict[str, dict[str, str]]:
    judged = [case for case in cases if case.change]
    rows = {}

    def latest(case: Labelled) -> list[str]:
        live = [c for c in case.context["changes"] if c["kind"] != "commit"]
        past = [c for c in live if c["time"] <= case.start.timestamp()]
        return [c["id"] for c in sorted(past, key=lambda c: -c["time"])]

    def mine(case: Labelled) -> list[str]:
        return rank_changes(case.metrics, case.start, **case.context)

    for name, ranker in (("irkit", mine), ("latest deploy", latest)):
        named = [(case, (ranker(case) or ["none"])[0]) for case in judged]
        true = [first == case.change for case, first in named if case.change != "none"]
        none = [first == "none" for case, first in named if case.change == "none"]
        rows[name] = {
            "culprit first": f"{sum(true)} of {len(true)}",
            "none right": f"{sum(none)} of {len(none)}",
            "decoy first": f"{sum(first in case.decoys for case, first in named)} of {len(named)}",
        }
    return rows


def main() -> None:
    """Print every table."""
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    cases = list(labelled(folder)) if folder.is_dir() else []
    if not cases:
        print(f"no labelled incidents in {folder}: made-up systems only")
    cases += made_up(range(4), quiet=False)
    systems = list(dict.fromkeys(case.system for case in cases))
    rankers = {"irkit": ours, "N-sigma": n_sigma, "robust z": robust_z}
    rows = {name: _by_system(cases, ranker) for name, ranker in rankers.items()}
    for late in (60, 180, 300):
        delayed = [replace(c, start=c.start + pd.Timedelta(seconds=late)) for c in cases]
        rows[f"irkit, alert {late} s late"] = _by_system(delayed, ours)
    table("Service found: AC@1 [95 % interval] / Avg@5", rows, systems)
    table("Without a part", _without(cases), systems)
    quiet = [*filter(None, map(quiet_window, cases)), *made_up(range(20, 26), quiet=True)]
    alarms: dict[str, list[bool]] = {}
    for case in quiet:
        found = rank(case.metrics, case.start, **case.context)
        alarms.setdefault(case.system, []).append(bool(found) and found[0][2] >= 0.5)
    silent = {s: [not ours(case) for case in cases if case.system == s] for s in systems}
    table(
        "Silence",
        {
            "false alarms in quiet windows": {
                s: f"{np.mean(a):.2f} of {len(a)}" for s, a in alarms.items()
            },
            "incidents met with silence": {
                s: f"{np.mean(a):.2f} of {len(a)}" for s, a in silent.items()
            },
        },
        systems,
    )
    if any(case.change for case in cases):
        judged = _changes(cases)
        table("Changes", judged, ["culprit first", "none right", "decoy first"])
    spent = {}
    for system in systems:
        chosen = [case for case in cases if case.system == system][:8]
        begun = time.perf_counter()
        for case in chosen:
            ours(case)
        spent[system] = f"{(time.perf_counter() - begun) / len(chosen):.2f}"
    table("Seconds a case", {"irkit": spent}, systems)


if __name__ == "__main__":
    main()
