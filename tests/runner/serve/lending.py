"""A service that is not the shop: a library lends books, and readers ask all the time.

    lending.py HOME PORT_FILE

`HOME/release` holds the version that runs; from 8.3 on a share of the loans fail.
"""

import contextlib
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import Counter, generate_latest

LOANS = Counter("library_loans", "Loans asked for.", ["outcome"])
HOME = Path(sys.argv[1])
FAILS_FROM, FAILS_EVERY = "8.3", 3
EVERY_SECONDS = 0.05


class Desk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self.answer(200, generate_latest())
            return
        number = int(self.path.rpartition("/")[2])
        bad = (HOME / "release").read_text() >= FAILS_FROM and number % FAILS_EVERY == 0
        LOANS.labels("refused" if bad else "lent").inc()
        self.answer(500 if bad else 200, b"the shelf is gone" if bad else b"lent")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def read_books(port: int) -> None:
    number = 0
    while True:
        number += 1
        with contextlib.suppress(urllib.error.HTTPError):  # a refusal is what is counted
            urllib.request.urlopen(f"http://127.0.0.1:{port}/loans/{number}").read()
        time.sleep(EVERY_SECONDS)


server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
threading.Thread(target=read_books, args=(server.server_port,), daemon=True).start()
Path(sys.argv[2]).write_text(str(server.server_port))
server.serve_forever()
