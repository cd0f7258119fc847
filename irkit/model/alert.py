"""An alert: one firing or resolved signal, whoever sent it."""

from __future__ import annotations

from datetime import datetime

from irkit.model.base import Value, digest

SEVERITIES = ("SEV1", "SEV2", "SEV3", "SEV4")
_SEVERITY_WORDS = {
    "SEV1": ("critical", "page", "p1", "fatal", "emergency", "sev1", "1"),
    "SEV2": ("error", "high", "major", "p2", "sev2", "2"),
    "SEV3": ("warning", "warn", "minor", "medium", "p3", "sev3", "3"),
    "SEV4": ("info", "informational", "low", "none", "p4", "p5", "sev4", "4", "5"),
}


class Alert(Value, frozen=True, kw_only=True):
    """One firing or resolved signal, in nobody's dialect.

    Labels and annotations are foreign text: shown escaped, never pasted into a query, a path, a
    shell or a cell.  Times are UTC.  `service` and `signal` are names in the catalog, or empty.
    """

    source: str
    fingerprint: str
    firing: bool
    name: str
    starts_at: datetime
    ends_at: datetime | None = None
    service: str = ""
    signal: str = ""
    severity: str = "SEV3"
    summary: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    url: str = ""

    @property
    def key(self) -> str:
        """The same for every delivery of the same news, so that it is stored once."""
        edge = "fired" if self.firing else "resolved"
        return f"alert:{edge}:{self.fingerprint}:{self.starts_at.isoformat()}"


def fingerprint(labels: dict[str, str]) -> str:
    """A stable name for a set of labels, for senders that give none: 16 hex digits."""
    return digest(labels)[:16]


def severity_of(word: str) -> str:
    """The severity a sender's word stands for; an unknown word is SEV3.

    Example:
        >>> severity_of("critical"), severity_of("Warning"), severity_of("")
        ('SEV1', 'SEV3', 'SEV3')
    """
    folded = word.strip().lower()
    for severity, words in _SEVERITY_WORDS.items():
        if folded in words:
            return severity
    return "SEV3"


def worst(severities: list[str] | tuple[str, ...]) -> str:
    """The most severe of them; SEV4 of none."""
    return min(severities, default="SEV4")
