"""A runner, an application on it, and clients that are logged in or not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scene
import uvicorn
from clients import Client, Served
from fastapi import FastAPI

from runner.app import create_app
from runner.serve import _Uvicorn
from runner.service import Runner
from runner.web.login import Login


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """A runner that is not started."""
    for name, value in scene.environment().items():
        monkeypatch.setenv(name, value)
    made = scene.runner_in(tmp_path)
    yield made
    made.close()


@pytest.fixture
def login(runner: Runner) -> Login:
    """Where sessions are kept."""
    return Login(runner.clock)


@pytest.fixture
def app(runner: Runner, login: Login) -> FastAPI:
    """The application."""
    return create_app(runner, login=login)


@pytest.fixture
def stranger(app: FastAPI) -> Client:
    """A client that is not logged in."""
    return Client(app)


@pytest.fixture
def browser(app: FastAPI, login: Login) -> Callable[[str], Client]:
    """Gives a client that is logged in as a person."""

    def make(name: str) -> Client:
        client = Client(app)
        client.cookies.set("irkit", login.open(f"person:{name}"), domain="127.0.0.1")
        return client

    return make


@pytest.fixture
def program(app: FastAPI) -> Callable[[str], Client]:
    """Gives a client that shows a person's token."""
    return lambda name: Client(app, authorization=f"Bearer {scene.TOKENS[name]}")


@pytest.fixture
def served(app: FastAPI) -> Iterator[Served]:
    """A real server in a thread, on a port that the system chose."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="error", access_log=False, ws="none",
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    server = _Uvicorn(config, app)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def stop() -> None:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive(), "open streams kept the server from stopping"

    yield Served(f"http://127.0.0.1:{port}", stop)
    stop()
