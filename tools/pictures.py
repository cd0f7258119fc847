"""Take the README's pictures from the recorded demo, with the system's Chromium.

python tools/pictures.py [SCENARIO]      writes docs/images/*.png
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from irkit.clock import SetClock
from runner.demo import replay, setting
from runner.demo.narrator import Narrator
from runner.demo.recording import Arrival, Deed, unpack
from runner.serve import Server, free_port
from runner.service import Runner

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
PERSON = f"person:{setting.APPROVER}"
READY_WITHIN = 60.0


class _Waiting(Exception):
    """The story has come to the decision."""


class _UntilTheDecision(replay._Conductor):
    """Plays the story, and stops when somebody would approve."""

    stops = True

    def _do(self, deed: Deed) -> None:
        if self.stops and deed.kind == "approve":
            self.beats.insert(0, deed)
            raise _Waiting
        super()._do(deed)


def main(scenario: str) -> None:
    """Take all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        story, recording = unpack(scenario, home / "recording")
        config = setting.write(
            home, prometheus="http://127.0.0.1:9", ports={}, listen="127.0.0.1:0",
            shop=home / "shop",
        )  # fmt: skip
        beats: list[Arrival | Deed] = sorted((*story.arrivals, *story.deeds), key=lambda b: b.at)
        clock = SetClock(beats[0].at)
        # Playwright runs an event loop, and the engine does not start where one runs.
        with Runner(config, clock=clock, recording=recording) as runner, _chromium() as browser:
            played = _UntilTheDecision(runner, clock, story, beats, Narrator(), False)
            with Server(runner) as server:
                try:
                    played.play()
                except _Waiting:
                    _of_the_decision(browser, server, story.incident)
            played.stops = False
            played.play()
            found = replay.results(runner, story.incident)[replay.POSTMORTEM]
            page = browser.new_page(viewport=WIDE)
            page.goto(found.as_uri())
            page.screenshot(path=IMAGES / "postmortem.png")
            first = runner.ledger.state(story.incident).runs[0].run
            _of_the_runbook(browser, runner.runs.folder_of(first) / "notebook.ipynb", home / "lab")
    for path in sorted(IMAGES.glob("*.png")):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


@contextmanager
def _chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield browser
        browser.close()


def _of_the_decision(browser: Browser, server: Server, incident: str) -> None:
    wide = browser.new_context(viewport=WIDE).new_page()
    _open(wide, server, incident)
    wide.screenshot(path=IMAGES / "incident-page.png")
    phone = browser.new_context(viewport=PHONE, is_mobile=True, device_scale_factor=2).new_page()
    _open(phone, server, incident)
    top = phone.screenshot()
    phone.get_by_role("button", name="Approve").first.scroll_into_view_if_needed()
    phone.mouse.wheel(0, 60)
    phone.wait_for_timeout(300)
    end = phone.screenshot()
    both = browser.new_page(viewport={"width": 812, "height": 844}, device_scale_factor=1.5)
    pictures = "".join(
        f'<img width="390" src="data:image/png;base64,{base64.b64encode(one).decode()}">'
        for one in (top, end)
    )
    both.set_content(f'<body style="margin:0;display:flex;gap:32px;background:#888">{pictures}')
    both.screenshot(path=IMAGES / "approval-phone.png")
    for page in (wide, phone, both):
        page.close()  # an open stream would hold the server up


def _open(page: Page, server: Server, incident: str) -> None:
    page.goto(server.link(PERSON))
    page.goto(f"{server.url}/incidents/{incident}")
    page.wait_for_timeout(500)


def _of_the_runbook(browser: Browser, notebook: Path, folder: Path) -> None:
    folder.mkdir()
    with _lab(Path(shutil.copy(notebook, folder / "runbook.ipynb"))) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(address)
        page.wait_for_selector(".jp-Notebook .jp-OutputArea-output", timeout=60_000)
        page.wait_for_timeout(3000)
        page.locator("[data-id=filebrowser]").first.click()
        page.mouse.move(640, 500)
        for _ in range(40):
            page.mouse.wheel(0, 200)
            page.wait_for_timeout(200)
            found = page.locator(".jp-Notebook .jp-Cell", has_text="What probably broke").first
            box = found.bounding_box() if found.count() else None
            if box and box["y"] < 200:
                break
        page.wait_for_timeout(1000)
        page.screenshot(path=IMAGES / "runbook.png")


@contextmanager
def _lab(notebook: Path) -> Iterator[str]:
    """JupyterLab on a notebook, until the block ends; gives its address."""
    port, token = free_port(), secrets.token_urlsafe(12)
    settings = notebook.parent.parent / "settings"
    quiet = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    lab = subprocess.Popen(
        [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
            f"--port={port}", f"--IdentityProvider.token={token}",
            f"--ServerApp.root_dir={notebook.parent}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "JUPYTERLAB_SETTINGS_DIR": str(settings)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api?token={token}", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/doc/tree/{notebook.name}?token={token}"
    finally:
        lab.terminate()
        lab.wait()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "failing-release")
