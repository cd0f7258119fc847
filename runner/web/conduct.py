"""What a person does to an incident, for page and API alike: once, and only where it fits."""

from __future__ import annotations

from irkit.errors import BadInput, NotFound, Refused
from irkit.model.incident import IncidentState, PlanState
from runner.service import Runner


def acknowledge(runner: Runner, incident: str, person: str, note: str = "") -> IncidentState:
    """Take the incident; pressing twice writes once.

    Raises:
        NotFound: there is no such incident.
        Refused: it is over (`resolved`).
    """
    state = _unresolved(runner, incident)
    if state.acked_by != person or note.strip():
        runner.acknowledge(incident, person, note.strip())
    return runner.ledger.state(incident)


def note(runner: Runner, incident: str, person: str, text: str) -> IncidentState:
    """Write a remark into the record; also after the incident is over.

    Raises:
        NotFound: there is no such incident.
        BadInput: there are no words.
    """
    runner.ledger.state(incident)
    if not text.strip():
        raise BadInput("a note without words", on=incident, next="write what you saw or did")
    runner.note(incident, person, text.strip())
    return runner.ledger.state(incident)


def resolve(runner: Runner, incident: str, person: str, why: str) -> IncidentState:
    """Close the incident by hand.

    Raises:
        NotFound: there is no such incident.
        Refused: it is over already (`resolved`).
    """
    _unresolved(runner, incident)
    runner.resolve(incident, person, why.strip())
    return runner.ledger.state(incident)


def decide(
    runner: Runner, plan: str, person: str, *, allow: bool, plan_hash: str, note: str = "",
    incident: str = "",
) -> PlanState:  # fmt: skip
    """Approve or deny a plan.  The same decision by the same person again changes nothing.

    Raises:
        NotFound: there is no such plan, or not in that incident.
        Refused: see `Broker.decide`.
    """
    owner = runner.broker.incident_of(plan)
    if incident and owner != incident:
        raise NotFound("no such plan in this incident", on=plan, next=f"it belongs to {owner}")
    known = runner.broker.known(owner, plan)
    same = any(d.by == person and d.allowed == allow for d in known.decisions)
    if same and known.plan.hash == plan_hash:
        return known
    return runner.decide(plan, person, allow=allow, plan_hash=plan_hash, note=note.strip())


def _unresolved(runner: Runner, incident: str) -> IncidentState:
    state = runner.ledger.state(incident)
    if state.state == "resolved":
        raise Refused(
            "the incident is over", reason="resolved", on=incident, next="write a note instead"
        )
    return state
