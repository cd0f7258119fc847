"""The four times of an incident, from its ledger.

*detect*: onset of the symptom to the first alert stored.  *acknowledge*: first alert stored to
the first acknowledgement by a person.  *mitigate*: first alert stored to an act verified on the
signal that fired.  *resolve*: first alert stored to incident resolved.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from irkit.model.base import Value
from irkit.model.incident import IncidentState


class Span(Value, frozen=True, kw_only=True):
    """One of the four times: both instants, or the reason why it is unknown."""

    name: str
    definition: str
    start: datetime | None = None
    end: datetime | None = None
    unknown: str = ""

    @property
    def length(self) -> timedelta | None:
        """How long it took; None where it is unknown."""
        return self.end - self.start if self.start and self.end else None


def four_times(state: IncidentState) -> tuple[Span, Span, Span, Span]:
    """Detect, acknowledge, mitigate, resolve; what the ledger does not say is unknown, never 0."""
    alert = state.first_alert_at
    return (
        _span(
            "detect",
            "onset of the symptom to the first alert stored",
            state.onset,
            alert,
            "no run found the onset" if alert else "no alert was stored",
        ),
        _span(
            "acknowledge",
            "first alert stored to the first acknowledgement by a person",
            alert,
            state.acked_at,
            "nobody acknowledged" if alert else "no alert was stored",
        ),
        _span(
            "mitigate",
            "first alert stored to an act verified on the signal that fired",
            alert,
            state.mitigated_at,
            "no act was verified as the remedy" if alert else "no alert was stored",
        ),
        _span(
            "resolve",
            "first alert stored to incident resolved",
            alert,
            state.resolved_at,
            "not resolved yet" if alert else "no alert was stored",
        ),
    )


def _span(
    name: str, definition: str, start: datetime | None, end: datetime | None, unknown: str
) -> Span:
    if start and end and end < start:
        # Two clocks, two truths: a time below zero helps nobody.
        end, unknown = None, "it would end before it began: the clocks disagree"
    known = start is not None and end is not None
    return Span(
        name=name, definition=definition, start=start, end=end, unknown="" if known else unknown
    )
