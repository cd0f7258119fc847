"""The HTTP server around a runner: in the foreground for `irkit serve`, in a thread for a demo."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType

import uvicorn

from irkit.errors import ConfigError, IrkitError
from runner.app import create_app
from runner.service import Runner
from runner.web.login import Login

START_WITHIN = 20.0


def address(listen: str) -> tuple[str, int]:
    """Split `127.0.0.1:8400` into host and port.

    Raises:
        ConfigError: it is not an address and a port.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigError("not an address", on=f"server.listen: {listen!r}", next="use HOST:PORT")
    return host.strip("[]"), int(port)


def free_port() -> int:
    """A loopback port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Server:
    """Serves a runner's hooks, API and pages; `login` hands out one-time links.

    Raises:
        IrkitError: the address is in use or not ours.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner, self.login = runner, Login(runner.clock)
        host, port = address(runner.config.server.listen)
        try:
            self._socket = socket.create_server((host, port), backlog=2048)
        except OSError as why:
            raise IrkitError(
                f"cannot listen ({why.strerror})", on=runner.config.server.listen,
                next="choose another server.listen, or stop what uses it",
            ) from None  # fmt: skip
        port = self._socket.getsockname()[1]
        self.url = runner.config.server.url or f"http://{host}:{port}"
        config = uvicorn.Config(
            create_app(runner, login=self.login), log_level="warning", access_log=False,
            server_header=False, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def link(self, person: str) -> str:
        """A link that logs `person` in once."""
        return f"{self.url}/login?once={self.login.once(person)}"

    def run(self) -> None:
        """Serve until interrupted (SIGINT or SIGTERM)."""
        self._server.run(sockets=[self._socket])

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self.run, name="http", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_WITHIN
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise IrkitError("the HTTP server did not start", on=self.url)
            time.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        if self._thread:
            self._thread.join(5)
        self._socket.close()
