"""What all tests share: one browser for each worker, long tests first, properties untimed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

settings.register_profile("irkit", deadline=None)
settings.load_profile("irkit")

LONG = ("test_live", "test_a_broken_library", "test_shop_observe", "test_golden", "test_crash")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start what takes a minute first, so that the last worker does not wait for it alone."""
    rank = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One headless Chromium for the worker; no name but this machine is known to it.

    It stands here because a process can hold only one of playwright's drivers.
    """
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "these tests need a Chromium: apt-get install chromium"
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            ],
        )
        yield browser
        browser.close()
