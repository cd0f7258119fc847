"""Which route an alert takes, and why."""

from __future__ import annotations

from collections.abc import Sequence

from irkit.model.alert import Alert
from irkit.model.base import Value
from irkit.model.route import DEFAULT_ROUTE, Route


class Choice(Value, frozen=True, kw_only=True):
    """The chosen route and, in order, what was tried and why it did or did not match."""

    route: Route
    steps: tuple[str, ...]


def labels_of(alert: Alert) -> dict[str, str]:
    """The labels that routes look at: the sender's own, over our `alertname` and `service`."""
    ours = {
        "alertname": alert.name,
        "service": alert.service,
        "severity": alert.severity,
        "source": alert.source,
    }
    return {**{k: v for k, v in ours.items() if v}, **alert.labels}


def choose(alert: Alert, routes: Sequence[Route]) -> Choice:
    """The first route whose matchers all hold, else the general triage."""
    labels = labels_of(alert)
    steps: list[str] = []
    for number, route in enumerate(routes, 1):
        name = f"route {number} ({route.name})" if route.name else f"route {number}"
        failed = next((m for m in route.match if not m.matches(labels)), None)
        if failed is None:
            conditions = ", ".join(map(str, route.match)) or "no conditions"
            steps.append(f"{name} matches: {conditions}")
            return Choice(route=route, steps=tuple(steps))
        actual = labels.get(failed.name, "")
        steps.append(f"{name} does not match: {failed} ({failed.name} is {actual!r})")
    steps.append("no route matches: general triage")
    return Choice(route=DEFAULT_ROUTE, steps=tuple(steps))
