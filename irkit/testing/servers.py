"""Real servers on loopback that answer as told: well, slowly, with nonsense, or not at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from irkit.model.base import Value

Bytes = bytes


class Asked(Value, frozen=True, kw_only=True):
    """A request as a server got it; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Bytes = b""


class Said(Value, frozen=True, kw_only=True):
    """What a server answers."""

    status: int = 200
    body: Bytes = b""
    headers: dict[str, str] = {}


@contextmanager
def http_server(answer: Callable[[Asked], Said]) -> Iterator[str]:
    """A server that answers each request with what the function says; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body leave in one packet

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length)
            said = answer(Asked(method=self.command, path=self.path, headers=headers, body=body))
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # the client may have had enough
                self.wfile.write(said.body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw_server(*, first: bytes = b"", then: bytes = b"", every: float = 0.05) -> Iterator[str]:
    """A server that sends `first` on each connection, then one byte of `then` every so often.

    With neither it accepts and stays silent.  With `first` alone it closes after it.
    """
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if first:
                connection.recv(65536)
                connection.sendall(first)
            for byte in then:
                if stop.wait(every):
                    return
                connection.sendall(bytes([byte]))
            if not first or then:
                stop.wait()

    def accept() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                threads.append(thread)
                thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        acceptor.join()
        for thread in threads:
            thread.join()
        listener.close()


@contextmanager
def no_server() -> Iterator[str]:
    """An address on which nobody listens, and nobody else will while it is held."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def bad_servers(shown_in: str = "authorization") -> Iterator[dict[str, str]]:
    """Addresses of servers that each do one thing wrong, by name.

    `echo` answers 401 and repeats the credential that it was shown; `drips` never ends its headers.
    """
    from contextlib import ExitStack

    def echo(asked: Asked) -> Said:
        return Said(status=401, body=f"no: {asked.headers.get(shown_in, '')}".encode())

    nonsense = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<html>nope\r\n"
    )
    with ExitStack() as stack:
        enter = stack.enter_context
        yield {
            "down": enter(no_server()),
            "silent": enter(raw_server()),
            "drips": enter(raw_server(first=b"HTTP/1.1 200 OK\r\n", then=b"X-A: " + b"a" * 4000)),
            "closes": enter(raw_server(first=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")),
            "not http": enter(raw_server(first=b"SSH-2.0-OpenSSH_9.2\r\n")),
            "web page": enter(raw_server(first=nonsense)),
            "echo": enter(http_server(echo)),
            "failing": enter(http_server(lambda _: Said(status=503, body=b"starting up"))),
            "elsewhere": enter(
                http_server(lambda _: Said(status=302, headers={"Location": "http://127.0.0.1:1/"}))
            ),
        }
