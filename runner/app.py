"""The application: hooks, probes, API and pages over one runner."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from irkit.errors import IrkitError
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
    """Serve until a signal to stop; then return, so that the caller closes the runner.

    `runner` must be started.  Port 0 lets the system choose.  `announce` is given the address
    once it listens: for a `person` (such as `person:oncall`) a link that logs them in once.
    Addresses are not logged, for the link's token is in one.

    Raises:
        IrkitError: something else listens there, or the address is not this machine's.
    """
    login = login or Login(runner.clock)
    listening = _listen(host, port)
    app = create_app(runner, login=login)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, ws="none",
        timeout_graceful_shutdown=3, timeout_keep_alive=30,
    )  # fmt: skip
    base = runner.config.server.url.rstrip("/") or _address(host, listening.getsockname()[1])
    announce(f"{base}/login?once={login.once(person)}" if person else base)
    with listening, _stopping_is_no_error():
        _Server(config, app.state.site).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as why:
        raise IrkitError(
            f"cannot listen ({why.strerror})", on=f"{host}:{port}",
            next="stop what listens there, or set another server.listen",
        ) from None  # fmt: skip


def _address(host: str, port: int) -> str:
    """Where a person on this machine reaches it."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{name}:{port}"


@contextmanager
def _stopping_is_no_error() -> Iterator[None]:
    """The server raises the signal that stopped it once more when it has ended: it is spent."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.signal(s, lambda *_: None) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, known in before.items():
            signal.signal(number, known)


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
