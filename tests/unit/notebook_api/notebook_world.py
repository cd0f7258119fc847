"""A small incident in memory: sources answer in their own wire format, and it is really parsed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from irkit.errors import NeedsRunner
from irkit.incident import Incident, incident
from irkit.model import event as ev
from irkit.model.action import BlastRadius, Change, Check, Outcome, Plan, Undo, plan_key
from irkit.model.alert import Alert
from irkit.model.catalog import ActionTarget, Catalog, Service, Signal
from irkit.model.event import Event
from irkit.model.incident import fold
from irkit.model.look import Reply, Request
from irkit.session import Ask, Briefing, Note, Proposal

NOW = datetime(2026, 3, 1, 14, 5, tzinfo=UTC)
DEPLOY = datetime(2026, 3, 1, 14, 1, 30, tzinfo=UTC)
ONSET = datetime(2026, 3, 1, 14, 1, 40, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)>\"'</td><script>alert(2)</script>"
TYPES = {"prom": "prometheus", "logs": "jsonl", "history": "history", "web": "http"}


def _service(name: str, calls: tuple[str, ...]) -> Service:
    signals = {
        s: Signal(name=s, source="prom", query=f'{s}{{service="$service"}}', unit=u, limit=limit)
        for s, u, limit in (("error_rate", "ratio", 0.05), ("latency", "s", None))
    }
    return Service(
        name=name, owner="shop", tier=1, environment="test", depends_on=calls, signals=signals,
        logs="logs", logs_match='service="$service"', deploys=("history",), health="web/healthz",
        actions={"rollback": ActionTarget(integration="deployer", name=name)},
        links={"dashboard": "https://grafana.example/d/1", "odd": "javascript:alert(1)"},
    )  # fmt: skip


CATALOG = Catalog(
    services={
        "frontend": _service("frontend", ("checkout",)),
        "checkout": _service("checkout", ("payments",)),
        "payments": _service("payments", ()),
    }
)
ALERT = Alert(
    source="am", fingerprint="f1", firing=True, name=f"HighErrorRate {HOSTILE}",
    starts_at=ONSET + timedelta(seconds=15), service="checkout", signal="error_rate",
    severity="SEV2", summary=f"errors {HOSTILE}", labels={"evil": HOSTILE},
)  # fmt: skip


def chain(*drafts: tuple[datetime, str, ev.Body]) -> tuple[Event, ...]:
    """Events of one incident, in order."""
    return tuple(
        Event(
            incident="IR-1", seq=i + 1, key=f"k{i}", at=at, recorded=at, by=by, body=body,  # type: ignore[arg-type]
            prev="", hash=f"{i:064x}",
        )
        for i, (at, by, body) in enumerate(drafts)
    )  # fmt: skip


OPENED = (
    (ALERT.starts_at, "hook:am", ev.IncidentOpened(
        title=f"High error rate {HOSTILE}", severity="SEV2", service="checkout",
        signal="error_rate", services=("checkout", "payments", "frontend"), group="g",
        route="r", runbook="high-error-rate",
    )),
    (ALERT.starts_at, "hook:am", ev.AlertFired(alert=ALERT, delivery="d1")),
)  # fmt: skip


def plan() -> Plan:
    """The rollback as a runner would compute it."""
    return Plan(
        id="P1", key=plan_key("IR-1", "rollback", "checkout", {"to": "previous"}), incident="IR-1",
        action="rollback", integration="deployer", target="checkout",
        arguments={"to": "previous"},
        change=Change(what="checkout", current="1.4.2", target="1.4.1", diff=HOSTILE),
        blast=BlastRadius(instances=1, of=1, dependants=("frontend",), environment="test"),
        undo=Undo(how="deploy 1.4.2 again", action="deploy"), requester="run:R1",
        check=Check(service="checkout", signal="error_rate", limit=0.05, unit="ratio"),
        approvers=("oncall",), reason=HOSTILE, made_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
    )  # fmt: skip


def acted() -> tuple[Event, ...]:
    """The incident after the rollback was approved, applied and verified."""
    later = ONSET + timedelta(minutes=1)
    return chain(
        *OPENED,
        (later, "run:R1", ev.PlanMade(plan=plan())),
        (later, "person:oncall", ev.ApprovalGiven(
            plan="P1", plan_hash=plan().hash, expires_at=NOW, note=HOSTILE)),
        (later, "system", ev.ActionStarted(plan="P1", key=plan().key)),
        (later, "system", ev.ActionApplied(
            plan="P1", outcome=Outcome(status="applied", text="checkout runs 1.4.1", seconds=2))),
        (later + timedelta(seconds=30), "system", ev.EffectVerified(
            plan="P1", verdict="recovered", service="checkout", signal="error_rate", before=0.31,
            after=0.0, limit=0.05, unit="ratio")),
    )  # fmt: skip


class MemorySession:
    """A session whose sources are functions; `failing` names those that do not answer."""

    def __init__(
        self, *, events: tuple[Event, ...] = (), failing: tuple[str, ...] = (), broken: bool = True,
        catalog: Catalog = CATALOG,
    ) -> None:  # fmt: skip
        self.failing, self.broken = failing, broken
        self.requests: list[Request] = []
        self.asked: list[Ask] = []
        self.said: list[str] = []
        self.notes: list[Note] = []
        self._briefing = Briefing(
            principal="run:R1", run="R1", now=NOW, events=events, catalog=catalog, types=TYPES,
            url="http://127.0.0.1:8400/incidents/IR-1",
        )  # fmt: skip
        self.proposal: Callable[[Ask], Proposal] | None = None

    @property
    def briefing(self) -> Briefing:
        return self._briefing

    def look(self, request: Request) -> Reply:
        self.requests.append(request)
        evidence = f"L{len(self.requests)}"
        type_name = TYPES.get(request.source, "")
        if request.source in self.failing:
            return Reply(
                evidence=evidence, type=type_name, at=NOW, error=f"connection refused {HOSTILE}",
                next="start it", retryable=True,
            )  # fmt: skip
        body = {
            "range": self._range, "instant": self._instant, "search": self._search,
            "history": self._history, "get": self._get,
        }[request.op](request)  # fmt: skip
        media = "application/x-ndjson"
        if request.op == "search" and body.count(b"\n") > int(str(request.arguments["limit"])):
            body = b"".join(body.splitlines(True)[-int(str(request.arguments["limit"])) :])
            media += "; truncated=lines"
        return Reply(
            evidence=evidence, type=type_name, at=NOW, body=body, media=media,
            sha256=hashlib.sha256(body).hexdigest(),
        )  # fmt: skip

    def propose(self, ask: Ask) -> Proposal:
        self.asked.append(ask)
        if self.proposal is None:
            raise NeedsRunner("only a runner can plan or apply an action", on=ask.action)
        return self.proposal(ask)

    def say(self, text: str) -> None:
        self.said.append(text)

    def note(self, note: Note) -> None:
        self.notes.append(note)

    def events(self) -> tuple[Event, ...]:
        return self._briefing.events

    def _range(self, request: Request) -> bytes:
        assert request.window is not None
        query, step = str(request.arguments["query"]), float(str(request.arguments["step"]))
        rng = random.Random(query)
        start, end = request.window.start.timestamp(), request.window.end.timestamp()
        service = next((s for s in CATALOG.services if s in query), "")
        values = []
        at = start
        while at <= end:
            bad = self.broken and at >= ONSET.timestamp() and service in ("checkout", "frontend")
            if query.startswith("error_rate"):
                level = (0.3 if service == "checkout" else 0.12) if bad else 0.002
            else:
                level = 0.05 if bad else 0.04
            values.append([at, str(round(level * (1 + 0.1 * rng.random()), 6))])
            at += step
        labels = [
            {"service": service, "route": r} for r in ("/buy", HOSTILE)[: 1 + ("by" in query)]
        ]
        result = [{"metric": m, "values": values} for m in labels]
        return json.dumps(
            {"status": "success", "data": {"resultType": "matrix", "result": result},
             "warnings": [f"careful {HOSTILE}"] if "by" in query else []}
        ).encode()  # fmt: skip

    def _instant(self, request: Request) -> bytes:
        result = [{"metric": {"job": HOSTILE}, "value": [NOW.timestamp(), "1"]}]
        return json.dumps(
            {"status": "success", "data": {"resultType": "vector", "result": result}}
        ).encode()

    def _search(self, request: Request) -> bytes:
        assert request.window is not None
        lines: list[bytes] = []
        service = next(s for s in CATALOG.services if f'"{s}"' in str(request.arguments["match"]))
        at = request.window.start
        number = 0
        while at < request.window.end:
            number += 1
            bad = self.broken and service == "checkout" and at >= ONSET and number % 3 == 0
            text = f"ValueError: tax rounding {HOSTILE}" if bad else f"order {number} paid in 12 ms"
            lines.append(json.dumps({
                "ts": at.isoformat(), "level": "error" if bad else "info", "service": service,
                "msg": text,
            }).encode())  # fmt: skip
            at += timedelta(seconds=5)
        lines.insert(3, f"Traceback {HOSTILE}".encode())
        return b"\n".join(lines) + b"\n"

    def _history(self, request: Request) -> bytes:
        deploys = [
            ("frontend", "2.0.1", NOW - timedelta(hours=5), "harmless"),
            ("checkout", "1.4.1", NOW - timedelta(hours=6), "faster"),
            ("checkout", "1.4.2", DEPLOY, f"tax rounding {HOSTILE}"),
        ]
        if not self.broken:
            deploys.pop()
        lines = [
            json.dumps({"time": at.isoformat(), "service": s, "version": v, "previous": "1.4.0",
                        "by": "ci", "message": m})
            for s, v, at, m in deploys if s == request.arguments["service"]
        ]  # fmt: skip
        return "".join(f"{line}\n" for line in lines).encode()

    def _get(self, request: Request) -> bytes:
        return msgspec.json.encode(
            {"status": 503, "seconds": 0.012, "body": {"status": "ill", "why": HOSTILE}}
        )


def open_incident(session: MemorySession, **more: str) -> Incident:
    """The incident as a notebook opens it."""
    return incident(session=session, **{"service": "checkout", "since": "60m", **more})  # type: ignore[arg-type]


def waiting(ask: Ask) -> Proposal:
    """A runner that plans, and lets a person decide."""
    state = fold(chain(*OPENED, (NOW, "run:R1", ev.PlanMade(plan=plan())))).plans[0]
    return Proposal(plan=plan(), state=state if ask.commit else None, url="http://127.0.0.1:8400/x")
