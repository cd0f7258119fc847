"""One running version of one service of the shop: HTTP in front of `business.serve`.

The supervisor owns the listening socket and hands it down, so that a deploy loses no connection:
the new version starts beside the old one, says "ready" on standard output, and begins to accept
when it reads "go" on standard input; the old one reads "drain", accepts no more, ends each
connection after its next answer, and leaves. End-of-file on standard input means the supervisor
is gone: leave at once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import socket
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from runner.demo.shop.business import ROUTES, Answer, CalleeFailed, serve
from runner.demo.shop.releases import CALLS, Release, find
from runner.demo.shop.telemetry import Telemetry

CALL_TIMEOUT = 2.0
"""Seconds a service waits for the next one."""
IDLE = 30.0
"""Seconds after which an idle connection is closed."""
LAST_ANSWERS = 3.0
"""Seconds a leaving version waits for its open connections to ask once more."""
MAX_BODY = 64 * 1024
REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


class Server(ThreadingHTTPServer):
    """An HTTP server on a socket that another process bound and shares between versions."""

    daemon_threads = True

    def __init__(
        self,
        listener: socket.socket,
        release: Release,
        telemetry: Telemetry,
        seed: str,
        callee: int,
    ) -> None:
        address = listener.getsockname()
        super().__init__(address, _Request, bind_and_activate=False)
        self.socket.close()
        # Both versions may wake for one connection; the one that comes late must not block.
        listener.setblocking(False)
        self.socket = listener
        self.release, self.telemetry, self.callee = release, telemetry, callee
        self.routes = {(r.method, r.path): r for r in ROUTES[release.service]}
        self.random = Random(seed)  # noqa: S311 - a made-up load, not a secret
        self.leaving = threading.Event()
        self._open = 0
        self._changed = threading.Condition()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept one connection, as a blocking socket."""
        connection, address = self.socket.accept()
        connection.setblocking(True)
        return connection, address

    def connections(self, change: int) -> None:
        """Count an opened (+1) or closed (-1) connection."""
        with self._changed:
            self._open += change
            self._changed.notify_all()

    def drain(self) -> None:
        """Accept no more, give the open connections their last answers, and return."""
        self.leaving.set()
        self.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: self._open == 0, timeout=LAST_ANSWERS)


class _Request(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one packet
    timeout = IDLE

    def setup(self) -> None:
        super().setup()
        self._callee: http.client.HTTPConnection | None = None
        self.server.connections(+1)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            if self._callee:
                self._callee.close()
            self.server.connections(-1)

    def log_message(self, format: str, *args: object) -> None:
        """The telemetry logs requests; nothing goes to standard error."""

    def do_GET(self) -> None:
        release = self.server.release
        if self.path == "/metrics":
            kind = "text/plain; version=0.0.4; charset=utf-8"
            self._reply(200, self.server.telemetry.exposition(), kind)
        elif self.path == "/healthz":
            health = {"status": "ok", "service": release.service, "version": release.version}
            self._reply(200, json.dumps(health).encode())
        else:
            self._answer()

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            self._reply(413, b'{"error": "body too long"}')
            return
        self.rfile.read(int(length))
        self._answer()

    def _answer(self) -> None:
        started = time.perf_counter()
        given = self.headers.get("X-Request-Id", "")
        self._request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex[:16]
        route = self.server.routes.get((self.command, self.path))
        if route is None:
            answer = Answer(code=404, msg="no such route")
        else:
            answer = serve(route, self.server.release.faults, self.server.random, self._call)
        self.server.telemetry.answered(
            request_id=self._request_id,
            route=route.path if route else "other",
            code=answer.code,
            seconds=time.perf_counter() - started,
            msg=answer.msg,
            error=answer.error,
        )
        body = {"code": answer.code, "request_id": self._request_id}
        self._reply(answer.code, json.dumps(body).encode())

    def _reply(self, code: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.leaving.is_set():
            self.close_connection = True
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _call(self, method: str, path: str) -> int:
        callee = CALLS[self.server.release.service]
        if self._callee is None:
            self._callee = http.client.HTTPConnection(
                "127.0.0.1", self.server.callee, timeout=CALL_TIMEOUT
            )
        try:
            return ask(self._callee, method, path, self._request_id)
        except (OSError, http.client.HTTPException) as error:
            self._callee.close()
            raise CalleeFailed(f"{type(error).__name__}: {callee} did not answer {path}") from error


def ask(connection: http.client.HTTPConnection, method: str, path: str, request_id: str) -> int:
    """Send one request over a kept connection and return the status code of the answer.

    A kept connection that the other side closed while it was idle is opened anew, once. Raises
    OSError or http.client.HTTPException when there is no answer.
    """

    def once() -> int:
        body = b"{}" if method == "POST" else None
        connection.request(method, path, body, {"X-Request-Id": request_id})
        response = connection.getresponse()
        response.read()
        return response.status

    if connection.sock is not None:
        try:
            return once()
        except ConnectionError:
            connection.close()
    return once()


def main() -> None:
    """Run one version until the supervisor says to drain, or is gone."""
    parser = argparse.ArgumentParser(prog="service", description=__doc__)
    parser.add_argument("service")
    parser.add_argument("version")
    parser.add_argument("--logs", type=Path, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--callee-port", type=int, default=0)
    parser.add_argument("--seed", required=True)
    given = parser.parse_args()

    server = Server(
        socket.socket(fileno=given.listen_fd),
        find(given.service, given.version),
        Telemetry(given.service, given.version, given.logs),
        given.seed,
        given.callee_port,
    )
    accepting = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    print("ready", flush=True)
    for command in sys.stdin:
        if command == "go\n":
            accepting.start()
        elif command == "drain\n":
            server.drain()
            break
    os._exit(0)  # whatever a request thread still does


if __name__ == "__main__":
    main()
