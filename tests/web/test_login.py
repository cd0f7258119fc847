"""Logging in, staying in, and what is refused at the door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import scene
from clients import Client

from irkit.clock import SetClock
from irkit.errors import BadInput
from runner.app import create_app
from runner.service import Runner
from runner.web.login import Login

Browser = Callable[[str], Client]


def _form(client: Client) -> str:
    client.get("/login")
    return client.cookies["irkit-login"]


def test_a_page_sends_a_stranger_to_log_in_and_back(stranger: Client) -> None:
    answer = stranger.get("/incidents/IR-1?x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fincidents%2FIR-1%3Fx%3D1"


def test_a_token_is_traded_for_a_cookie_that_scripts_and_sites_cannot_use(
    stranger: Client,
) -> None:
    answer = stranger.post(
        "/login",
        data={"token": scene.TOKENS["ada"], "csrf": _form(stranger), "next": "/incidents/IR-1"},
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == "/incidents/IR-1"
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("irkit="))
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert scene.TOKENS["ada"] not in cookie
    assert "ada" in stranger.get("/").text


def test_behind_https_the_cookie_is_secure(
    tmp_path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = scene.CONFIG.replace("server: {", "server: {url: 'https://irkit.example', ")
    other = scene.runner_in(tmp_path / "other", config=config)
    login = Login(other.clock)
    client = Client(create_app(other, login=login))
    once = login.once("person:ada")
    answer = client.get(f"/login?once={once}", headers={"Host": "irkit.example"})
    assert answer.status_code == 303
    assert "Secure" in answer.headers["set-cookie"]
    other.close()


@pytest.mark.parametrize(
    "next", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\r\nX: y"]
)
def test_nobody_is_sent_elsewhere_after_logging_in(stranger: Client, next: str) -> None:
    answer = stranger.post(
        "/login", data={"token": scene.TOKENS["ada"], "csrf": _form(stranger), "next": next}
    )
    assert answer.headers["location"] == "/"


def test_a_wrong_token_is_refused_and_guessing_is_braked(
    stranger: Client, runner: Runner, login: Login
) -> None:
    csrf = _form(stranger)
    statuses = [
        stranger.post("/login", data={"token": f"guess-{n}", "csrf": csrf}).status_code
        for n in range(login.tries + 1)
    ]
    assert statuses == [401] * login.tries + [429]
    braked = stranger.post("/login", data={"token": "guess-again", "csrf": csrf})
    assert braked.status_code == 429
    assert int(braked.headers["retry-after"]) > 0
    assert isinstance(runner.clock, SetClock)
    runner.clock.advance(timedelta(minutes=2))
    again = stranger.post("/login", data={"token": "guess-later", "csrf": csrf})
    assert again.status_code == 401


def test_guesses_from_the_same_address_lock_nobody_out(stranger: Client, login: Login) -> None:
    csrf = _form(stranger)
    for n in range(login.tries + 3):
        stranger.post("/login", data={"token": f"guess-{n}", "csrf": csrf})
    right = {"token": scene.TOKENS["ada"], "csrf": csrf}
    assert stranger.post("/login", data=right).status_code == 303


def test_the_login_form_carries_a_token_of_its_own(stranger: Client) -> None:
    right = scene.TOKENS["ada"]
    assert stranger.post("/login", data={"token": right}).status_code == 403
    _form(stranger)
    assert stranger.post("/login", data={"token": right, "csrf": "other"}).status_code == 403
    assert "irkit" not in stranger.cookies


def test_a_one_time_link_works_once(stranger: Client, login: Login, runner: Runner) -> None:
    once = login.once("person:ben")
    answer = stranger.get(f"/login?once={once}&next=/incidents/IR-1")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/incidents/IR-1"
    assert once not in answer.headers["location"]
    assert "ben" in stranger.get("/").text
    again = Client(stranger.app).get(f"/login?once={once}")
    assert again.status_code == 401
    assert "used already" in again.text
    old = login.once("person:ben")
    assert isinstance(runner.clock, SetClock)
    runner.clock.advance(timedelta(minutes=16))
    assert Client(stranger.app).get(f"/login?once={old}").status_code == 401


def test_only_people_log_in(login: Login) -> None:
    with pytest.raises(ValueError, match="only a person"):
        login.once("system")
    with pytest.raises(BadInput):
        login.once("person:")


def test_a_session_ends_by_itself_and_by_logging_out(
    browser: Browser, runner: Runner, login: Login
) -> None:
    ada = browser("ada")
    assert ada.post("/logout").status_code == 403
    assert ada.get("/").status_code == 200
    assert ada.post("/logout", data={"csrf": ada.csrf}).status_code == 303
    assert ada.get("/").status_code == 303
    ben = browser("ben")
    assert isinstance(runner.clock, SetClock)
    runner.clock.advance(timedelta(hours=13))
    assert ben.get("/").status_code == 303


def test_a_link_from_chat_finds_the_session_by_one_more_step(browser: Browser) -> None:
    outside = browser("ada")
    outside.cookies.clear()
    answer = outside.get("/incidents/IR-1", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0"' in answer.text


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8400", 200),
        ("localhost:8400", 200),
        ("[::1]:8400", 200),
        ("10.1.2.3", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("localhost.evil.example:8400", 400),
        ("[::1", 400),
    ],
)
def test_only_names_of_this_server_are_answered(stranger: Client, host: str, status: int) -> None:
    assert stranger.get("/login", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    "header",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_what_another_site_sends_changes_nothing(
    browser: Browser, runner: Runner, header: dict[str, str]
) -> None:
    incident = scene.opened(runner)
    ada = browser("ada")
    before = runner.ledger.state(incident).last_seq
    for path in (f"/incidents/{incident}/ack", f"/api/v1/incidents/{incident}/ack"):
        answer = ada.post(path, data={"csrf": ada.csrf}, headers=header)
        assert answer.status_code == 403
    assert runner.ledger.state(incident).last_seq == before


def test_every_answer_carries_the_headers(stranger: Client, browser: Browser) -> None:
    ada = browser("ada")
    for client, path in ((stranger, "/login"), (ada, "/"), (ada, "/nothing"), (ada, "/api/v1/x")):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


def test_no_page_holds_script_or_style_of_its_own(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    scene.planned(runner, incident)
    for path in ("/", f"/incidents/{incident}", "/nothing"):
        text = browser("ada").get(path).text
        assert " style=" not in text
        assert "<style" not in text
        assert "<script>" not in text
        assert "javascript:" not in text
        assert " onclick=" not in text


def test_a_form_may_not_be_huge(browser: Browser, runner: Runner) -> None:
    incident = scene.opened(runner)
    ada = browser("ada")
    path = f"/incidents/{incident}/note"
    assert ada.post(path, data={"csrf": ada.csrf, "text": "x" * 70_000}).status_code == 413

    async def endless():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b"a" * 4096

    answer = ada.post(
        path, content=endless(), headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code == 413
