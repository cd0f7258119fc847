"""The customers of the shop: a steady, slightly uneven stream of requests to the frontend.

Arrivals do not wait for answers, so that a slow shop is asked as often as a fast one. Every few
seconds one line goes to `load.jsonl`: `ts`, `sent`, `codes` (answers by status code), `unanswered`
(requests that got no answer at all, with the first error).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

from irkit.clock import SystemClock
from runner.demo.shop.history import stamp
from runner.demo.shop.lifeline import starter_is_gone
from runner.demo.shop.service import ask

MIX = {("GET", "/"): 3, ("GET", "/cart"): 2, ("POST", "/buy"): 5}
"""What customers do, of ten requests."""
CUSTOMERS = 8
WAITING = 200
"""Requests that may wait for a free customer before new ones are given up."""
REPORT = 2.0
"""Seconds between two lines of the report."""
TIMEOUT = 5.0


class Load:
    """Sends requests to the frontend on `port`, 22 to 28 a second as the seed says."""

    def __init__(self, port: int, seed: int, report: Path) -> None:
        self._port, self._report = port, report
        self._random = Random(f"load {seed}")  # noqa: S311 - a made-up load, not a secret
        self._rate = self._random.uniform(22, 28)
        self._asked: queue.Queue[tuple[str, str, str]] = queue.Queue(WAITING)
        self._lock = threading.Lock()
        self._codes: Counter[str] = Counter()
        self._unanswered: list[str] = []
        self._clock = SystemClock()

    def run(self) -> None:
        """Send until the process that started this one is gone."""
        parent = os.getppid()
        for _ in range(CUSTOMERS):
            threading.Thread(target=self._customer, daemon=True).start()
        requests, weights = list(MIX), list(MIX.values())
        due = last_report = time.monotonic()
        while not starter_is_gone(parent, max(0.0, due - time.monotonic())):
            due += self._random.uniform(0.5, 1.5) / self._rate
            method, path = self._random.choices(requests, weights)[0]
            try:
                self._asked.put_nowait((method, path, f"{self._random.getrandbits(64):016x}"))
            except queue.Full:
                self._gave_up("no free customer")
            if due - last_report > REPORT:
                self._write_report()
                last_report = due

    def _customer(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT)
        while True:
            method, path, request_id = self._asked.get()
            try:
                code = ask(connection, method, path, request_id)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._gave_up(f"{type(error).__name__} on {path}")
            else:
                with self._lock:
                    self._codes[str(code)] += 1

    def _gave_up(self, why: str) -> None:
        with self._lock:
            self._unanswered.append(why)

    def _write_report(self) -> None:
        with self._lock:
            codes, self._codes = self._codes, Counter()
            unanswered, self._unanswered = self._unanswered, []
        line = {
            "ts": stamp(self._clock.now()),
            "sent": codes.total() + len(unanswered),
            "codes": codes,
            "unanswered": len(unanswered),
            "error": unanswered[0] if unanswered else "",
        }
        with self._report.open("ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")


def main() -> None:
    """Run the load until the supervisor is gone."""
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args()
    Load(given.port, given.seed, given.report).run()
    os._exit(0)  # customers may still wait for an answer


if __name__ == "__main__":
    main()
