"""The pages in a real browser: with script, without, narrow, dark, and when the server is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import scene
from clients import Served
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from runner.service import Runner
from runner.web.login import Login

# Every text that is seen against what lies behind it, as WCAG counts it.
CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push([walker.currentNode.textContent.trim().slice(0, 40), ratio]);
  }
  return poor;
}"""
SMALL = """() => [...document.querySelectorAll(
    "a, button, input:not([type=hidden]), textarea, summary")]
  .filter((n) => n.checkVisibility() && !n.matches(".skip"))
  .map((n) => [n, n.getBoundingClientRect()])
  .filter(([n, r]) => Math.min(r.width, r.height) < (n.matches("a") ? 18 : 24))
  .map(([n, r]) => [n.outerHTML.slice(0, 80), r.width, r.height])"""

Enter = Callable[..., Any]


@pytest.fixture
def enter(chromium: Browser, served: Served, login: Login) -> Iterator[Enter]:
    """Opens a page as a person, by a one-time link; says so if the page had an error."""
    wrong: list[str] = []

    @contextmanager
    def entering(name: str, path: str = "/", **given: Any) -> Iterator[Page]:
        context = chromium.new_context(**given)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        page.on(
            "console",
            lambda m: wrong.append(m.text) if "Content Security Policy" in m.text else None,
        )
        page.goto(f"{served.url}/login?once={login.once(f'person:{name}')}&next={path}")
        assert "once=" not in page.url
        yield page
        context.close()

    yield entering
    assert wrong == []


def test_two_people_decide_and_see_each_other(enter: Enter, runner: Runner) -> None:
    incident = scene.opened(runner)
    scene.diagnosed(runner, incident)
    plan = scene.planned(runner, incident)
    path = f"/incidents/{incident}"
    with enter("ada", path) as ada, enter("ben", path) as ben:
        expect(ben.locator("[data-live]")).to_have_text("live")
        ada.locator("[name=note]").fill("the deploy did it")
        ada.get_by_role("button", name="Approve rollback").click()
        expect(ada.locator(".receipt")).to_contain_text("You approved at")
        assert ada.url.endswith(f"{path}#{plan.id}")
        # Nothing moved on the other's page, but there is nothing left to press.
        expect(ben.locator("[data-changed]")).to_be_visible()
        expect(ben.get_by_role("button", name="Approve rollback")).to_be_disabled()
        expect(ben.locator("[data-news]")).to_have_text("A decision has changed: show it")
        ben.locator("[data-news]").click()
        expect(ben.locator(".receipt")).to_contain_text("Ada approved at")
        expect(ben.locator("[data-news]")).to_be_hidden()
    given = [e for e in runner.ledger.events(incident) if e.kind == "approval.given"]
    assert [g.by for g in given] == ["person:ada"]


def test_what_is_new_waits_and_what_is_typed_stays(enter: Enter, runner: Runner) -> None:
    incident = scene.opened(runner)
    with enter("ada", f"/incidents/{incident}") as page:
        expect(page.locator("[data-live]")).to_have_text("live")
        before = page.locator(".timeline > li").count()
        page.locator("#text").fill("half a thought")
        runner.note(incident, "person:ben", "one")
        runner.note(incident, "person:ben", "two")
        expect(page.locator("[data-news]")).to_have_text("2 new: show")
        assert page.locator(".timeline > li").count() == before
        page.locator("[data-news]").click()
        expect(page.locator(".timeline > li")).to_have_count(before + 2)
        assert page.locator("#text").input_value() == "half a thought"


def test_the_list_says_that_something_is_new(enter: Enter, runner: Runner) -> None:
    with enter("ada") as page:
        page.clock.install()
        page.reload()
        expect(page.locator("[data-live]")).to_contain_text("checked")
        incident = scene.opened(runner)
        plan = scene.planned(runner, incident)
        page.clock.fast_forward(10_500)
        page.locator("[data-news]").click()
        expect(page.locator("h2").first).to_have_text("1 waiting for a decision")
        expect(page.get_by_role("link", name="30 % of checkouts fail")).to_be_visible()
        runner.decide(plan.id, "person:ben", allow=False, plan_hash=plan.hash)
        page.clock.fast_forward(10_500)
        page.locator("[data-news]").click()
        expect(page.locator("h2").first).to_have_text("Open")


def test_no_script_is_needed(enter: Enter, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    with enter("ben", f"/incidents/{incident}", java_script_enabled=False) as page:
        page.get_by_role("button", name="Acknowledge: I have it").click()
        expect(page.locator("section", has_text="Who has it").first).to_contain_text("ben")
        page.locator("#text").fill("looking")
        page.get_by_role("button", name="Write note").click()
        expect(page.locator(".timeline")).to_contain_text("ben: looking")
        page.get_by_role("button", name="Deny rollback").click()
        expect(page.locator(f"#{plan.id}")).to_contain_text("You denied at")
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    assert runner.broker.known(incident, plan.id).status == "denied"
    assert runner.ledger.state(incident).acked_by == "person:ben"


def test_logging_in_with_a_token_leads_to_where_one_was_going(
    chromium: Browser, served: Served, runner: Runner
) -> None:
    incident = scene.opened(runner)
    page = chromium.new_page()
    page.goto(f"{served.url}/incidents/{incident}")
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("The token is nobody's")
    page.get_by_label("Token").fill(scene.TOKENS["eve"])
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_contain_text("30 % of checkouts fail")
    assert page.evaluate("document.cookie") == ""
    page.close()


def test_foreign_markup_does_nothing(enter: Enter, runner: Runner) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    incident = scene.opened(runner, summary=evil, labels={"pod": evil})
    runner.note(incident, "person:ada", evil)
    scene.planned(runner, incident, contrary=evil, reason=evil)
    with enter("ada", f"/incidents/{incident}") as page:
        expect(page.locator("[data-live]")).to_have_text("live")
        assert page.locator("h1").inner_text() == evil
        assert page.locator("main script, main img").count() == 0


def test_enter_decides_nothing(enter: Enter, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(
        runner, incident, action="restart", approvals_needed=2, approvers=(), id="P-2"
    )
    with enter("ada", f"/incidents/{incident}", java_script_enabled=False) as page:
        page.locator("[name=target]").fill("checkout")
        page.locator("[name=target]").press("Enter")
        assert page.url.endswith(f"/incidents/{incident}")
        page.get_by_role("button", name="Approve restart").click()
        expect(page.locator(f"#{plan.id}")).to_contain_text("1 more needed")
    assert len(runner.broker.known(incident, plan.id).decisions) == 1


@pytest.mark.parametrize(
    ("width", "scheme"), [(320, "dark"), (390, "light"), (1280, "dark"), (1280, "light")]
)
def test_it_can_be_read_and_pressed_anywhere(
    enter: Enter, runner: Runner, width: int, scheme: str
) -> None:
    long = "checkout-service-with-a-name-that-does-not-end-" * 3
    incident = scene.opened(runner, summary=long, labels={long[:60]: long})
    scene.diagnosed(runner, incident)
    scene.bundled(runner, incident)
    plan = scene.planned(runner, incident)
    runner.decide(plan.id, "person:ada", allow=True, plan_hash=plan.hash)
    scene.recovered(runner, incident, plan)
    scene.planned(
        runner, incident, id="P-2", key="k2", contrary=long, approvals_needed=2, approvers=()
    )
    shape = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    for path in ("/", f"/incidents/{incident}"):
        with enter("ben", path, **shape) as page:
            page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(CONTRAST) == []
            assert page.evaluate(SMALL) == []
            buttons = page.locator("[name=decision]")
            boxes = [buttons.nth(n).bounding_box() for n in range(buttons.count())]
            assert len({(b["width"], b["height"]) for b in boxes if b}) <= 1
            assert all(b["height"] >= 48 for b in boxes if b)
            page.evaluate("document.body.style.color = document.body.style.background = '#777'")
            assert page.evaluate(CONTRAST), "the check of the contrast sees nothing"


def test_silence_is_shown_and_then_ends_deciding(
    enter: Enter, served: Served, runner: Runner
) -> None:
    incident = scene.opened(runner)
    scene.planned(runner, incident)
    with enter("ada", f"/incidents/{incident}") as page:
        page.clock.install()
        page.goto(f"{served.url}/incidents/{incident}")
        expect(page.locator("[data-live]")).to_have_text("live")
        served.stop()
        page.clock.fast_forward(6_000)
        expect(page.locator("[data-live]")).to_have_text("stopped 14:05:07Z")
        approve = page.get_by_role("button", name="Approve rollback")
        expect(approve).to_be_enabled()
        page.clock.fast_forward(56_000)
        expect(approve).to_be_disabled()
        expect(page.get_by_role("button", name="Deny rollback")).to_be_disabled()


def test_keys_move_and_none_decides(enter: Enter, runner: Runner) -> None:
    incident = scene.opened(runner)
    plan = scene.planned(runner, incident)
    with enter("ada", f"/incidents/{incident}") as page:
        expect(page.locator("[data-live]")).to_have_text("live")
        page.keyboard.press("j")
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.id") == plan.id
        page.keyboard.press("Enter")
        page.keyboard.press("y")
        page.keyboard.press("n")
        assert page.evaluate("document.activeElement.id") == "text"
        page.keyboard.press("a")
        assert page.locator("#text").input_value() == "a"
        page.locator("h1").click()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.get_by_label("Keys are on").uncheck()
        page.get_by_role("button", name="Close").click()
        page.locator("h1").click()
        page.keyboard.press("a")
        page.get_by_label("What you saw").wait_for()
        page.keyboard.press("?")
        page.get_by_label("Keys are on").check()
        page.get_by_role("button", name="Close").click()
        assert not runner.ledger.state(incident).acked_by
        page.locator("h1").click()
        page.keyboard.press("a")
        expect(page.locator("section", has_text="Who has it").first).to_contain_text("ada")
    assert runner.broker.known(incident, plan.id).decisions == ()


def test_the_stream_tells_state_and_proves_that_it_lives(
    served: Served, runner: Runner, login: Login, app: FastAPI
) -> None:
    incident = scene.opened(runner)
    cookie = login.open("person:ada")
    url = f"{served.url}/incidents/{incident}/stream"
    assert httpx.get(url).status_code == 303
    told: list[dict[str, Any]] = []
    names: list[str] = []
    with httpx.stream("GET", url, cookies={"irkit": cookie}, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event: "):
                names.append(line[7:])
            if line.startswith("data: "):
                told.append(json.loads(line[6:]))
                if len(told) == 1:
                    runner.acknowledge(incident, "person:ben")
                if names[-1] == "beat":
                    login.close(cookie)
    assert told[0]["state"] == "open"
    assert told[0]["acked"] == ""
    assert told[1]["acked"] == "ben"
    assert "beat" in names
    assert app.state.site.streams == 0
