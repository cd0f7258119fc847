"""A small source that counts what it is asked."""

import json
from datetime import UTC, datetime

import pytest

from irkit.clock import SetClock
from irkit.errors import LookFailed
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.ports import Raw

NOW = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)


class Counting:
    """Answers each question differently each time, and remembers what it was asked."""

    ops = ("range", "search")
    type = "counting"

    def __init__(self):
        self.asked = []

    def fetch(self, request):
        self.asked.append(request)
        query = request.arguments.get("query", "")
        if query == "down":
            raise LookFailed("it is down", on=request.source, next="wait", retryable=True)
        if query == "defect":
            raise KeyError("token=hunter2-hunter2")
        body = {"answer": len(self.asked), "query": query, "token": "hunter2-hunter2"}
        return Raw(body=json.dumps(body).encode())

    @staticmethod
    def read(request, body):
        return json.loads(body)

    def probe(self):
        return "it counts"


@pytest.fixture(scope="session")
def now():
    return NOW


@pytest.fixture
def clock():
    return SetClock(NOW)


@pytest.fixture(scope="session")
def new_source():
    return Counting


@pytest.fixture
def source():
    return Counting()


@pytest.fixture(scope="session")
def ask():
    def request(query="up", op="range", source="prom", **arguments):
        window = Window.before(NOW, "90m")
        return Request(source=source, op=op, arguments={"query": query, **arguments}, window=window)

    return request
