"""What may be done, by whom, how often: the bounds on everything that runs by itself."""

from __future__ import annotations

from irkit.model.base import Value


class ActionPolicy(Value, frozen=True, kw_only=True):
    """The rules for one kind of action; seconds throughout, shares from 0 to 1.

    `mode` is `auto`, `approve` or `forbid`.  `approvers` are names of people; empty means any
    person but the requester.
    """

    mode: str = "approve"
    approvers: tuple[str, ...] = ()
    approvals_needed: int = 1
    expires_seconds: float = 900.0
    max_per_hour: int = 3
    cooldown_seconds: float = 300.0
    max_share: float = 1.0
    hold_seconds: float = 20.0
    within_seconds: float = 300.0
    every_seconds: float = 5.0
    undo: str = "tell"
    """What follows when verification fails: `auto` plans the undo, `tell` tells a person."""


class Policy(Value, frozen=True, kw_only=True):
    """The rules of one installation, as `decide` and the broker read them."""

    actions: dict[str, ActionPolicy] = {}
    freeze: bool = False
    allow_unconfined: tuple[str, ...] = ()
    max_runs: int = 6
    max_attempts: int = 3
    retry_seconds: float = 5.0
    resolve_after_seconds: float = 0.0
    auto_wait_seconds: float = 30.0

    def action(self, name: str) -> ActionPolicy:
        """The rules for that action; one that nobody wrote rules for is forbidden."""
        return self.actions.get(name, ActionPolicy(mode="forbid"))

    def undoing(self, name: str, undone: str) -> ActionPolicy:
        """The rules for an act that takes another back: its own, else those of the act undone."""
        return self.actions.get(name) or self.action(undone)
