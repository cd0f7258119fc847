"""From a delivery to events: once, in any order, into the right incident, none lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from irkit.clock import SetClock
from irkit.config import parse
from irkit.errors import BadAlert, IrkitError, NotFound, Refused
from irkit.model.base import canonical
from runner.intake import Intake
from runner.outside import Integrations
from runner.stores.database import Database
from runner.stores.inbox import Inbox
from runner.stores.ledger import Ledger

START = datetime(2026, 3, 1, 14, 2, tzinfo=UTC)
CONFIG = """
integrations:
  am: {type: alertmanager, insecure: true}
  locked: {type: alertmanager, token: "file:TOKEN"}
  metrics: {type: prometheus, url: "http://127.0.0.1:9"}
catalog:
  services:
    frontend:
      depends_on: [checkout]
      signals: {error_rate: {source: metrics, query: errors, alerts: [HighErrorRate]}}
    checkout:
      signals: {error_rate: {source: metrics, query: errors, alerts: [HighErrorRate]}}
    warehouse:
      signals: {error_rate: {source: metrics, query: errors, alerts: [HighErrorRate]}}
routes:
  - {name: errors, match: 'alertname="HighErrorRate"', runbook: high-error-rate}
"""


class Desk:
    """An intake with its stores."""

    def __init__(self, folder: Path) -> None:
        (folder / "token").write_text("a-token-for-the-hook")
        text = CONFIG.replace("TOKEN", str(folder / "token"))
        config = parse(text, file=folder / "irkit.yaml")
        self.clock = SetClock(START)
        self.database = Database(folder / "state")
        self.ledger = Ledger(self.database, self.clock)
        self.inbox = Inbox(self.database, self.clock)
        self.intake = Intake(
            self.ledger, self.inbox, Integrations(config.integrations), config.routing,
            config.services, self.clock,
        )  # fmt: skip

    def send(self, *alerts: dict[str, Any], hook: str = "am") -> None:
        """Deliver and triage."""
        self.clock.advance(timedelta(seconds=1))
        self.intake.receive(hook, {}, body_of(*alerts)).result(10)
        self.intake.triage_waiting()

    def kinds(self, incident: str = "IR-1") -> list[str]:
        return [e.kind for e in self.ledger.events(incident)]

    def close(self) -> None:
        self.inbox.close()
        self.database.close()


def one(
    status: str = "firing", *, start: datetime = START, fingerprint: str = "", **labels: str
) -> dict[str, Any]:
    given = {"alertname": "HighErrorRate", "service": "checkout", "severity": "warning", **labels}
    return {
        "status": status,
        "labels": given,
        "annotations": {},
        "startsAt": start.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": fingerprint or "fp-" + given["service"],
    }


def body_of(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "receiver": "irkit", "alerts": list(alerts)}).encode()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_an_alert_opens_an_incident(desk: Desk) -> None:
    desk.send(one())
    state = desk.ledger.state("IR-1")
    assert desk.kinds() == ["incident.opened", "alert.fired"]
    assert (state.service, state.signal) == ("checkout", "error_rate")
    assert state.runbook == "high-error-rate"
    assert state.services == ("checkout", "frontend")
    assert state.first_alert_at == desk.clock.now()
    assert [e.by for e in desk.ledger.events("IR-1")] == ["hook:am", "hook:am"]


def test_the_same_news_again_is_stored_once(desk: Desk) -> None:
    for _ in range(5):
        desk.send(one())
    assert desk.kinds() == ["incident.opened", "alert.fired"]
    assert desk.inbox.count() == 5
    assert desk.inbox.waiting() == ()
    for _ in range(3):
        desk.send(one("resolved"))
    assert desk.kinds() == ["incident.opened", "alert.fired", "alert.resolved"]


def test_one_delivery_with_the_same_alert_twice(desk: Desk) -> None:
    desk.send(one(), one(), one("resolved"), one("resolved"))
    assert desk.kinds() == ["incident.opened", "alert.fired", "alert.resolved"]


def test_lost_from_sight_and_fired_again_with_its_first_start(desk: Desk) -> None:
    """Alertmanager resolves what it lost sight of, and fires it again with the first start."""
    for status in ("firing", "resolved", "firing"):
        desk.send(one(status))
    assert desk.kinds()[1:] == ["alert.fired", "alert.resolved", "alert.fired"]
    assert [a.fingerprint for a in desk.ledger.state("IR-1").firing] == ["fp-checkout"]


def test_fired_anew_in_an_open_incident(desk: Desk) -> None:
    desk.send(one())
    desk.send(one("resolved"))
    desk.send(one(start=START + timedelta(minutes=5)))
    assert desk.kinds()[1:] == ["alert.fired", "alert.resolved", "alert.fired"]


def test_resolved_of_something_unknown_is_kept_and_opens_nothing(desk: Desk) -> None:
    desk.send(one("resolved"))
    assert desk.ledger.incidents() == ()
    assert [(d.state, d.incidents) for d in desk.inbox.all()] == [("triaged", ())]


def test_resolved_before_fired(desk: Desk) -> None:
    """What arrives late is news of something that fires; a person or the next news closes it."""
    desk.send(one("resolved"))
    desk.send(one())
    assert desk.kinds() == ["incident.opened", "alert.fired"]
    desk.send(one("resolved"))
    assert desk.ledger.state("IR-1").firing == ()


def test_a_caller_with_the_same_signal_joins(desk: Desk) -> None:
    desk.send(one())
    desk.send(one(service="frontend"))
    assert desk.ledger.incidents() == ("IR-1",)
    assert set(desk.ledger.state("IR-1").alerts) == {"fp-checkout", "fp-frontend"}


def test_a_service_that_is_not_affected_opens_another(desk: Desk) -> None:
    desk.send(one())
    desk.send(one(service="warehouse"))
    assert desk.ledger.incidents() == ("IR-1", "IR-2")


def test_another_signal_opens_another(desk: Desk) -> None:
    desk.send(one())
    desk.send(one(alertname="DiskFull", fingerprint="disk"))
    assert [s.runbook for s in desk.ledger.states()] == ["high-error-rate", "general-triage"]


def test_many_services_in_one_delivery(desk: Desk) -> None:
    desk.send(one(), one(service="frontend"), one(service="warehouse"))
    assert [len(s.alerts) for s in desk.ledger.states()] == [2, 1]
    assert desk.inbox.all()[0].incidents == ("IR-1", "IR-2")


def test_after_it_was_resolved_the_same_alert_opens_a_new_one(desk: Desk) -> None:
    from irkit.model.event import Draft, IncidentResolved

    desk.send(one())
    over = IncidentResolved(why="by hand")
    desk.ledger.append("IR-1", Draft(key="x", at=START, by="person:oncall", body=over))
    desk.send(one())
    assert desk.ledger.incidents() == ("IR-1", "IR-2")


def test_severity_rises_and_never_falls_by_itself(desk: Desk) -> None:
    desk.send(one())
    desk.send(one(service="frontend", severity="critical"))
    desk.send(one(service="frontend", severity="info", fingerprint="other"))
    assert desk.ledger.state("IR-1").severity == "SEV1"
    assert desk.kinds().count("severity.changed") == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'{"version":"3"}', b'{"version":"4","alerts":[{"status":"odd"}]}',
     b"[" * 100_000, b"\xff\xfe", b'{"version":"4","alerts":"many"}'],
    ids=["empty", "cut", "null", "list", "version", "status", "nested", "bytes", "type"],
)  # fmt: skip
def test_what_cannot_be_read_is_kept_and_said(body: bytes, desk: Desk) -> None:
    with pytest.raises(BadAlert):
        desk.intake.receive("am", {}, body)
    desk.intake.triage_waiting()
    (kept,) = desk.inbox.unreadable()
    assert (kept.body, kept.state) == (body, "unreadable")
    assert kept.error
    assert desk.ledger.incidents() == ()


def test_a_stranger_and_an_unknown_hook_store_nothing(desk: Desk) -> None:
    with pytest.raises(Refused) as why:
        desk.intake.receive("locked", {"authorization": "Bearer wrong"}, body_of(one()))
    assert why.value.reason == "unauthenticated"
    with pytest.raises(NotFound, match=r"irkit\.yaml"):
        desk.intake.receive("nobody", {}, body_of(one()))
    assert desk.inbox.count() == 0
    good = {"authorization": "Bearer a-token-for-the-hook"}
    desk.intake.receive("locked", good, body_of(one())).result(10)
    assert desk.inbox.count() == 1


def test_foreign_text_stays_text(desk: Desk) -> None:
    nasty = "\"'`$(rm -rf /){{ 7*7 }}<img src=x onerror=alert(1)>\n\\;| ../../etc"
    desk.send(one(alertname=nasty, service=nasty, extra=nasty, fingerprint=nasty))
    state = desk.ledger.state("IR-1")
    assert state.alerts[nasty].alert.labels["extra"] == nasty
    assert state.services == (nasty,)
    assert desk.ledger.verify("IR-1").intact


def test_strange_times(desk: Desk) -> None:
    alert = one()
    alert["startsAt"] = "2026-03-01T14:02:00.123456789Z"
    desk.send(alert)
    gone = {**alert, "status": "resolved", "endsAt": "0001-01-01T00:00:00Z"}
    desk.send(gone)
    resolved = desk.ledger.events("IR-1")[-1]
    assert (resolved.kind, resolved.at) == ("alert.resolved", desk.clock.now())


def test_killed_between_storing_and_triage(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.intake.receive("am", {}, body_of(one())).result(10)
    desk.close()
    again = Desk(tmp_path)
    assert again.intake.triage_waiting() == 1
    assert again.kinds() == ["incident.opened", "alert.fired"]
    assert again.intake.triage_waiting() == 0
    again.close()


def test_cut_off_within_triage_all_or_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(Exception):
        pass

    def cut(*_: Any, **__: Any) -> None:
        raise Cut

    desk.intake.receive("am", {}, body_of(one(), one(service="warehouse"))).result(10)
    with monkeypatch.context() as patch:
        patch.setattr(desk.inbox, "mark", cut)  # the last statement of the transaction
        desk.intake.triage_waiting()
    assert desk.ledger.incidents() == ()
    assert desk.ledger.states() == ()
    assert len(desk.inbox.waiting()) == 1
    desk.intake.triage_waiting()
    assert desk.ledger.incidents() == ("IR-1", "IR-2")
    assert desk.ledger.verify("IR-1").intact


def test_a_delivery_that_we_trip_over_holds_nobody_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = desk.intake.hooks["am"].alerts
    for alert in (one(alertname="trip"), one()):
        desk.intake.receive("am", {}, body_of(alert)).result(10)

    def trip(_self: Any, name: str, body: bytes) -> Any:
        if b"trip" in body:
            raise ZeroDivisionError
        return whole(name, body)

    with monkeypatch.context() as patch:
        patch.setattr(type(desk.intake.hooks["am"]), "alerts", trip)
        desk.intake.triage_waiting()
        assert desk.kinds() == ["incident.opened", "alert.fired"]
        assert len(desk.inbox.waiting()) == 1
    desk.intake.triage_waiting()
    assert desk.inbox.waiting() == ()


def test_a_full_disk_at_triage_keeps_the_delivery(desk: Desk) -> None:
    desk.intake.receive("am", {}, body_of(one(extra="x" * 50_000))).result(10)

    def limit(pages: int) -> None:
        with desk.database.write() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    limit(1)
    with pytest.raises(IrkitError, match="disk is full"):
        desk.intake.triage_waiting()
    assert desk.ledger.states() == ()
    assert len(desk.inbox.waiting()) == 1
    limit(1_000_000)
    desk.intake.triage_waiting()
    assert desk.kinds() == ["incident.opened", "alert.fired"]


def test_explaining_stores_nothing(desk: Desk) -> None:
    (what,) = desk.intake.explain("am", body_of(one()))
    assert what.opened
    assert what.opened.runbook == "high-error-rate"
    assert "route 1 (errors) matches" in what.why
    assert desk.inbox.count() == 0
    desk.send(one())
    (what,) = desk.intake.explain("am", body_of(one(service="frontend")))
    assert what.join == "IR-1"
    assert canonical(what)
