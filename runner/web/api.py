"""`/api/v1`: incidents, events, decisions, for programs and the command line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from runner.web import conduct, shape
from runner.web.models import (
    Error,
    EventView,
    Exported,
    Forms,
    IncidentDetail,
    IncidentSummary,
    PlanView,
    Remark,
    Verdict,
    Written,
)
from runner.web.site import ApiPerson, SiteOf


def _errors(**texts: str) -> dict[int | str, dict[str, Any]]:
    always = {
        "400": "The request cannot be read.",
        "401": "Nobody known calls.",
        "403": "Known, and not allowed; `reason` says why.",
        "413": "The body is too large.",
        "422": "A value has the wrong form; `on` names it.",
        "429": "Too many wrong tokens; wait.",
        "503": "Our own trouble; try again.",
    }
    return {
        int(code): {"model": Error, "description": text} for code, text in (always | texts).items()
    }


GONE = "There is no such incident or plan."
router = APIRouter(prefix="/api/v1", responses=_errors())
Incident = Annotated[str, Path(max_length=64, description="Such as `IR-1`.", examples=["IR-1"])]
PlanId = Annotated[str, Path(max_length=64, description="Such as `P-1a2b3c4d`.")]


@router.get("/incidents", tags=["incidents"], summary="List incidents")
def list_incidents(
    site: SiteOf,
    person: ApiPerson,
    state: Annotated[
        Literal["open", "mitigated", "resolved", "unresolved"] | None,
        Query(description="Only these; `unresolved` is open or mitigated."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[IncidentSummary]:
    """Incidents, newest first."""
    wanted = ("open", "mitigated") if state == "unresolved" else (state,)
    found = [s for s in reversed(site.runner.ledger.states()) if not state or s.state in wanted]
    return [shape.summary(s, site.runner.runs.progress) for s in found[:limit]]


@router.get(
    "/incidents/{incident}", tags=["incidents"], summary="One incident",
    responses=_errors(**{"404": GONE}),
)  # fmt: skip
def get_incident(site: SiteOf, person: ApiPerson, incident: Incident) -> IncidentDetail:
    """Everything about an incident: the four times, runs, plans, suspects, timeline."""
    runner = site.runner
    state = runner.ledger.state(incident)
    return shape.detail(state, runner.ledger.events(incident), runner.runs.progress)


@router.get(
    "/incidents/{incident}/events", tags=["incidents"], summary="The ledger's events",
    responses=_errors(**{"404": GONE}),
)  # fmt: skip
def get_events(
    site: SiteOf,
    person: ApiPerson,
    incident: Incident,
    after: Annotated[int, Query(ge=0, le=2**53, description="Only events behind this one.")] = 0,
) -> list[EventView]:
    """The incident's events as stored, in order, each chained to the one before."""
    site.runner.ledger.state(incident)
    return [shape.event(e) for e in site.runner.ledger.events(incident, after)]


@router.post(
    "/incidents/{incident}/ack", tags=["incidents"], summary="Acknowledge",
    responses=_errors(**{"404": GONE, "409": "The incident is over."}),
)  # fmt: skip
def ack(site: SiteOf, person: ApiPerson, incident: Incident, said: Remark) -> IncidentSummary:
    """Take the incident; the first person to do so is recorded as the one who has it."""
    state = conduct.acknowledge(site.runner, incident, person, said.note)
    return shape.summary(state, site.runner.runs.progress)


@router.post(
    "/incidents/{incident}/note", tags=["incidents"], summary="Write a note",
    responses=_errors(**{"404": GONE}),
)  # fmt: skip
def note(site: SiteOf, person: ApiPerson, incident: Incident, said: Written) -> IncidentSummary:
    """Write a remark into the record."""
    state = conduct.note(site.runner, incident, person, said.text)
    return shape.summary(state, site.runner.runs.progress)


@router.post(
    "/incidents/{incident}/resolve", tags=["incidents"], summary="Resolve by hand",
    responses=_errors(**{"404": GONE, "409": "The incident is over."}),
)  # fmt: skip
def resolve(site: SiteOf, person: ApiPerson, incident: Incident, said: Remark) -> IncidentSummary:
    """Close the incident, whatever its alerts say."""
    state = conduct.resolve(site.runner, incident, person, said.note)
    return shape.summary(state, site.runner.runs.progress)


@router.post(
    "/incidents/{incident}/postmortem", tags=["incidents"], summary="Write the post-mortem again",
    responses=_errors(**{"404": GONE}),
)  # fmt: skip
def postmortem(site: SiteOf, person: ApiPerson, incident: Incident, forms: Forms) -> Exported:
    """Write the post-mortem anew after edits; people's texts stay, and the hashes are recorded."""
    return Exported(files=site.runner.exports.again(incident, forms.to, by=person))


@router.get("/approvals", tags=["approvals"], summary="Plans that wait")
def approvals(site: SiteOf, person: ApiPerson) -> list[PlanView]:
    """The plans that wait for a person, oldest first."""
    return [shape.plan(p) for p in site.runner.waiting_plans()]


_DECIDED = _errors(
    **{"404": GONE, "409": "The plan has changed, is decided, or has expired; `reason` says which."}
)


@router.post("/plans/{plan}/approve", tags=["approvals"], summary="Approve", responses=_DECIDED)
def approve(site: SiteOf, person: ApiPerson, plan: PlanId, verdict: Verdict) -> PlanView:
    """Allow exactly the plan with this hash; the runner applies it once enough people have."""
    known = conduct.decide(
        site.runner, plan, person, allow=True, plan_hash=verdict.plan_hash, note=verdict.note
    )
    return shape.plan(known)


@router.post("/plans/{plan}/deny", tags=["approvals"], summary="Deny", responses=_DECIDED)
def deny(site: SiteOf, person: ApiPerson, plan: PlanId, verdict: Verdict) -> PlanView:
    """Do not allow the plan; nothing is applied."""
    known = conduct.decide(
        site.runner, plan, person, allow=False, plan_hash=verdict.plan_hash, note=verdict.note
    )
    return shape.plan(known)
