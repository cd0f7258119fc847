"""The application: hooks, probes, API and pages over one runner."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from runner.service import Runner
from runner.web import api, assets, errors, files, hooks, live, pages, probes
from runner.web.guard import Guard
from runner.web.login import Login
from runner.web.metrics import Metrics
from runner.web.site import Site

TAGS = [
    {"name": "incidents", "description": "What happened, and what is known about it."},
    {"name": "approvals", "description": "Plans that wait, and decisions on them."},
    {"name": "hooks", "description": "Where alerts are delivered."},
    {"name": "probes", "description": "For machines that look after the runner."},
]


def create_app(runner: Runner, *, login: Login) -> FastAPI:
    """The application on a runner, which the caller starts and closes.

    Example:
        >>> app = create_app(runner, login=Login(runner.clock))      # doctest: +SKIP
    """
    site = Site(runner, login, Metrics(runner), hooks.Gate(), pages.Pages())
    app = FastAPI(
        title="irkit",
        summary="Incidents, decisions and deliveries",
        version=_version(),
        openapi_url="/api/v1/openapi.json",
        openapi_tags=TAGS,
        docs_url=None,  # they would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.site = site
    errors.install(app)
    for part in (hooks, probes, api, pages, live, files, assets):
        app.include_router(part.router)
    url, listen = runner.config.server.url, runner.config.server.listen
    names = (urlsplit(url).hostname or "", urlsplit(f"//{listen}").hostname or "")
    app.add_middleware(Guard, hosts=names)
    return app


def serve(
    runner: Runner,
    *,
    host: str,
    port: int,
    login: Login | None = None,
    person: str = "",
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted; `runner` must be started.

    `person` (such as `person:oncall`) gets a one-time link, which `announce` is given.  Addresses
    are not logged, for the link's token is in one.
    """
    login = login or Login(runner.clock)
    base = runner.config.server.url or f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104
    if person:
        announce(f"{base}/login?once={login.once(person)}")
    app = create_app(runner, login=login)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=3, timeout_keep_alive=30, ws="none",
    )  # fmt: skip
    _Server(config, app.state.site).run()


class _Server(uvicorn.Server):
    """Tells open streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self.site = site

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.site.closing = True
        await super().shutdown(sockets)


def _version() -> str:
    try:
        return version("irkit")
    except PackageNotFoundError:
        return "0"
