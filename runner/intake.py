"""Intake: a delivery is authenticated, stored, answered, and then triaged into incidents."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from irkit.clock import Clock
from irkit.errors import BadAlert, IrkitError, NotFound
from irkit.model import event as ev
from irkit.model.alert import Alert, worst
from irkit.model.catalog import Catalog
from irkit.model.event import Draft, Event
from irkit.model.incident import IncidentState, advance, fold
from irkit.model.route import Route
from runner.decide.grouping import Triage, triage
from runner.outside import Integrations
from runner.stores.inbox import Delivery, Inbox
from runner.stores.ledger import Ledger

log = logging.getLogger("irkit.intake")


class Intake:
    """From raw bytes to events.  Nothing that was acknowledged is ever lost or counted twice."""

    def __init__(
        self,
        ledger: Ledger,
        inbox: Inbox,
        integrations: Integrations,
        routes: Sequence[Route],
        catalog: Catalog,
        clock: Clock,
    ) -> None:
        self.ledger, self.inbox, self.catalog, self.clock = ledger, inbox, catalog, clock
        self.routes, self.hooks = tuple(routes), integrations.hooks()

    def receive(self, name: str, headers: Mapping[str, str], body: bytes) -> Future[int]:
        """Authenticate a delivery and hand it to the inbox; the future tells when it is stored.

        Raises:
            NotFound: no source of that name is configured.
            Refused: it is not authentic.
            BadAlert: it cannot be read; it is stored as unreadable first.
        """
        hook = self.hooks.get(name)
        if hook is None:
            raise NotFound("no such hook", on=name, next="add it under integrations in irkit.yaml")
        hook.authenticate(headers, body)
        stored: Future[int] = self.inbox.store(name, body)
        try:
            hook.alerts(name, body)
        except BadAlert as why:
            self._unreadable(stored.result(), str(why))
            raise
        return stored

    def triage_waiting(self) -> int:
        """Turn every delivery that waits into events; returns how many there were.

        The events and the mark on the delivery are one transaction: a crash in between does all of
        it again, or nothing.
        """
        waiting = self.inbox.waiting()
        for delivery in waiting:
            try:
                self._triage(delivery)
            except IrkitError:
                raise  # the disk's trouble is everybody's: all of them wait
            except Exception:  # boundary: a delivery that we trip over must not hold up the others
                log.exception("delivery %s is not triaged; it is tried again", delivery.id)
        return len(waiting)

    def explain(self, name: str, body: bytes) -> tuple[Triage, ...]:
        """What would become of a body, against the incidents that are open now; stores nothing."""
        alerts = self.hooks[name].alerts(name, body)
        return tuple(triage(a, self._open(), self.routes, self.catalog) for a in alerts)

    def _triage(self, delivery: Delivery) -> None:
        hook = self.hooks.get(delivery.source)
        try:
            if hook is None:
                raise BadAlert("its source is no longer configured", on=delivery.source)
            alerts: tuple[Alert, ...] = hook.alerts(delivery.source, delivery.body)
        except BadAlert as why:
            self._unreadable(delivery.id, str(why))
            return
        stored: list[Event] = []
        with self.ledger.writing(), self.ledger.database.write() as connection:
            states = {s.id: s for s in self._open()}
            for alert in alerts:
                decision = triage(alert, states.values(), self.routes, self.catalog)
                incident = decision.join
                if decision.opened:
                    event = self.ledger.open_within(
                        connection, decision.opened, at=delivery.received,
                        by=f"hook:{delivery.source}",
                    )  # fmt: skip
                    stored.append(event)
                    incident = event.incident
                    states[incident] = fold([event])
                if not incident:
                    continue
                for event in self.ledger.append_within(
                    connection, incident, _drafts(alert, states[incident], delivery)
                ):
                    stored.append(event)
                    states[incident] = advance(states[incident], event)
            touched = list(dict.fromkeys(e.incident for e in stored))
            self.inbox.mark(connection, delivery.id, "triaged", incidents=touched)
        self.ledger.committed(tuple(stored))

    def _open(self) -> tuple[IncidentState, ...]:
        return tuple(s for s in self.ledger.states() if s.state != "resolved")

    def _unreadable(self, delivery: int, why: str) -> None:
        with self.ledger.database.write() as connection:
            self.inbox.mark(connection, delivery, "unreadable", error=why[:2000])


def _drafts(alert: Alert, state: IncidentState, delivery: Delivery) -> list[Draft]:
    by = f"hook:{delivery.source}"
    at = delivery.received
    source = f"{delivery.source}#{delivery.id}"
    body: ev.AlertFired | ev.AlertResolved
    if alert.firing:
        body = ev.AlertFired(alert=alert, delivery=source)
        happened = min(alert.starts_at, at)
    else:
        body = ev.AlertResolved(alert=alert, delivery=source)
        happened = min(alert.ends_at or at, at)
    known = state.alerts.get(alert.fingerprint)
    edge = (alert.firing, alert.starts_at)
    if known and (known.alert.firing, known.alert.starts_at) == edge:
        return []  # the same news again
    # A sender that lost sight of an alert resolves it, and fires it again with its first start.
    key = f"{alert.key}:{delivery.id}" if known else alert.key
    drafts = [Draft(key=key, at=happened, by=by, body=body)]
    graver = worst([state.severity, alert.severity])
    if alert.firing and graver != state.severity:
        change = ev.SeverityChanged(
            was=state.severity, severity=graver, why=f"{alert.name} is {alert.severity}"
        )
        drafts.append(Draft(key=f"severity:{graver}:{key}", at=at, by=by, body=change))
    return drafts
