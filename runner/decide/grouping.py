"""Which incident an alert belongs to: one that is open, a new one, or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from irkit.model.alert import Alert, worst
from irkit.model.base import Value
from irkit.model.catalog import Catalog
from irkit.model.event import IncidentOpened
from irkit.model.incident import IncidentState
from irkit.model.route import Route
from runner.decide.routing import choose, labels_of


class Triage(Value, frozen=True, kw_only=True):
    """What becomes of one alert: it joins an incident, opens one, or is only kept in the inbox."""

    alert: Alert
    join: str = ""
    opened: IncidentOpened | None = None
    why: str = ""


def triage(
    alert: Alert, open_incidents: Iterable[IncidentState], routes: Sequence[Route], catalog: Catalog
) -> Triage:
    """Decide where an alert belongs.

    It joins the open incident of its group; failing that, an open incident with the same signal
    whose affected services include its own (a symptom seen from a caller); failing that, a firing
    alert opens a new incident, and a resolved one belongs to nothing that is open.
    """
    choice = choose(alert, routes)
    group = group_of(alert, choice.route)
    signal = alert.signal or catalog.signal_of_alert(alert.service, alert.name)
    known = list(open_incidents)
    for state in known:
        if state.group == group or alert.fingerprint in state.alerts:
            return Triage(alert=alert, join=state.id, why=f"same group as {state.id}")
    for state in known:
        if signal and signal == state.signal and alert.service in state.services:
            return Triage(
                alert=alert, join=state.id,
                why=f"{alert.service} is affected by {state.id}, same signal {signal}",
            )  # fmt: skip
    if not alert.firing:
        return Triage(alert=alert, why="resolved, and no open incident knows it")
    services = catalog.affected(alert.service)
    return Triage(
        alert=alert,
        opened=IncidentOpened(
            title=alert.summary or f"{alert.name} on {alert.service or 'an unnamed service'}",
            severity=worst([alert.severity]),
            service=alert.service,
            services=services,
            group=group,
            route=choice.route.name,
            runbook=choice.route.runbook,
            parameters=choice.route.parameters,
            signal=signal,
            why=choice.steps[-1],
        ),
        why=choice.steps[-1],
    )


def group_of(alert: Alert, route: Route) -> str:
    """The incident key of an alert: the route and the values of the labels it groups by."""
    labels = labels_of(alert)
    values = ",".join(f"{name}={labels.get(name, '')}" for name in route.group_by)
    return f"{route.name or route.runbook}/{values}"
