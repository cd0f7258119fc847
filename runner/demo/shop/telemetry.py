"""What a service of the shop says about itself: Prometheus metrics and JSON-lines logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from irkit.clock import SystemClock
from runner.demo.shop.history import stamp

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of `http_request_duration_seconds`, in seconds."""


class Telemetry:
    """Counts, times and logs the requests of one running version of a service.

    The log is `logs/SERVICE.jsonl`: `ts` (RFC 3339, UTC, ms), `level`, `service`, `version`,
    `request_id`, `route`, `code`, `ms`, `msg`, and `error` where something went wrong. The old and
    the new version append to the same file while they change over; each line is one write.
    """

    def __init__(self, service: str, version: str, logs: Path) -> None:
        disable_created_metrics()
        self._names = {"service": service, "version": version}
        self._log = logs / f"{service}.jsonl"
        self._log.open("ab").close()  # a version that cannot log does not become ready
        self._clock = SystemClock()
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "http_requests_total",
            "Requests answered, by route and status code.",
            ["service", "route", "code", "version"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Time until a request was answered.",
            ["service", "route", "version"],
            buckets=BUCKETS,
            registry=self._registry,
        )
        build = Gauge(
            "build_info",
            "1 for the version that runs.",
            ["service", "version"],
            registry=self._registry,
        )
        build.labels(**self._names).set(1)

    def exposition(self) -> bytes:
        """The metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def answered(
        self, *, request_id: str, route: str, code: int, seconds: float, msg: str, error: str = ""
    ) -> None:
        """Record one answered request."""
        self._requests.labels(route=route, code=str(code), **self._names).inc()
        self._seconds.labels(route=route, **self._names).observe(seconds)
        level = "error" if code >= 500 else "warning" if code >= 400 else "info"
        line: dict[str, Any] = {
            "ts": stamp(self._clock.now()),
            "level": level,
            **self._names,
            "request_id": request_id,
            "route": route,
            "code": code,
            "ms": round(seconds * 1000, 1),
            "msg": msg,
        }
        if error:
            line["error"] = error
        # Opened anew for each line, so that the supervisor may move a long log away.
        with self._log.open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")
