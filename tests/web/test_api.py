"""`/api/v1`: what programs read and do, and how they are refused."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import scene
import schemathesis
from clients import Client
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)

from runner.service import Runner

Who = Callable[[str], Client]


def test_incidents_are_listed_newest_first_and_filtered(program: Who, runner: Runner) -> None:
    first = scene.opened(runner)
    runner.resolve(first, "person:ada", "over")
    second = scene.opened(runner, name="Other")
    ada = program("ada")
    found = ada.get("/api/v1/incidents").json()
    assert [i["id"] for i in found] == [second, first]
    assert [i["id"] for i in ada.get("/api/v1/incidents?state=unresolved").json()] == [second]
    assert [i["id"] for i in ada.get("/api/v1/incidents?state=resolved").json()] == [first]
    assert len(ada.get("/api/v1/incidents?limit=1").json()) == 1
    assert ada.get("/api/v1/incidents?state=closed").status_code == 422


def test_an_incident_tells_times_runs_plans_and_timeline(program: Who, runner: Runner) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    plan = scene.planned(runner, incident)
    told = program("ada").get(f"/api/v1/incidents/{incident}").json()
    times = {t["name"]: t for t in told["times"]}
    assert times["acknowledge"]["seconds"] is None
    assert times["acknowledge"]["unknown"] == "nobody acknowledged"
    assert times["detect"]["seconds"] == 380.0
    assert told["plans"][0]["hash"] == plan.hash
    assert told["runs"][0]["status"] == "succeeded"
    assert told["suspects"][0]["findings_against"][0]["after"] == 0.21
    assert told["head"] == runner.ledger.state(incident).head
    assert "gap.found" in {e["kind"] for e in told["timeline"]}


def test_events_are_the_chain_itself(program: Who, runner: Runner) -> None:
    incident = scene.opened(runner)
    ada = program("ada")
    events = ada.get(f"/api/v1/incidents/{incident}/events").json()
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert all(b["prev"] == a["hash"] for a, b in pairwise(events))
    rest = ada.get(f"/api/v1/incidents/{incident}/events?after=1").json()
    assert rest == events[1:]


def test_acting_is_recorded_under_ones_own_name(program: Who, runner: Runner) -> None:
    incident = scene.opened(runner)
    ben = program("ben")
    base = f"/api/v1/incidents/{incident}"
    assert ben.post(f"{base}/ack", json={"note": "mine"}).json()["acked_by"] == "person:ben"
    assert ben.post(f"{base}/note", json={"text": "seen"}).status_code == 200
    assert ben.post(f"{base}/resolve", json={"note": "fixed"}).json()["state"] == "resolved"
    assert [e.by for e in runner.ledger.events(incident)][-3:] == ["person:ben"] * 3
    refused = ben.post(f"{base}/resolve", json={})
    assert refused.status_code == 409
    assert refused.json()["reason"] == "resolved"
    assert ben.post(f"{base}/note", json={"text": "  "}).status_code == 422


def test_a_decision_names_the_hash_and_says_why_it_is_refused(program: Who, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident, requester="person:ben")
    ada, ben, eve = program("ada"), program("ben"), program("eve")
    assert [p["id"] for p in ada.get("/api/v1/approvals").json()] == [plan.id]
    path = f"/api/v1/plans/{plan.id}/approve"
    for client, digest, status, reason in (
        (ada, "0" * 64, 409, "plan_changed"),
        (ben, plan.hash, 403, "same_person"),
        (eve, plan.hash, 403, "not_permitted"),
    ):
        answer = client.post(path, json={"plan_hash": digest})
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert ada.post(path, json={}).status_code == 422
    done = ada.post(path, json={"plan_hash": plan.hash, "note": "go"}).json()
    assert done["status"] == "approved"
    assert done["decisions"][0]["by"] == "person:ada"
    late = ada.post(f"/api/v1/plans/{plan.id}/deny", json={"plan_hash": plan.hash})
    assert (late.status_code, late.json()["reason"]) == (409, "decided")
    assert ada.get("/api/v1/approvals").json() == []
    assert ada.post("/api/v1/plans/P-0/deny", json={"plan_hash": plan.hash}).status_code == 404


@pytest.mark.parametrize("shown", ["", "Bearer no", "Basic x"])
def test_nobody_known_is_401(app: FastAPI, runner: Runner, shown: str) -> None:
    incident = scene.opened(runner)
    client = Client(app, **({"authorization": shown} if shown else {}))
    for method, path in (("GET", "incidents"), ("GET", f"incidents/{incident}"),
                         ("POST", f"incidents/{incident}/ack"), ("GET", "approvals")):  # fmt: skip
        answer = client.request(method, f"/api/v1/{path}", json={} if method == "POST" else None)
        assert answer.status_code == 401
        assert answer.json()["reason"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert not runner.ledger.state(incident).acked_by


def test_guessing_tokens_is_braked(app: FastAPI) -> None:
    client = Client(app, authorization="Bearer guess")
    statuses = [client.get("/api/v1/incidents").status_code for _ in range(12)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


def test_a_session_reads_freely_and_changes_only_with_its_token(
    browser: Who, runner: Runner
) -> None:
    incident = scene.opened(runner)
    ada = browser("ada")
    path = f"/api/v1/incidents/{incident}/ack"
    assert ada.get("/api/v1/incidents").status_code == 200
    refused = ada.post(path, json={})
    assert (refused.status_code, refused.json()["reason"]) == (403, "csrf")
    assert ada.post(path, json={}, headers={"X-CSRF-Token": ada.csrf}).status_code == 200


def test_errors_do_not_repeat_what_was_sent(program: Who, runner: Runner) -> None:
    incident = scene.opened(runner)
    answer = program("ada").post(
        f"/api/v1/incidents/{incident}/note",
        content=b'{"text": "\\ud800", "pass\\ud800word": "hunter2"}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 422
    assert "hunter2" not in answer.text
    assert set(answer.json()) == {"what", "on", "next", "reason"}


def test_the_contract_is_complete(stranger: Client) -> None:
    spec = stranger.get("/api/v1/openapi.json").json()
    for path, operations in spec["paths"].items():
        for operation in operations.values():
            assert operation["tags"], path
            assert operation["summary"], path
            if path.startswith("/api/"):
                assert operation["security"], path
                for code in ("401", "422", "503"):
                    schema = operation["responses"][code]["content"]["application/json"]["schema"]
                    assert schema["$ref"].endswith("/Error")


def test_no_request_that_the_contract_allows_breaks_it(app: FastAPI, runner: Runner) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    plan = scene.planned(runner, incident)
    schema = schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", app, headers={"Host": "127.0.0.1"}
    )
    operations = [o.ok() for o in schema.get_all_operations() if "/api/v1" in o.ok().path]
    assert len(operations) == 10
    strategy = st.one_of([o.as_strategy() for o in operations])
    seen: set[int] = set()

    @settings(
        max_examples=60, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=strategy, known=st.booleans())
    def ask(case: Any, known: bool) -> None:
        if known and "incident" in (case.path_parameters or {}):
            case.path_parameters["incident"] = incident
        if known and "plan" in (case.path_parameters or {}):
            case.path_parameters["plan"] = plan.id
        answer = case.call(
            headers={"Host": "127.0.0.1", "Authorization": f"Bearer {scene.TOKENS['ada']}"}
        )
        seen.add(answer.status_code)
        case.validate_response(
            answer,
            checks=[not_a_server_error, status_code_conformance, response_schema_conformance],
        )

    ask()
    assert 200 in seen
    assert seen - {200}
