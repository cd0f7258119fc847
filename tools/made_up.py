"""Made-up systems with known faults: a call graph, load that varies, and one thing that breaks.

Nothing here is fitted to a data set; it is what every microservice system does.  Time spent and
errors travel from callee to caller, load travels from caller to callee, resources stay where they
are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

FAULTS = ("cpu", "memory", "disk", "delay", "errors")


@dataclass(frozen=True)
class Case:
    metrics: pd.DataFrame
    columns: dict[str, tuple[str, str]]
    services: list[str]
    graph: list[tuple[str, str]]
    start: pd.Timestamp
    culprit: str | None
    fault: str | None
    target: tuple[str, str]


def make_case(
    seed: int,
    *,
    fault: str | None = "cpu",
    services: int = 10,
    step: float = 5.0,
    before: int = 240,
    after: int = 60,
    strength: float = 1.0,
    late_rows: int = 0,
    messy: bool = False,
) -> Case:
    """A system of `services`, quiet for `before` rows and, with a fault, broken for `after` rows.

    `messy` adds what real systems have: bursts of slow requests, idle services that wake at times,
    levels that drift, disks that flush.
    """
    rng = np.random.default_rng([seed, services, before, after])
    names = [f"svc-{i}" for i in range(services)]
    callees: dict[int, list[int]] = {i: [] for i in range(services)}
    for child in range(1, services):
        for parent in rng.choice(
            child, size=min(child, 1 + int(rng.random() < 0.3)), replace=False
        ):
            callees[int(parent)].append(child)
    rows = before + after
    broken = np.zeros(rows)
    culprit = int(rng.integers(1, services)) if fault else None
    if fault:
        ramp = np.arange(after) / max(3, after // (2 if fault == "memory" else 12))
        broken[before:] = np.clip(ramp, 0, 1) * strength

    load = np.zeros((services, rows))
    waves = np.convolve(rng.normal(size=rows + 40), np.ones(41) / 6.4, "valid")
    load[0] = 100 * np.exp(0.15 * waves) * (1 + 0.05 * rng.normal(size=rows))
    for parent in range(services):
        for child in callees[parent]:
            load[child] += load[parent] * rng.uniform(0.3, 1.2)
    own = {i: rng.uniform(2, 30) for i in range(services)}
    latency, errors, cpu = np.zeros_like(load), np.zeros_like(load), np.zeros_like(load)
    frame: dict[str, np.ndarray] = {}
    columns: dict[str, tuple[str, str]] = {}

    def add(i: int, metric: str, values: np.ndarray) -> None:
        column = f"{names[i]}_{metric}"
        columns[column] = (names[i], metric)
        frame[column] = values

    for i in reversed(range(services)):
        mine = broken if i == culprit else np.zeros(rows)
        noise = np.exp(0.12 * rng.normal(size=rows))
        cpu[i] = (2 + 0.05 * load[i] * rng.uniform(0.5, 2)) * np.exp(0.1 * rng.normal(size=rows))
        latency[i] = own[i] * noise * (1 + 0.2 * (load[i] / load[i].mean() - 1))
        errors[i] = rng.poisson(0.002 * load[i]) / np.maximum(load[i], 1)
        memory = 200 * rng.uniform(0.5, 2) * (1 + 0.01 * np.cumsum(rng.normal(size=rows)) / 5)
        disk = np.abs(rng.normal(5, 2, size=rows))
        if messy:
            latency[i] *= 1 + (rng.random(rows) < 0.02) * rng.pareto(1.5, size=rows)
            cpu[i] *= 1 + (rng.random(rows) < 0.02) * rng.uniform(1, 6, size=rows)
            disk = disk * (1 + (rng.random(rows) < 0.03) * rng.uniform(2, 30, size=rows))
            memory = memory * (1 + 0.1 * np.sin(np.arange(rows) / rng.uniform(20, 80)))
            if i and i % 4 == 0:  # idle but for a few moments
                awake = np.convolve(rng.random(rows) < 0.01, np.ones(3), "same") > 0
                load[i] *= awake
                disk = disk * awake
        if fault == "cpu":
            cpu[i] += mine * rng.uniform(40, 80)
            latency[i] *= 1 + mine * rng.uniform(0.5, 3)
        elif fault == "memory":
            memory = memory * (1 + mine * rng.uniform(0.8, 2))
            latency[i] *= 1 + 0.3 * mine
        elif fault == "disk":
            disk = disk + mine * rng.uniform(60, 200)
            latency[i] *= 1 + mine * rng.uniform(0.3, 1.5)
        elif fault == "delay":
            latency[i] += mine * rng.uniform(60, 250)
        elif fault == "errors":
            errors[i] = np.minimum(errors[i] + mine * rng.uniform(0.15, 0.6), 1)
        for child in callees[i]:
            share = np.minimum(load[child] / np.maximum(load[i], 1), 1)
            latency[i] += latency[child] * share * 0.8
            errors[i] = np.minimum(errors[i] + 0.7 * share * errors[child], 1)
        add(i, "memory_mib", memory)
        add(i, "disk_io", disk)
    for i in range(services):  # users who wait ask less
        load[i] /= 1 + 0.3 * np.maximum(latency[0] / np.median(latency[0][:before]) - 1, 0)
        add(i, "cpu", cpu[i])
        add(i, "load", load[i])
        add(i, "latency_p50", latency[i] * np.exp(0.03 * rng.normal(size=rows)))
        add(i, "latency_p90", latency[i] * 1.6 * np.exp(0.1 * rng.normal(size=rows)))
        add(i, "error_ratio", errors[i])
    times = pd.date_range("2026-03-01T12:00:00Z", periods=rows, freq=pd.Timedelta(seconds=step))
    times.name = "time"
    start = times[min(before + late_rows, rows - 1)]
    return Case(
        metrics=pd.DataFrame(frame, index=times),
        columns=columns,
        services=names,
        graph=[(names[a], names[b]) for a in callees for b in callees[a]],
        start=start,
        culprit=names[culprit] if culprit is not None else None,
        fault=fault,
        target=(names[0], "error_ratio" if fault == "errors" else "latency_p90"),
    )
