"""The two parsers beside what one would use today: interleaved runs, medians, and exactness.

    python benchmarks/parsers.py [--full]

Peers that are not installed are named and left out.  Trust the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pandas as pd

from irkit.logs.jsonl import read_jsonl
from irkit.metrics.matrix import read_matrix

Runs = dict[str, Callable[[], Any]]


def matrix_body(series: int, samples: int) -> bytes:
    """A range reply with gaps, NaN, infinities, and a tenth of the series off the grid."""
    rng = np.random.default_rng(1)
    parts = []
    for number in range(series):
        start = 1735689600781 + (7123 if number % 10 == 0 else 0)
        times = start + 15_000 * np.arange(samples)
        values = np.abs(rng.normal(50, 20, samples))
        texts = [str(int(v * 1000)) if number % 5 == 0 else repr(float(v)) for v in values]
        for place, word in zip(rng.integers(0, samples, 4), ("NaN", "+Inf", "-Inf", "1e+06"),
                               strict=True):  # fmt: skip
            texts[place] = word
        kept = rng.random(samples) > 0.01
        written = ",".join(
            f'[{t // 1000}.{t % 1000:03d},"{v}"]'
            for t, v, keep in zip(times, texts, kept, strict=True)
            if keep
        )
        labels = json.dumps({"__name__": "http_requests_total", "job": "shop",
                             "instance": f"10.0.0.{number % 250}:8080", "route": f"/r/{number}"},
                            separators=(",", ":"))  # fmt: skip
        parts.append(f'{{"metric":{labels},"values":[{written}]}}')
    data = f'{{"resultType":"matrix","result":[{",".join(parts)}]}}'
    return f'{{"status":"success","data":{data}}}'.encode()


def log_body(lines: int) -> bytes:
    """JSON lines of six fields."""
    rng = np.random.default_rng(2)
    times = 1735689600000 + np.cumsum(rng.integers(1, 400, lines))
    stamps = pd.to_datetime(times, unit="ms", utc=True).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return "".join(
        f'{{"ts":"{stamp}","level":"{level}","service":"svc-{n % 20}",'
        f'"msg":"request {n} took {took:.3f} ms on node-{n % 40}",'
        f'"status":{status},"took":{took}}}\n'
        for n, (stamp, level, took, status) in enumerate(
            zip(stamps, rng.choice(["INFO", "WARN", "ERROR"], lines), rng.random(lines) * 100,
                rng.choice([200, 404, 500], lines), strict=True)
        )
    ).encode()  # fmt: skip


def race(runs: Runs, times: int) -> dict[str, float]:
    """The median seconds of each, run in turn."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(times):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            spent[name].append(time.perf_counter() - begun)
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def show(title: str, seconds: dict[str, float], first: str) -> None:
    """Print each with its ratio to ours."""
    print(f"\n{title}")
    for name, one in seconds.items():
        print(f"  {name:44} {one:7.3f} s   {one / seconds[first]:6.2f} x ours")


def optional(module: str, name: str) -> Any:
    """A peer, or None when it is not installed."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        print(f"not installed, left out: {module}")
        return None


def matrices(full: bool) -> None:
    """Prometheus replies."""
    body = matrix_body(200, 5000 if full else 2000)
    print(f"matrix: {len(body) / 1e6:.1f} MB")
    runs: Runs = {"irkit read_matrix": lambda: read_matrix(body),
                  "orjson.loads alone": lambda: orjson.loads(body)}  # fmt: skip
    client = optional("prometheus_api_client", "MetricRangeDataFrame")
    if client:
        runs["prometheus-api-client MetricRangeDataFrame"] = lambda: client(
            json.loads(body)["data"]["result"]
        )
    pandas_of = optional("prometheus_pandas.query", "to_pandas")
    if pandas_of:
        runs["prometheus-pandas to_pandas"] = lambda: pandas_of(json.loads(body)["data"])
    show("Prometheus matrix to DataFrame", race(runs, 5), "irkit read_matrix")
    frame = read_matrix(body).frame
    exact = {round(float(at) * 1000) for one in json.loads(body)["data"]["result"]
             for at, _ in one["values"]}  # fmt: skip
    found = frame.index.as_unit("ns").asi8
    print(f"  times exact to the millisecond: {found.tolist() == sorted(t * 10**6 for t in exact)}")
    if client:
        others = client(json.loads(body)["data"]["result"]).index
        wrong = ~np.isin(pd.DatetimeIndex(others).as_unit("ns").asi8, found)
        print(f"  prometheus-api-client: {wrong.mean():.0%} of its times are off")


def logs(full: bool) -> None:
    """JSON-lines logs."""
    body = log_body(1_000_000 if full else 200_000)
    print(f"\nlogs: {len(body) / 1e6:.1f} MB")
    runs: Runs = {
        "irkit read_jsonl": lambda: read_jsonl(body),
        "pandas read_json(lines=True)": lambda: pd.read_json(io.BytesIO(body), lines=True),
        'pandas read_json(engine="pyarrow")': lambda: pd.read_json(
            io.BytesIO(body), lines=True, engine="pyarrow"
        ),
    }
    show("JSON lines to DataFrame", race(runs, 3), "irkit read_jsonl")
    lines = body.splitlines(keepends=True)
    lines[len(lines) // 2] = b"Traceback (most recent call last):\n"
    broken = b"".join(lines)
    table = read_jsonl(broken)
    print(f"  with one line that is no JSON: {table!r}")
    for engine in ("ujson", "pyarrow"):
        try:
            pd.read_json(io.BytesIO(broken), lines=True, engine=engine)
            print(f"  pandas ({engine}) reads it")
        except ValueError as refused:
            print(f"  pandas ({engine}) raises: {str(refused)[:60]}")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="a million samples, a million lines")
    full = parser.parse_args().full
    warnings.filterwarnings("ignore")
    matrices(full)
    logs(full)


if __name__ == "__main__":
    main()
