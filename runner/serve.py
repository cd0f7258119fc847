"""The HTTP server around a runner: in the foreground for `irkit serve`, in a thread for a demo."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import uvicorn
from fastapi import FastAPI

from irkit.errors import ConfigError, IrkitError
from runner.app import create_app
from runner.service import Runner
from runner.web.login import Login

START_WITHIN = 20.0
STOP_WITHIN = 10.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


def address(listen: str) -> tuple[str, int]:
    """Split `127.0.0.1:8400` into host and port.

    Raises:
        ConfigError: it is not an address and a port.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError("not an address", on=f"server.listen: {listen!r}", next="use HOST:PORT")
    return host.strip("[]"), int(port)


def free_port() -> int:
    """A loopback port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Server:
    """Serves a runner's hooks, API and pages; `link` gives one-time logins.

    It listens from the first moment on, and answers from `run`, or inside a `with` block.  `local`
    is its address on this machine, `url` how people reach it.  Port 0 lets the system choose.

    Raises:
        ConfigError: `server.listen` is not an address.
        IrkitError: something else listens there, or the address is not this machine's.

    Example:
        >>> with Server(runner) as server:                        # doctest: +SKIP
        ...     print(server.link("person:oncall"))
    """

    def __init__(self, runner: Runner, *, login: Login | None = None) -> None:
        self.login = login or Login(runner.clock)
        host, port = address(runner.config.server.listen)
        self._socket = _listening(host, port)
        host, port = _ANYWHERE.get(host, host), self._socket.getsockname()[1]
        self.local = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self.url = runner.config.server.url.rstrip("/") or self.local
        runner.runs.url = self.url  # what the cards in a notebook link to
        self.app = create_app(runner, login=self.login)
        # Addresses are not logged: the token of a one-time link is in one.
        config = uvicorn.Config(
            self.app, log_level="warning", access_log=False, server_header=False, ws="none",
            timeout_graceful_shutdown=3, timeout_keep_alive=30,
        )  # fmt: skip
        self._server = _Uvicorn(config, self.app)
        self._thread: threading.Thread | None = None

    def link(self, person: str) -> str:
        """A link that logs `person` in, once."""
        return f"{self.url}/login?once={self.login.once(person)}"

    def run(self) -> None:
        """Serve until SIGINT or SIGTERM; then return, so that the caller closes the runner."""
        with self._socket, _stopping_is_no_error():
            self._server.run(sockets=[self._socket])

    def close(self) -> None:
        """Stop listening; harmless when it is done."""
        self._server.should_exit = True
        if self._thread:
            self._thread.join(STOP_WITHIN)
        self._socket.close()

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self.run, name="http", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_WITHIN
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.close()
                raise IrkitError(
                    "the HTTP server did not start", on=self.local, next="look at its log"
                )
            time.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Uvicorn(uvicorn.Server):
    """Tells open streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.site.closing = True
        await super().shutdown(sockets)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as why:
        known = why.errno if not isinstance(why, socket.gaierror) else None
        text = os.strerror(known) if known else (why.strerror or str(why))
        raise IrkitError(
            f"cannot listen ({text.lower()})", on=f"{host}:{port}",
            next="stop what listens there, or set another server.listen",
        ) from None  # fmt: skip


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
