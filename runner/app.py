"""The application: hooks, probes, API and pages over one runner."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from fastapi import FastAPI

from runner.service import Runner
from runner.web import api, assets, errors, files, hooks, live, login_pages, pages, probes
from runner.web.guard import Guard
from runner.web.login import Login
from runner.web.metrics import Metrics
from runner.web.render import Pages
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
    site = Site(runner, login, Metrics(runner), hooks.Gate(), Pages())
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
    for part in (hooks, probes, api, login_pages, pages, live, files, assets):
        app.include_router(part.router)
    url, listen = runner.config.server.url, runner.config.server.listen
    names = (urlsplit(url).hostname or "", urlsplit(f"//{listen}").hostname or "")
    app.add_middleware(Guard, hosts=names)
    return app


def _version() -> str:
    try:
        return version("irkit")
    except PackageNotFoundError:
        return "0"
