"""Routes: which alerts go to which runbook, and which alerts belong together."""

from __future__ import annotations

from irkit.model.base import Value
from irkit.model.matchers import Matcher

Parameter = str | int | float | bool


class Route(Value, frozen=True, kw_only=True):
    """Conditions on labels, and what happens to alerts that satisfy them all."""

    name: str
    match: tuple[Matcher, ...] = ()
    runbook: str = "general-triage"
    parameters: dict[str, Parameter] = {}
    group_by: tuple[str, ...] = ("alertname", "service")


DEFAULT_ROUTE = Route(name="default")
"""Where alerts go that no route matches: the general triage."""
