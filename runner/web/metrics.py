"""Our own numbers, in Prometheus' format."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from runner.service import Runner

_RUN_STATUSES = ("running", "succeeded", "failed", "timed_out", "stopped", "killed", "refused")


class Metrics:
    """Counts deliveries as they come; everything else is read off the ledger when asked for."""

    def __init__(self, runner: Runner) -> None:
        self.registry = CollectorRegistry()
        self.deliveries = Counter(
            "irkit_deliveries",
            "Deliveries to hooks, by source and by what became of them.",
            ("source", "result"),
            registry=self.registry,
        )
        for name in runner.intake.hooks:
            self.deliveries.labels(source=name, result="stored")
        self.registry.register(_Ledger(runner))

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)


class _Ledger:
    """What the ledger and the inbox say, as gauges."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def describe(self) -> list[Metric]:
        """Nothing up front: collecting would read the ledger at registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One gauge after the other."""
        runner = self.runner
        states = runner.ledger.states()
        incidents = GaugeMetricFamily(
            "irkit_incidents", "Incidents, by state and severity.", labels=("state", "severity")
        )
        counted = Count((s.state, s.severity) for s in states)
        for state in ("open", "mitigated", "resolved"):
            for severity in ("SEV1", "SEV2", "SEV3", "SEV4"):
                incidents.add_metric((state, severity), counted[state, severity])
        yield incidents
        runs = GaugeMetricFamily("irkit_runs", "Runs, by status.", labels=("status",))
        statuses = Count(r.status for s in states for r in s.runs)
        for status in _RUN_STATUSES:
            runs.add_metric((status,), statuses[status])
        yield runs
        failed = sum(f.attempts for s in states for f in s.failures.values())
        yield GaugeMetricFamily(
            "irkit_effects_failed", "Attempts at something owed that failed.", value=failed
        )
        yield GaugeMetricFamily(
            "irkit_plans_waiting", "Plans that wait for a person.",
            value=len(runner.waiting_plans()),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "irkit_inbox_waiting", "Deliveries stored and not triaged yet.",
            value=runner.inbox.backlog(),
        )  # fmt: skip
        last = runner.inbox.last_received()
        yield GaugeMetricFamily(
            "irkit_last_delivery_timestamp_seconds", "When the newest delivery came; 0: never.",
            value=last.timestamp() if last else 0,
        )  # fmt: skip
        yield GaugeMetricFamily(
            "irkit_confinement_complete", "1 if runs are confined in every respect.",
            value=int(runner.confinement.complete),
        )  # fmt: skip
