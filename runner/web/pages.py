"""The list of incidents and the page of each: complete without any script."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from irkit.errors import BadInput, IrkitError, Refused
from irkit.model.incident import IncidentState, PlanState
from runner.service import Runner
from runner.web import card as cards
from runner.web import conduct, evidence, view
from runner.web.errors import error_of, status_of
from runner.web.site import Site, SiteOf, check_csrf, logged_in

MOST_NOTE = 4000
MOST_OLD = 50
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


# -- the list -----------------------------------------------------------------------------------


@router.get("/")
def index(request: Request, site: SiteOf) -> Response:
    """Open incidents first; above them what waits for a decision."""
    person = logged_in(request).person
    runner = site.runner
    states = list(reversed(runner.ledger.states()))
    opened = [s for s in states if s.state != "resolved"]
    opened.sort(key=lambda s: s.severity)
    over = [s for s in states if s.state == "resolved"]
    waiting = [
        (state.id, _card(runner, known, state, person))
        for state in states
        for known in state.plans
        if known.status == "waiting" and known.plan.policy == "approve"
    ]
    waiting.sort(key=lambda pair: pair[1].expires_at)
    return site.pages.page(
        request,
        "index.html",
        opened=[_line(runner, s) for s in opened],
        over=[_line(runner, s) for s in over[:MOST_OLD]],
        more=max(0, len(over) - MOST_OLD),
        waiting=waiting,
        last_delivery=runner.inbox.last_received(),
        hooks=sorted(runner.intake.hooks),
        missing=runner.confinement.missing,
        mark=_mark(runner),
    )


@router.get("/now")
def index_now(request: Request, site: SiteOf) -> Response:
    """What an open list needs to know, for its script."""
    logged_in(request)
    now = site.runner.clock.now()
    return JSONResponse({
        "mark": _mark(site.runner),
        "now": now.isoformat(),
        "age": view.age(site.runner.inbox.last_received(), now),
    })  # fmt: skip


def _mark(runner: Runner) -> str:
    """Changes with every event of every incident."""
    states = runner.ledger.states()
    return f"{len(states)}.{sum(s.last_seq for s in states)}"


def _line(runner: Runner, state: IncidentState) -> dict[str, Any]:
    running = [r for r in state.runs if r.status == "running"]
    return {
        "state": state,
        "runs": [view.run_line(r, runner.runs.progress(r.run)) for r in running],
        "waiting": sum(p.status == "waiting" for p in state.plans),
    }


# -- one incident -------------------------------------------------------------------------------


@router.get("/incidents/{incident}")
def incident_page(request: Request, site: SiteOf, incident: str) -> Response:
    """Everything about an incident, in the order in which it is needed."""
    return _incident(request, site, incident)


@router.get("/incidents/{incident}/now")
def incident_now(request: Request, site: SiteOf, incident: str) -> Response:
    """What an open page needs to know, where it cannot listen to the stream."""
    logged_in(request)
    runner = site.runner
    told = view.now_of(runner.ledger.state(incident), runner.runs.progress)
    return JSONResponse({**told, "now": runner.clock.now().isoformat()})


@router.post("/incidents/{incident}/ack")
def ack(
    request: Request, site: SiteOf, incident: str,
    csrf: Annotated[str, Form(max_length=100)] = "",
) -> Response:  # fmt: skip
    """Take the incident."""
    session = logged_in(request)
    try:
        check_csrf(session, csrf)
        conduct.acknowledge(site.runner, incident, session.person)
    except IrkitError as why:
        return _incident(request, site, incident, error=why, about="ack")
    return _back(incident, "acked")


@router.post("/incidents/{incident}/note")
def note(
    request: Request, site: SiteOf, incident: str,
    csrf: Annotated[str, Form(max_length=100)] = "",
    form: Annotated[str, Form(max_length=100)] = "",
    text: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Write a note; what was typed stays where it was refused."""
    session = logged_in(request)
    typed = {"text": text}
    first = bool(form) and session.spend(form)
    try:
        check_csrf(session, csrf)
        _short(text)
        if first or not form:
            conduct.note(site.runner, incident, session.person, text.replace("\r\n", "\n"))
    except IrkitError as why:
        session.unspend(form)
        return _incident(request, site, incident, error=why, about="note", typed=typed)
    return _back(incident, "timeline")


@router.post("/incidents/{incident}/resolve")
def resolve(
    request: Request, site: SiteOf, incident: str,
    csrf: Annotated[str, Form(max_length=100)] = "",
    why: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Close the incident by hand."""
    session = logged_in(request)
    try:
        check_csrf(session, csrf)
        _short(why)
        conduct.resolve(site.runner, incident, session.person, why)
    except IrkitError as error:
        return _incident(request, site, incident, error=error, about="resolve", typed={"why": why})
    return _back(incident, "top")


@router.post("/incidents/{incident}/plans/{plan}")
def decide(
    request: Request, site: SiteOf, incident: str, plan: str,
    csrf: Annotated[str, Form(max_length=100)] = "",
    plan_hash: Annotated[str, Form(max_length=100)] = "",
    decision: Annotated[str, Form(max_length=20)] = "",
    note: Annotated[str, Form()] = "",
    target: Annotated[str, Form(max_length=400)] = "",
) -> Response:  # fmt: skip
    """Approve or deny exactly the plan that was read."""
    session = logged_in(request)
    runner = site.runner
    typed = {"note": note, "target": target}
    try:
        check_csrf(session, csrf)
        _short(note)
        if decision not in ("approve", "deny"):
            raise BadInput("neither approved nor denied", on=plan, next="press one of the two")
        known = runner.broker.known(incident, plan)
        wanted = known.plan.target if known.plan.approvals_needed > 1 else ""
        if decision == "approve" and wanted and target.strip() != wanted:
            raise BadInput(
                "the target was not typed", on=plan,
                next=f"this is a high-risk act: type {wanted} to approve it",
            )  # fmt: skip
        conduct.decide(
            runner, plan, session.person, allow=decision == "approve", plan_hash=plan_hash,
            note=note, incident=incident,
        )  # fmt: skip
    except IrkitError as why:
        return _incident(request, site, incident, error=why, about=plan, typed=typed)
    return _back(incident, quote(plan))


def _short(text: str) -> None:
    if len(text) > MOST_NOTE:
        raise BadInput(
            "too many words", on=f"{len(text)} characters", next=f"at most {MOST_NOTE} fit a note"
        )


def _back(incident: str, place: str) -> Response:
    """Back to the page, at the place where the receipt is; loading it again repeats nothing."""
    return RedirectResponse(f"/incidents/{quote(incident, safe='')}#{place}", 303)


def _incident(
    request: Request,
    site: Site,
    incident: str,
    *,
    error: IrkitError | None = None,
    about: str = "",
    typed: dict[str, str] | None = None,
) -> Response:
    runner, pages = site.runner, site.pages
    session = logged_in(request)
    state = runner.ledger.state(incident)
    events = runner.ledger.events(incident)
    folder = runner.storage
    runs = []
    for run in reversed(state.runs):
        where = runner.runs.folder_of(run.run)
        runs.append({
            "line": view.run_line(run, runner.runs.progress(run.run)),
            "report": (where / "report.html").exists(),
            "notebook": (where / "notebook.ipynb").exists(),
            "bundle": (where / "bundle" / "looks.jsonl").exists(),
        })  # fmt: skip
    return pages.page(
        request,
        "incident.html",
        status_of(error) if error else 200,
        state=state,
        cards=[_card(runner, p, state, session.person) for p in cards.order(state.plans)],
        runs=runs,
        reading=view.last_reading(events, state),
        alerts=view.alerts(state),
        suspects=view.suspects(state),
        gaps=view.gaps(events),
        times=view.times(state),
        rows=view.timeline(events),
        first=state.first_alert_at,
        service=runner.config.services.services.get(state.service),
        postmortem=(folder / "incidents" / state.id / "postmortem.html").exists(),
        error=error_of(error) if error else None,
        about=about,
        typed=typed or {},
        figures={
            p.plan.id: evidence.figure(p, state, runner.runs.folder)
            for p in state.plans
            if p.status == "waiting"
        },
    )


def _card(runner: Runner, known: PlanState, state: IncidentState, person: str) -> cards.Card:
    now: datetime = runner.clock.now()
    refusal = None
    try:
        runner.broker.may_decide(known, person, known.plan.hash)
    except Refused as why:
        refusal = why
    return cards.card(known, state, person=person, now=now, refusal=refusal)
