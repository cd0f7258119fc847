"""Acts: what is proposed, what is decided, what came of it."""

from __future__ import annotations

from datetime import datetime

from irkit.errors import BadInput
from irkit.model.base import Value, digest

POLICIES = ("auto", "approve", "forbid")
Argument = str | int | float | bool | None


class Change(Value, frozen=True, kw_only=True):
    """The exact difference an act makes: where, from what, to what."""

    what: str
    current: str
    target: str
    diff: str = ""


class BlastRadius(Value, frozen=True, kw_only=True):
    """How far an act reaches: instances touched of how many, and who depends on them."""

    instances: int
    of: int
    dependants: tuple[str, ...] = ()
    environment: str = ""

    @property
    def share(self) -> float:
        """The part of the service's instances that is touched, 0 to 1."""
        return self.instances / self.of if self.of else 1.0


class Undo(Value, frozen=True, kw_only=True):
    """How an act is taken back: the opposite act and its arguments, or why there is none."""

    how: str
    action: str = ""
    arguments: dict[str, Argument] = {}
    seconds: float | None = None
    cannot: str = ""


class Check(Value, frozen=True, kw_only=True):
    """How the effect is verified: the signal that fired, its limit, and how long it may take.

    `above` means that values over `limit` are bad (an error rate), otherwise values under it are
    (a success rate).  Seconds throughout.
    """

    service: str
    signal: str
    limit: float
    above: bool = True
    unit: str = ""
    hold_seconds: float = 20.0
    within_seconds: float = 300.0
    every_seconds: float = 5.0


class Plan(Value, frozen=True, kw_only=True):
    """What an act would do, computed by the runner and nobody else; making it changes nothing.

    `hash` covers everything that a person decides on: an approval binds to it, and a plan whose
    recomputed hash differs is refused.  `key` is the same for the same request in the same
    incident, so that the act is applied once.
    """

    id: str
    key: str
    incident: str
    action: str
    integration: str
    target: str
    arguments: dict[str, Argument] = {}
    change: Change
    blast: BlastRadius
    undo: Undo
    check: Check | None = None
    policy: str = "approve"
    approvers: tuple[str, ...] = ()
    approvals_needed: int = 1
    bounds: tuple[str, ...] = ()
    requester: str
    reason: str = ""
    suspect: str = ""
    strength: float | None = None
    contrary: str = ""
    gaps: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    undoes: str = ""
    made_at: datetime
    expires_at: datetime

    @property
    def hash(self) -> str:
        """SHA-256 over the canonical form of what is decided on: 64 hex digits."""
        return digest(
            {
                "incident": self.incident,
                "action": self.action,
                "integration": self.integration,
                "target": self.target,
                "arguments": self.arguments,
                "change": self.change,
                "blast": self.blast,
                "undo": self.undo,
                "check": self.check,
                "policy": self.policy,
                "bounds": self.bounds,
                "undoes": self.undoes,
            }
        )

    @property
    def title(self) -> str:
        """One line: what, where, from what to what.

        Example: `Roll back checkout 1.4.2 -> 1.4.1 in prod-eu`.
        """
        where = f" in {self.blast.environment}" if self.blast.environment else ""
        change = f"{self.change.what} {self.change.current} -> {self.change.target}"
        return f"{self.verb} {change}{where}"

    @property
    def verb(self) -> str:
        """The act as a person says it: `Roll back`, `Restart`."""
        return {"rollback": "Roll back"}.get(
            self.action, self.action.replace("_", " ").capitalize()
        )


def plan_key(
    incident: str,
    action: str,
    target: str,
    arguments: dict[str, Argument],
    undoes: str = "",
    again: int = 0,
) -> str:
    """The name of an act within an incident; asking twice for the same act gives the same name.

    `again` counts how often the act was asked for anew after an earlier plan for it had ended.

    Example:
        >>> a = plan_key("IR-1", "rollback", "checkout", {"to": "previous"})
        >>> a == plan_key("IR-1", "rollback", "checkout", {"to": "previous"})
        True
    """
    for name, value in arguments.items():
        if not isinstance(value, str | int | float | bool | None):
            raise BadInput(
                "an argument must be text, a number, true, false or nothing",
                on=f"{action}({name}=...)",
                next="pass a plain value",
            )
    return digest([incident, action, target, arguments, undoes, *([again] if again else [])])[:16]


class Outcome(Value, frozen=True, kw_only=True):
    """What came of applying a plan: done, already done before, failed, or not knowable."""

    status: str  # "applied" | "already" | "failed" | "unknown"
    text: str
    before: str = ""
    after: str = ""
    seconds: float = 0.0
