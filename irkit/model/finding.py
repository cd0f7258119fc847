"""What a diagnosis says: findings with evidence, suspects made of them, and what is missing."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from irkit.model.base import Value


class Finding(Value, frozen=True, kw_only=True):
    """A statement with evidence: one sentence, the numbers behind it, the looks that show it.

    `kind` is a short word (`moved`, `log_pattern`, `change`, `callee`, ...); `sigmas` is the size
    in robust standard deviations; `evidence` names looks of the run's bundle.
    """

    kind: str
    sentence: str
    service: str = ""
    series: str = ""
    onset: datetime | None = None
    before: float | None = None
    after: float | None = None
    unit: str = ""
    sigmas: float | None = None
    evidence: tuple[str, ...] = ()


class RuledOut(Value, frozen=True, kw_only=True):
    """Something that was looked at and does not explain the incident, with the reason."""

    what: str
    why: str
    evidence: tuple[str, ...] = ()


class Gap(Value, frozen=True, kw_only=True):
    """A look that failed, why, and what therefore cannot be said."""

    what: str
    why: str
    cannot_say: str = ""
    at: datetime | None = None


class Suspect(Value, frozen=True, kw_only=True):
    """A ranked cause made of findings: a service and, where one fits, the change that did it.

    `strength` is a probability from 0 to 1; `change` reads like `1.4.1 -> 1.4.2`.
    """

    rank: int
    service: str
    strength: float
    sentence: str
    change: str = ""
    change_at: datetime | None = None
    findings_for: tuple[Finding, ...] = ()
    findings_against: tuple[Finding, ...] = ()

    @property
    def looks(self) -> tuple[str, ...]:
        """The looks that point to it."""
        return tuple(dict.fromkeys(look for one in self.findings_for for look in one.evidence))


def unopposed(looks: Collection[str]) -> str:
    """What stands where nothing speaks against a suspicion; without `looks` nobody has looked.

    Example:
        >>> unopposed(("L1",)), unopposed(())
        ('nothing found that speaks against it', 'nothing was looked at')
    """
    return "nothing found that speaks against it" if looks else "nothing was looked at"
