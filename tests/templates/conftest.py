"""Fixtures for pages: the system's Chromium without a network, and what a page did in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page


class Seen:
    """What a page did while it was open: messages, dialogs, requests for anything but itself."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda m: self.said.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: self.said.append(f"error: {e}"))
        page.on("dialog", lambda d: (self.said.append(f"dialog: {d.message}"), d.dismiss()))
        page.on("request", lambda r: self.asked.append(r.url) if r.url != url else None)

    @property
    def foreign(self) -> list[str]:
        """Requests that left the page: anything but data that it carries itself."""
        return [u for u in self.asked if not u.startswith(("data:", "blob:"))]


@pytest.fixture
def open_page(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., Seen]]:
    """Opens HTML text in a fresh context; `scripts=False` is a reader without JavaScript."""
    contexts = []

    def opened(html: str, *, scripts: bool = True, width: int = 1280, **kw: Any) -> Seen:
        path = tmp_path / f"page-{len(contexts)}.html"
        path.write_text(html, encoding="utf-8")
        context = chromium.new_context(
            java_script_enabled=scripts, viewport={"width": width, "height": 844}, **kw
        )
        contexts.append(context)
        seen = Seen(context.new_page(), path.as_uri())
        seen.page.goto(path.as_uri())
        return seen

    yield opened
    for context in contexts:
        context.close()
