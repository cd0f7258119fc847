"""The service catalog: who depends on whom, and how each signal is asked for."""

from __future__ import annotations

from difflib import get_close_matches

from irkit.errors import NotFound
from irkit.model.base import Value


class Signal(Value, frozen=True, kw_only=True):
    """A named question about a service, mapped to one backend's query.

    `limit` divides good from bad: values above it are bad, or below it where `above` is false.
    `alerts` are names of alerts that fire on this signal.
    """

    name: str
    source: str
    query: str
    unit: str = ""
    limit: float | None = None
    above: bool = True
    alerts: tuple[str, ...] = ()


class ActionTarget(Value, frozen=True, kw_only=True):
    """Which integration carries out an action on a service, under which name there."""

    integration: str
    name: str = ""


class Service(Value, frozen=True, kw_only=True):
    """One service: owner, tier (1 is most important), what it calls, where to look."""

    name: str
    owner: str = ""
    tier: int = 3
    environment: str = ""
    depends_on: tuple[str, ...] = ()
    signals: dict[str, Signal] = {}
    logs: str = ""
    logs_match: str = ""
    deploys: tuple[str, ...] = ()
    health: str = ""
    actions: dict[str, ActionTarget] = {}
    links: dict[str, str] = {}


class Catalog(Value, frozen=True, kw_only=True):
    """All services, by name."""

    services: dict[str, Service] = {}

    def service(self, name: str) -> Service:
        """The service of that name.

        Raises:
            NotFound: none; the closest name is suggested.
        """
        if name not in self.services:
            close = get_close_matches(name, self.services, 1)
            known = ", ".join(sorted(self.services)) or "none is configured"
            hint = f"did you mean {close[0]!r}?" if close else f"known services: {known}"
            raise NotFound("no such service in the catalog", on=repr(name), next=hint)
        return self.services[name]

    def dependants(self, name: str) -> tuple[str, ...]:
        """Every service that calls `name`, directly or through others, nearest first."""
        return self._reach(
            name, {s.name: [c.name for c in self.services.values() if s.name in c.depends_on]
                   for s in self.services.values()}
        )  # fmt: skip

    def dependencies(self, name: str) -> tuple[str, ...]:
        """Every service that `name` calls, directly or through others, nearest first."""
        return self._reach(name, {s.name: list(s.depends_on) for s in self.services.values()})

    def affected(self, name: str) -> tuple[str, ...]:
        """The services an incident on `name` may involve: itself, its callees, its callers."""
        if name not in self.services:
            return (name,) if name else ()
        return tuple(dict.fromkeys((name, *self.dependencies(name), *self.dependants(name))))

    def signal_of_alert(self, service: str, alert: str) -> str:
        """The signal that an alert of this name fires on, or empty text."""
        known = self.services.get(service)
        signals = known.signals.values() if known else ()
        return next((s.name for s in signals if alert in s.alerts), "")

    @staticmethod
    def _reach(name: str, edges: dict[str, list[str]]) -> tuple[str, ...]:
        seen: dict[str, None] = {}
        queue = list(edges.get(name, ()))
        while queue:
            one = queue.pop(0)
            if one not in seen and one != name:
                seen[one] = None
                queue.extend(edges.get(one, ()))
        return tuple(seen)
