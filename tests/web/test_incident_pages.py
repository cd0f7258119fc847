"""The pages without any script: what they say, and what their forms do."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
import scene
from clients import Client

from irkit.clock import SetClock
from irkit.model import event as ev
from irkit.model.action import Undo
from runner.runs.execute import Live
from runner.service import Runner
from runner.web import evidence

Browser = Callable[[str], Client]


def _words(html: str) -> str:
    """What a reader sees, as one line."""
    text = re.sub(r"<(script|style).*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).strip()


def _decide(client: Client, plan_id: str, plan_hash: str, decision: str, **more: str):  # type: ignore[no-untyped-def]
    form = {"csrf": client.csrf, "plan_hash": plan_hash, "decision": decision, **more}
    return client.post(f"/incidents/IR-1/plans/{plan_id}", data=form)


# -- the list -----------------------------------------------------------------------------------


def test_an_empty_list_proves_that_it_is_alive(browser: Browser, runner: Runner) -> None:
    ada = browser("ada")
    assert "No open incidents ; last delivery never" in _words(ada.get("/").text)
    incident = scene.opened(runner)
    runner.resolve(incident, "person:ada", "done")
    assert isinstance(runner.clock, SetClock)
    runner.clock.advance(timedelta(seconds=12))
    assert "No open incidents ; last delivery 12s ago" in _words(ada.get("/").text)


def test_the_list_shows_who_has_what_and_what_waits_above(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    scene.planned(runner, incident)
    ada = browser("ada")
    words = _words(ada.get("/").text)
    assert words.index("1 waiting for a decision") < words.index("30 % of checkouts fail")
    assert "◆ SEV1" in words
    assert "▲ open" in words
    assert "Nobody has it yet" in words
    runner.acknowledge(incident, "person:ben")
    assert "ben has it" in _words(ada.get("/").text)


def test_progress_of_a_run_is_shown_by_cell(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    run = f"{incident}-r1"
    scene.append(runner, incident, ev.RunStarted(
        run=run, ordinal=1, attempt=1, purpose="diagnose", runbook="high-error-rate",
        now=runner.clock.now(),
    ))  # fmt: skip
    ada = browser("ada")
    assert "starting" in _words(ada.get("/").text)
    live = Live(run=run, cells_done=3, cells_total=11, at=runner.clock.now())
    runner.runs._live[run] = live
    for path in ("/", f"/incidents/{incident}"):
        page = ada.get(path).text
        assert "cell 3 of 11" in _words(page)
        assert '<progress data-bar max="11" value="3">' in page


# -- the incident -------------------------------------------------------------------------------


def test_the_page_has_its_parts_in_order(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    plan = scene.planned(runner, incident)
    page = browser("ada").get(f"/incidents/{incident}").text
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    assert headings[:8] == [
        "Decisions", "Now", "Who has it", "Signal", "Top suspect", "Four times",
        "Timeline, newest first", "Note",
    ]  # fmt: skip
    assert page.count("<h1") == 1
    card = page[page.index(f'id="{plan.id}"') :]
    words = _words(card[: card.index("</article>")])
    places = [words.index(part) for part in (
        "Roll back checkout 2.41 → 2.40 in prod-eu", "+image: checkout:2.40", "3 of 3 instances",
        "errors rose 40 s after its deploy", "supported: two or more independent looks agree",
        "payment latency rose 3 s earlier", "logs of payment: connection refused",
        "error_rate of checkout rose (0.4 % → 30.4 %)", "deploy 2.41 again, about 40s",
        "If nobody acts, 1 alert keeps firing", "15m , at 14:20:07Z", "then nothing is applied",
        "run:IR-1-r1 asks; 0 of 1 approvals given; asked: ada, ben", "at most 3 an hour",
        plan.hash, "Deny rollback", "Approve rollback",
    )]  # fmt: skip
    assert places == sorted(places)
    assert "autofocus" not in page
    assert "checked" not in card[: card.index("</article>")]


def test_the_evidence_is_drawn_from_the_recorded_reply(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    scene.bundled(runner, incident)
    scene.planned(runner, incident)
    page = browser("ada").get(f"/incidents/{incident}").text
    figure = page[page.index("<figure>") : page.index("</figure>")]
    assert figure.count("<svg") == 2
    assert "error_rate of checkout rose (0.4 % -&gt; 30.4 %)" in figure
    assert "2.40 -&gt; 2.41" in figure
    assert "prom: error_rate{}; look L1" in figure
    assert "<b>" not in figure
    blobs = runner.runs.folder_of(f"{incident}-r1") / "bundle" / "blobs"
    for blob in blobs.iterdir():
        blob.write_bytes(b"changed")
    evidence._drawn.cache_clear()
    page = browser("ada").get(f"/incidents/{incident}").text
    assert "<svg" not in page
    assert "No figure: " in page


def test_times_have_a_zone_and_a_distance_from_the_first_alert(
    browser: Browser, runner: Runner
) -> None:
    incident = scene.opened(runner)
    assert isinstance(runner.clock, SetClock)
    runner.clock.advance(timedelta(minutes=3, seconds=12))
    runner.note(incident, "person:ada", "looking at payment")
    words = _words(browser("ada").get(f"/incidents/{incident}").text)
    assert "14:08:19Z +3m12s People ada: looking at payment" in words


def test_unknown_times_say_so_and_why(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    words = _words(browser("ada").get(f"/incidents/{incident}").text)
    assert "acknowledge unknown nobody acknowledged" in words
    assert "No run has named one yet" in words


def test_foreign_text_stays_text(browser: Browser, runner: Runner) -> None:
    evil = "<script>alert(1)</script>"
    incident = scene.opened(
        runner, summary=evil,
        labels={evil: evil, "url": "javascript:alert(1)", "tpl": "{{ 7*7 }}", "dir": "a\u202eb"},
    )  # fmt: skip
    runner.note(incident, "person:ada", evil * 40)
    scene.diagnosed(runner, incident)
    scene.planned(
        runner, incident, reason=evil, suspect="", contrary=evil, gaps=(evil,),
        undo=Undo(how="", cannot=evil),
    )  # fmt: skip
    for path in ("/", f"/incidents/{incident}"):
        page = browser("ben").get(path).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert 'href="javascript:' not in page
        assert "\u202e" not in page
    assert "{{ 7*7 }}" in page


def test_an_incident_that_is_not_there_is_404(browser: Browser) -> None:
    for path in ("/incidents/IR-9", "/incidents/..%2f..%2fetc", "/incidents/%00", "/nothing"):
        answer = browser("ada").get(path)
        assert answer.status_code == 404
        assert "<h1>" in answer.text


# -- acknowledging and notes --------------------------------------------------------------------


def test_acknowledging_is_a_post_and_happens_once(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    ada = browser("ada")
    ada.get(f"/incidents/{incident}/ack")
    assert not runner.ledger.state(incident).acked_by
    for _ in range(2):
        answer = ada.post(f"/incidents/{incident}/ack", data={"csrf": ada.csrf})
        assert answer.status_code == 303
    state = runner.ledger.state(incident)
    assert state.acked_by == "person:ada"
    acks = [e for e in runner.ledger.events(incident) if e.kind == "incident.acknowledged"]
    assert len(acks) == 1


@pytest.mark.parametrize("csrf", ["", "wrong", "é" * 10])
def test_nothing_is_written_without_the_forms_token(
    browser: Browser, runner: Runner, csrf: str
) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    before = runner.ledger.state(incident).last_seq
    ada = browser("ada")
    base = f"/incidents/{incident}"
    for path, data in (
        (f"{base}/ack", {}),
        (f"{base}/note", {"text": "x"}),
        (f"{base}/resolve", {"why": "x"}),
        (f"{base}/plans/{plan.id}", {"plan_hash": plan.hash, "decision": "approve"}),
    ):
        answer = ada.post(path, data={"csrf": csrf, **data})
        assert answer.status_code == 403
    assert runner.ledger.state(incident).last_seq == before


def test_a_note_pressed_twice_is_written_once_and_two_notes_twice(
    browser: Browser, runner: Runner
) -> None:
    incident = scene.opened(runner)
    ada = browser("ada")
    path = f"/incidents/{incident}"
    form = re.search(r'name="form" value="([^"]+)"', ada.get(path).text)
    assert form
    for nonce in (form[1], form[1], "another"):
        answer = ada.post(
            f"{path}/note", data={"csrf": ada.csrf, "form": nonce, "text": "restarted by hand"}
        )
        assert answer.status_code == 303
    notes = [e for e in runner.ledger.events(incident) if e.kind == "note.written"]
    assert [n.by for n in notes] == ["person:ada"] * 2


def test_what_was_typed_is_kept_where_it_was_refused(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    ada = browser("ada")
    long = "words " * 800
    data = {"csrf": ada.csrf, "form": "f1", "text": long}
    answer = ada.post(f"/incidents/{incident}/note", data=data)
    assert answer.status_code == 400
    assert long in answer.text
    assert "At most 4000" in answer.text
    answer = ada.post(f"/incidents/{incident}/note", data=data | {"text": "short"})
    assert answer.status_code == 303


def test_resolving_by_hand_says_why_and_happens_once(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    ada = browser("ada")
    data = {"csrf": ada.csrf, "why": "the alert was wrong"}
    assert ada.post(f"/incidents/{incident}/resolve", data=data).status_code == 303
    assert runner.ledger.state(incident).state == "resolved"
    again = ada.post(f"/incidents/{incident}/resolve", data=data)
    assert again.status_code == 409
    assert "The incident is over" in again.text


# -- deciding -----------------------------------------------------------------------------------


def test_an_approval_leaves_a_receipt_and_counts_once(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    ada = browser("ada")
    for _ in range(2):
        answer = _decide(ada, plan.id, plan.hash, "approve", note="go on")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/incidents/{incident}#{plan.id}"
    given = [e for e in runner.ledger.events(incident) if e.kind == "approval.given"]
    assert len(given) == 1
    assert runner.broker.known(incident, plan.id).status == "approved"
    words = _words(ada.get(f"/incidents/{incident}").text)
    assert "You approved at 14:05:07Z: go on" in words
    assert "Approve rollback" not in words
    assert "Ada approved at" in _words(browser("ben").get(f"/incidents/{incident}").text)


def test_a_denial_stays_with_who(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    assert _decide(browser("ben"), plan.id, plan.hash, "deny", note="not now").status_code == 303
    words = _words(browser("ada").get(f"/incidents/{incident}").text)
    assert "denied: nothing is applied" in words
    assert "Ben denied at 14:05:07Z: not now" in words
    late = _decide(browser("ada"), plan.id, plan.hash, "approve")
    assert late.status_code == 409
    assert runner.broker.known(incident, plan.id).status == "denied"


def test_who_asked_cannot_approve_and_is_told_who_may(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident, requester="person:ada")
    ada = browser("ada")
    words = _words(ada.get(f"/incidents/{incident}").text)
    assert "You asked for it, so you cannot approve it. ben may." in words
    assert "Approve rollback" not in words
    assert _decide(ada, plan.id, plan.hash, "approve").status_code == 403
    eve = browser("eve")
    assert "You may not decide on rollback. ben may." in _words(
        eve.get(f"/incidents/{incident}").text
    )
    assert _decide(eve, plan.id, plan.hash, "approve").status_code == 403
    assert runner.broker.known(incident, plan.id).decisions == ()
    assert _decide(browser("ben"), plan.id, plan.hash, "approve").status_code == 303


def test_a_plan_that_changed_must_be_read_again(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    answer = _decide(browser("ada"), plan.id, "0" * 64, "approve", note="my words")
    assert answer.status_code == 409
    assert "The plan is not the one you read" in answer.text
    assert "my words" in answer.text
    assert runner.broker.known(incident, plan.id).decisions == ()


def test_an_expired_plan_cannot_be_approved(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    assert isinstance(runner.clock, SetClock)
    runner.clock.advance(timedelta(minutes=16))
    ada = browser("ada")
    assert "The plan has expired." in _words(ada.get(f"/incidents/{incident}").text)
    assert _decide(ada, plan.id, plan.hash, "approve").status_code == 409


def test_high_risk_takes_two_people_and_the_targets_name(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(
        runner, incident, id="P-2", action="restart", approvals_needed=2, approvers=()
    )
    ada, ben = browser("ada"), browser("ben")
    forgot = _decide(ada, plan.id, plan.hash, "approve", note="kept", target="chekout")
    assert forgot.status_code == 400
    assert "type checkout to approve it" in forgot.text
    assert "kept" in forgot.text
    assert 'value="chekout"' in forgot.text
    assert _decide(ada, plan.id, plan.hash, "approve", target="checkout").status_code == 303
    assert runner.broker.known(incident, plan.id).status == "waiting"
    words = _words(ada.get(f"/incidents/{incident}").text)
    assert "You approved it at 14:05:07Z; another person is needed" in words
    assert "1 of 2 approvals given" in words
    assert _decide(ben, plan.id, plan.hash, "approve", target="checkout").status_code == 303
    assert runner.broker.known(incident, plan.id).status == "approved"


def test_nothing_is_decided_by_get_or_by_enter(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    ada = browser("ada")
    path = f"/incidents/{incident}/plans/{plan.id}"
    got = ada.get(path, params={"decision": "approve", "plan_hash": plan.hash, "csrf": ada.csrf})
    assert got.status_code in (404, 405)
    assert _decide(ada, plan.id, plan.hash, "").status_code == 400
    assert _decide(ada, plan.id, plan.hash, "yes").status_code == 400
    assert runner.broker.known(incident, plan.id).decisions == ()
    page = ada.get(f"/incidents/{incident}").text
    form = page[page.index("data-decide") :]
    assert re.search(r"<button[^>]*>", form)[0] == '<button type="submit" disabled hidden>'  # type: ignore[index]


def test_a_plan_is_decided_only_within_its_incident(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    runner.resolve(incident, "person:ada", "over")
    other = scene.opened(runner, name="Other", labels={"service": "elsewhere"})
    assert other != incident
    ada = browser("ada")
    data = {"csrf": ada.csrf, "plan_hash": plan.hash, "decision": "approve"}
    assert ada.post(f"/incidents/{other}/plans/{plan.id}", data=data).status_code == 404


def test_before_and_after_are_shown_when_it_is_verified(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    plan = scene.planned(runner, incident)
    runner.decide(plan.id, "person:ada", allow=True, plan_hash=plan.hash)
    scene.recovered(runner, incident, plan)
    words = _words(browser("ben").get(f"/incidents/{incident}").text)
    assert "◐ mitigated" in words
    assert "applied and verified: the signal recovered after it" in words
    assert "error_rate of checkout 30.4 % → 0.3 %" in words
    assert "error_rate of checkout: 0.3 % (limit 5 %)" in words
    assert "confirmed: an act on it was verified" in words


# -- files --------------------------------------------------------------------------------------


def test_exports_are_served_in_a_sandbox_and_from_known_names_only(
    browser: Browser, runner: Runner
) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    run = runner.runs.folder_of(f"{incident}-r1")
    (run / "bundle" / "blobs").mkdir(parents=True)
    (run / "report.html").write_text("<h1>report</h1>")
    (run / "notebook.ipynb").write_text("{}")
    (run / "bundle" / "looks.jsonl").write_text("")
    (run / "secret").write_text("no")
    ada = browser("ada")
    base = f"/incidents/{incident}"
    assert ada.get(f"{base}/postmortem").status_code == 404
    folder = runner.storage / "incidents" / incident
    folder.mkdir(parents=True)
    (folder / "postmortem.html").write_text("<h1>post-mortem</h1>")
    for path in (f"{base}/postmortem", f"{base}/runs/{incident}-r1/report"):
        answer = ada.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts")
        assert "allow-same-origin" not in policy
        assert "default-src 'none'" in policy
    notebook = ada.get(f"{base}/runs/{incident}-r1/notebook.ipynb")
    assert notebook.headers["content-disposition"].startswith("attachment")
    bundle = ada.get(f"{base}/runs/{incident}-r1/bundle.zip")
    assert bundle.content[:2] == b"PK"
    assert not list(runner.storage.glob("bundle-*"))
    for bad in ("runs/IR-1-r1/secret", "runs/../../irkit.db", "runs/%2e%2e/report", "irkit.db",
                "runs/IR-1-r9/report", "postmortem.html/..%2f..%2f..%2firkit.yaml"):  # fmt: skip
        assert ada.get(f"{base}/{bad}").status_code == 404
    assert Client(ada.app).get(f"{base}/postmortem").status_code == 303


def test_a_link_out_of_the_storage_is_not_followed(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    folder = runner.storage / "incidents" / incident
    folder.mkdir(parents=True)
    outside = runner.storage.parent / "irkit.yaml"
    outside.write_text("secret")
    (folder / "postmortem.html").symlink_to(outside)
    assert browser("ada").get(f"/incidents/{incident}/postmortem").status_code == 404
