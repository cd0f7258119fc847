"""GET on a configured address: what is an answer, and what leads out."""

from __future__ import annotations

import pytest

from irkit.errors import LookFailed
from irkit.integrations.http_get import HttpGet, HttpReply
from irkit.model.look import Request
from irkit.testing.servers import Asked, Said, http_server


def look(path: str) -> Request:
    return Request(source="shop", op="get", arguments={"path": path})


def health(asked: Asked) -> Said:
    if asked.path == "/base/healthz?verbose=1":
        return Said(status=503, body=b'{"status":"down","version":"1.4.2"}')
    if asked.path == "/base":
        return Said(body=b"plain \xff text")
    return Said(status=404, body=b"x" * 5000)


def test_every_status_is_an_answer() -> None:
    with http_server(health) as url:
        source = HttpGet(type="http", url=f"{url}/base/", max_kb=1)
        told = {}
        for path in ("/healthz?verbose=1", "", "other"):
            reply = source.read(look(path), source.fetch(look(path)).body)
            assert isinstance(reply, HttpReply)
            assert reply.seconds > 0
            told[path] = (reply.status, reply.ok, reply.body)
        assert "HTTP 200" in source.probe()
    assert told == {
        "/healthz?verbose=1": (503, False, {"status": "down", "version": "1.4.2"}),
        "": (200, True, "plain \ufffd text"),
        "other": (404, False, "x" * 1024),
    }


@pytest.mark.parametrize(
    "path",
    [
        "/../x",
        "/a/../../x",
        "/%2e%2e/x",
        "/%252e%252e/x",
        "\\x",
        "/a b",
        "/a\r\nX: 1",
        "/a#b",
        "/é",
    ],
)
def test_a_path_leads_nowhere_else(path: str) -> None:
    with pytest.raises(LookFailed, match="below"):
        HttpGet(type="http", url="http://shop").fetch(look(path))


@pytest.mark.parametrize("path", ["http://evil/x", "//evil/x", "@evil/x", ":80@evil/x"])
def test_what_looks_like_another_host_is_a_path(path: str) -> None:
    asked: list[str] = []

    def answer(one: Asked) -> Said:
        asked.append(one.path)
        return Said()

    with http_server(answer) as url:
        HttpGet(type="http", url=url).fetch(look(path))
    assert asked == ["/" + path.lstrip("/")]
