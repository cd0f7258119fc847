"""An effect: something the ledger says is owed."""

from __future__ import annotations

from datetime import datetime

from irkit.model.base import Value


class Effect(Value, frozen=True, kw_only=True):
    """One thing to do, once: its key is the durable job's name and the key of the event it makes.

    `due` may lie ahead.  `attempt` counts from 1; a failed attempt is followed by another key.
    """

    incident: str
    base: str
    kind: str
    due: datetime
    attempt: int = 1
    subject: str = ""
    number: int = 0
    why: str = ""

    @property
    def key(self) -> str:
        """The key within its incident: `run:1`, `apply:P-3f9a:2` for a second attempt."""
        return self.base if self.attempt == 1 else f"{self.base}:{self.attempt}"

    @property
    def job(self) -> str:
        """The name of the durable job, unique in the installation."""
        return f"{self.incident}/{self.key}"
