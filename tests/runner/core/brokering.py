"""A broker with a ledger, a fake target and a fake metrics source, on a clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from playing import INCIDENT, an_alert, opening

from irkit.clock import SetClock
from irkit.errors import LookFailed
from irkit.evidence.recorder import Recorder
from irkit.model.action import Argument, Outcome, Plan
from irkit.model.catalog import ActionTarget, Catalog, Service, Signal
from irkit.model.event import AlertFired, AnyBody, Draft
from irkit.model.incident import PlanState
from irkit.model.look import Request
from irkit.model.policy import ActionPolicy, Policy
from irkit.ports import Survey
from irkit.session import Ask
from irkit.testing.fakes import FakeSource, FakeTarget
from runner.actions.apply import Acts
from runner.actions.broker import Broker
from runner.decide import Effect, decide
from runner.outside import Integrations, Outside
from runner.stores.database import Database
from runner.stores.ledger import Ledger

START = datetime(2026, 3, 1, 14, 2, tzinfo=UTC)
RUN = "run:IR-1-r1"
ONCALL, SECOND = "person:oncall", "person:second"
ROLLBACK = Ask(action="rollback", target="checkout", arguments={"to": "previous"}, commit=True)
SIGNAL = Signal(name="error_rate", source="metrics", query="errors", limit=0.05, unit="ratio")


def catalog(*names: str) -> Catalog:
    """Checkout calls payments; the warehouse has nothing to do with either."""
    actions = {
        name: ActionTarget(integration="target", name="checkout-there")
        for name in names or ("rollback", "deploy")
    }
    checkout = Service(
        name="checkout", environment="test", depends_on=("payments",),
        signals={"error_rate": SIGNAL}, actions=actions,
    )  # fmt: skip
    others = {name: Service(name=name) for name in ("payments", "warehouse")}
    return Catalog(services={"checkout": checkout, **others})


class Target(FakeTarget):
    """A fake target that can also be away, or act and not answer."""

    type = "script"

    def __init__(self) -> None:
        super().__init__({"checkout-there": ["1.4.0", "1.4.1", "1.4.2"]})
        self.away = self.silent = False
        self.share = (1, 1)

    def _there(self) -> None:
        if self.away:
            raise LookFailed("cannot connect", on="target", next="start it", retryable=True)

    def survey(self, action: str, target: str, arguments: Any) -> Survey:
        self._there()
        found = super().survey(action, target, arguments)
        touched, of = self.share
        blast = msgspec.structs.replace(found.blast, instances=touched, of=of)
        return msgspec.structs.replace(found, blast=blast)

    def apply(self, plan: Plan) -> Outcome:
        self._there()
        outcome = super().apply(plan)
        if self.silent:
            raise LookFailed("no answer", on="target", next="ask it", retryable=True)
        return outcome

    def lookup(self, plan: Plan) -> Outcome | None:
        self._there()
        return super().lookup(plan)


class Metrics(FakeSource):
    """A Prometheus whose one series has this value at every time."""

    type = "prometheus"

    def __init__(self) -> None:
        super().__init__(range=self._answer)
        self.value: str | None = "0.4"
        self.nonsense = False

    def _answer(self, request: Request) -> Any:
        if self.nonsense:
            return {"status": "sorry"}
        assert request.window
        start, count = request.window.start.timestamp(), int(request.window.length.total_seconds())
        values = [[start + n, self.value] for n in range(count + 1)]
        result = [] if self.value is None else [{"metric": {}, "values": values}]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}


class Desk:
    """Everything between a proposal and its verdict."""

    def __init__(self, folder: Path, **rules: Any) -> None:
        self.clock = SetClock(START)
        self.database = Database(folder / "state")
        self.ledger = Ledger(self.database, self.clock)
        self.target, self.metrics = Target(), Metrics()
        integrations = Integrations({"target": self.target, "metrics": self.metrics})
        self.folder = folder
        self._recorders: list[Recorder] = []
        self.outside = Outside(integrations, self.clock, self._recorder)
        self.rule(**rules)
        for number in (1, 2):
            with self.ledger.writing(), self.database.write() as connection:
                event = self.ledger.open_within(connection, opening(), at=START, by="hook:a")
            self.ledger.committed((event,))
            fired = AlertFired(alert=an_alert(START), delivery=f"a#{number}")
            self.ledger.append(event.incident, Draft(key="f", at=START, by="hook:a", body=fired))

    def rule(
        self, *, unconfined: bool = False, freeze: bool = False,
        allow_unconfined: tuple[str, ...] = (), deploy: str = "forbid", **rules: Any,
    ) -> None:  # fmt: skip
        """Work under these rules from now on."""
        self.policy = Policy(
            actions={
                "rollback": ActionPolicy(**{"mode": "approve", **rules}),
                **({"deploy": ActionPolicy(mode=deploy)} if deploy else {}),
            },
            freeze=freeze,
            allow_unconfined=allow_unconfined,
        )
        known = catalog() if deploy else catalog("rollback")
        self.broker = Broker(
            self.ledger, self.outside, known, self.policy, self.clock, unconfined=unconfined
        )
        self.acts = Acts(self.broker)

    def _recorder(self, _incident: str) -> Recorder:
        if not self._recorders:
            self._recorders.append(Recorder(self.folder / "looks", now=START, clock=self.clock))
        return self._recorders[0]

    def close(self) -> None:
        for recorder in self._recorders:
            recorder.close()
        self.database.close()

    # -- steps ----------------------------------------------------------------------------------

    def propose(self, ask: Ask = ROLLBACK, by: str = RUN, incident: str = INCIDENT) -> PlanState:
        return self.broker.propose(incident, ask, by)

    def approve(self, known: PlanState, by: str = ONCALL) -> PlanState:
        return self.broker.decide(known.plan.id, person=by, allow=True, plan_hash=known.plan.hash)

    def pass_time(self, **span: float) -> None:
        self.clock.advance(timedelta(**span))

    def do(self, kind: str, incident: str = INCIDENT) -> Effect:
        """Do the act's next effect of that kind, which must be owed."""
        does = {
            "approve": self.broker.approve_by_policy, "expire": self.broker.expire,
            "apply": self.acts.apply, "verify": self.acts.verify, "undo": self.broker.undo,
        }  # fmt: skip
        owed = [e for e in self.owed(incident) if e.kind == kind]
        assert owed, [e.key for e in self.owed(incident)]
        self.clock.move_to(owed[0].due)
        does[kind](owed[0])
        return owed[0]

    def owed(self, incident: str = INCIDENT) -> tuple[Effect, ...]:
        return decide(self.ledger.state(incident), self.policy, self.clock.now())

    def apply(self, incident: str = INCIDENT, **more: Any) -> PlanState:
        """Propose, approve and apply."""
        known = self.approve(self.propose(incident=incident, **more))
        self.do("apply", incident)
        return self.known(known, incident)

    def known(self, known: PlanState, incident: str = INCIDENT) -> PlanState:
        return self.broker.known(incident, known.plan.id)

    def bodies(self, kind: type[AnyBody], incident: str = INCIDENT) -> list[Any]:
        return [e.body for e in self.ledger.events(incident) if isinstance(e.body, kind)]


def asked(to: str, **more: Argument) -> Ask:
    return Ask(action="rollback", target="checkout", arguments={"to": to, **more}, commit=True)
