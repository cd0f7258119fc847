"""The story on real servers: the shop breaks under a real Prometheus and Alertmanager."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from irkit.errors import IrkitError
from irkit.model.incident import IncidentState, PlanState
from runner.demo import recording, setting
from runner.demo.narrator import Narrator
from runner.demo.replay import results
from runner.demo.shop import Shop
from runner.demo.shop.observe import Observatory
from runner.serve import Server, free_port
from runner.service import Runner

BASELINE_SECONDS = 60.0
"""How long the healthy shop is watched before anything breaks; the runbook needs a `before`."""
SCENARIO = "failing-release"
BAD_RELEASE = ("checkout", "1.4.2")

T = TypeVar("T")


def live(home: Path, narrator: Narrator, *, asks: bool, seed: int = 7) -> dict[str, Path]:
    """Tell the whole story live in `home`; returns where the results lie.

    The plan is decided by whoever sits at the terminal, or, unless `asks`, allowed as demo-oncall.

    Raises:
        IrkitError: Prometheus or Alertmanager is not installed, or a step did not happen in time.
    """
    port = free_port()
    shop_home = home / "shop"
    token = setting.token(home, "alertmanager")
    hook = f"http://127.0.0.1:{port}/hooks/alertmanager"
    with narrator.waiting("starting the shop, Prometheus and Alertmanager"):
        shop = Shop(shop_home, seed=seed)
        shop.start()
    try:
        with Observatory(home / "observatory", shop.ports, hook, token) as seen:
            seen.wait_ready()
            config = setting.write(
                home, prometheus=seen.prometheus_url, ports=shop.ports,
                listen=f"127.0.0.1:{port}", shop=shop_home,
            )  # fmt: skip
            runner = Runner(config)
            runner.ledger.listen(narrator.events)
            with runner, Server(runner) as server:
                narrator.say(
                    f"Three services under load, Prometheus {seen.prometheus_url}, "
                    f"Alertmanager {seen.alertmanager_url}."
                )
                narrator.say(f"Pages: {server.link('person:' + setting.APPROVER)}")
                _Story(runner, shop, narrator, asks).tell()
                return results(runner, runner.ledger.incidents()[0])
    finally:
        shop.stop()


def record(home: Path, path: Path) -> int:
    """Make a recording from the live story that lies in `home`; returns its size in bytes."""
    from irkit import config as configs
    from irkit.clock import SystemClock
    from runner.stores.database import Database
    from runner.stores.inbox import Inbox
    from runner.stores.ledger import Ledger

    config = configs.load(home / "irkit.yaml")
    database = Database(config.storage_path)
    inbox = Inbox(database, SystemClock())
    try:
        ledger = Ledger(database, SystemClock())
        state = ledger.state(ledger.incidents()[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        return recording.save(
            path,
            scenario=SCENARIO,
            events=ledger.events(state.id),
            deliveries=inbox.all(),
            runs={
                r.ordinal: (r.now, config.storage_path / "runs" / r.run / "bundle")
                for r in state.runs
            },
            looks=config.storage_path / "incidents" / state.id / "looks-1",
        )
    finally:
        inbox.close()
        database.close()


class _Story:
    """The steps, each with a limit on how long it may take."""

    def __init__(self, runner: Runner, shop: Shop, narrator: Narrator, asks: bool) -> None:
        self.runner, self.shop, self.narrator, self.asks = runner, shop, narrator, asks

    def tell(self) -> None:
        with self.narrator.waiting(f"watching the healthy shop for {BASELINE_SECONDS:g} s"):
            time.sleep(BASELINE_SECONDS)
        service, version = BAD_RELEASE
        self.narrator.say(f"Release goes out: {service} {version}", style="bold")
        self.shop.deploy(service, version, by="person:ci", reason="release train")
        state = self._until(self._incident, "an alert opens an incident", 90)
        person = f"person:{setting.APPROVER}"
        known = self._until(self._waiting, "the runbook proposes an act", 90)
        self.runner.acknowledge(state.id, person, "looking")
        if self._decide(known, person):
            self._until(self._over, "the incident is resolved and exported", 150)
        self.narrator.ends(self.runner.ledger.state(state.id))

    def _decide(self, known: PlanState, person: str) -> bool:
        state = self.runner.ledger.state(self.runner.ledger.incidents()[0])
        self.narrator.card(known, state, self.runner.clock.now())
        name, allow = person.removeprefix("person:"), True
        if self.asks:
            allow = self.narrator.asks(name)
        else:
            self.narrator.say(
                f"  {name} approves it, without asking anybody: this is the demo.",
                style="magenta",
            )
        self.runner.decide(
            known.plan.id, person, allow=allow, plan_hash=known.plan.hash, note="demo"
        )
        return allow

    def _until(self, look: Callable[[], T | None], what: str, seconds: float) -> T:
        deadline = time.monotonic() + seconds
        with self.narrator.waiting(f"until {what}"):
            while time.monotonic() < deadline:
                found = look()
                if found is not None:
                    return found
                time.sleep(0.1)
        raise IrkitError(
            f"it took longer than {seconds:g} s until {what}",
            on=str(self.runner.config.home),
            next="look at the logs in that folder",
        )

    def _incident(self) -> IncidentState | None:
        return self.runner.ledger.newest_open()

    def _waiting(self) -> PlanState | None:
        return next(iter(self.runner.waiting_plans()), None)

    def _over(self) -> IncidentState | None:
        states = self.runner.ledger.states()
        over = all(s.exported_seq >= s.last_seq for s in states) and self.runner.idle()
        return states[0] if over else None
