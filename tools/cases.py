"""Labelled incidents, and made-up ones, in the form the ranker takes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from made_up import FAULTS, make_case


def default_folder() -> Path:
    """Where labelled incidents lie: $IRKIT_RCA_DATA, else `*/rca/data` beside the repository."""
    beside = Path(__file__).resolve().parents[2]
    found = next(iter(sorted(beside.glob("*/rca/data"))), beside / "rca" / "data")
    return Path(os.environ.get("IRKIT_RCA_DATA", found))


@dataclass(frozen=True)
class Labelled:
    """One incident, or a quiet window (`truth` is empty), of one system."""

    system: str
    name: str
    fault: str
    metrics: pd.DataFrame
    start: pd.Timestamp
    context: dict[str, Any]
    truth: frozenset[str]
    change: str | None = None
    decoys: frozenset[str] = frozenset()


def labelled(folder: Path) -> Iterator[Labelled]:
    """Every incident under `folder`/SYSTEM/CASE: case.json, truth.json, metrics.csv.gz, ..."""
    for path in sorted(folder.glob("*/*/case.json")):
        case = json.loads(path.read_text())
        truth = json.loads((path.parent / "truth.json").read_text())
        metrics = pd.read_csv(path.parent / "metrics.csv.gz")
        if case.get("normal"):
            normal = pd.read_csv(path.parent.parent / case["normal"])
            normal = normal[[one for one in normal.columns if one in set(metrics.columns)]]
            normal["time"] = case["incident_start"] - case["step"] * np.arange(len(normal), 0, -1)
            metrics = pd.concat([normal, metrics], ignore_index=True)
        metrics.index = pd.to_datetime(metrics.pop("time"), unit="s", utc=True)
        target = case.get("target")
        tables = {}
        for name in ("logs", "traces"):
            table = path.parent / f"{name}.csv.gz"
            tables[name] = pd.read_csv(table) if table.exists() else None
            if tables[name] is not None:
                tables[name]["time"] = pd.to_datetime(tables[name]["time"], unit="s", utc=True)
        yield Labelled(
            system=path.parent.parent.name,
            name=path.parent.name,
            fault=str(truth.get("fault")),
            metrics=metrics,
            start=pd.Timestamp(case["incident_start"], unit="s", tz="UTC"),
            context={
                "columns": {c: tuple(v) for c, v in case["columns"].items() if c in metrics},
                "services": list(case["services"]),
                "target": (target["service"], target["metric"]) if target else None,
                "graph": [tuple(edge) for edge in case["graph"]] if case.get("graph") else None,
                "changes": case.get("changes"),
                **tables,
            },
            truth=frozenset(truth["service"]),
            change=truth.get("change"),
            decoys=frozenset(truth.get("decoys") or ()),
        )


def quiet_window(case: Labelled) -> Labelled | None:
    """The time before the incident, asked as if an alert had fired at 85 % of it."""
    before = case.metrics[case.metrics.index < case.start]
    if len(before) < 30:
        return None
    return replace(
        case,
        metrics=before,
        start=before.index[int(len(before) * 0.85)],
        context=case.context | {"changes": None, "logs": None, "traces": None},
        truth=frozenset(),
    )


def made_up(seeds: range, *, quiet: bool) -> Iterator[Labelled]:
    """Made-up systems of three shapes, metrics alone or with call graph and alerting series."""
    shapes: tuple[dict[str, Any], ...] = (
        {"services": 12},
        {"services": 30, "step": 60.0, "before": 60, "after": 6},
        {"services": 20, "step": 1.0, "before": 600, "after": 300},
    )
    for seed in seeds:
        for number, shape in enumerate(shapes):
            for fault in FAULTS if not quiet else FAULTS[:1]:
                case = make_case(seed, fault=None if quiet else fault, messy=True, **shape)
                known = {"graph": case.graph, "target": case.target} if seed % 2 else {}
                yield Labelled(
                    system="made_up",
                    name=f"{number}-{seed}-{fault}",
                    fault=str(case.fault),
                    metrics=case.metrics,
                    start=case.start,
                    context={"columns": case.columns, "services": case.services, **known},
                    truth=frozenset([case.culprit] if case.culprit else []),
                )
