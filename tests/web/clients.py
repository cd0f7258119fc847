"""How tests speak to the application: in process, or behind a real port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

BASE = "http://127.0.0.1:8400"


class Client:
    """Asks the application in process, one request at a time, and keeps cookies as a browser."""

    def __init__(self, app: FastAPI, **headers: str) -> None:
        self.app, self.headers, self.cookies = app, headers, httpx.Cookies()

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One request; redirects are not followed."""

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url=BASE, cookies=self.cookies
            ) as client:
                headers = self.headers | given.pop("headers", {})
                answer = await client.request(method, path, headers=headers, **given)
                self.cookies.update(client.cookies)
                return answer

        # In a thread of its own: where a browser is open, this one has a loop already.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, go()).result()

    def get(self, path: str, **given: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", path, **given)

    @property
    def csrf(self) -> str:
        """The token that forms of this session carry."""
        session = self.app.state.site.login.find(self.cookies.get("irkit") or "")
        assert session
        return str(session.csrf)


@dataclass
class Served:
    """The application behind a real port."""

    url: str
    stop: Callable[[], None]
