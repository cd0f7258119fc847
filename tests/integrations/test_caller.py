"""The HTTP caller: limits on time and size, and no secret in any error."""

from __future__ import annotations

import gzip
import traceback

import pytest

from irkit.errors import LookFailed
from irkit.http import Caller, said_by, status_failure
from irkit.testing.servers import Asked, Said, http_server, raw_server

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


def test_a_body_that_drips_is_given_up() -> None:
    with (
        raw_server(first=HEAD, then=b"x" * 1000) as url,
        pytest.raises(LookFailed, match=r"within 0\.3 s") as failure,
    ):
        Caller(timeout=0.3).call("GET", url)
    assert failure.value.retryable


def test_after_giving_up_the_next_call_works() -> None:
    caller = Caller(timeout=1)
    with raw_server() as silent, pytest.raises(LookFailed):
        caller.call("GET", silent)
    with http_server(lambda _: Said(body=b"ok")) as url:
        assert caller.call("GET", url).body == b"ok"


@pytest.mark.parametrize("packed", [False, True])
def test_a_large_answer_is_not_read_to_its_end(packed: bool) -> None:
    body = b"x" * (3 << 20)
    said = Said(body=body)
    if packed:
        said = Said(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    with (
        http_server(lambda _: said) as url,
        pytest.raises(LookFailed, match="larger than 1 MB") as failure,
    ):
        Caller(max_bytes=1 << 20).call("GET", f"{url}/a?token=hidden")
    assert "hidden" not in str(failure.value)
    assert failure.value.on.endswith("/a")


def test_connections_are_kept_and_proxies_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    asked: list[Asked] = []

    def answer(one: Asked) -> Said:
        asked.append(one)
        return Said(body=b"ok")

    with http_server(answer) as url:
        caller = Caller()
        for _ in range(3):
            assert caller.call("GET", url).status == 200
    assert len(asked) == 3


@pytest.mark.parametrize("secret", ["s3cret\r\nX-Evil: 1", "s3crét\u20ac", "s3cret\x00"])
def test_a_secret_that_is_no_header_is_not_told(secret: str) -> None:
    with http_server(lambda _: Said()) as url, pytest.raises(LookFailed) as failure:
        Caller().call("GET", url, headers={"Authorization": f"Bearer {secret}"})
    told = "".join(traceback.format_exception(failure.value))
    assert "s3cr" not in told


def test_a_status_says_what_to_mend() -> None:
    status = {"code": 200}
    with http_server(lambda _: Said(status=status["code"], body=b"because")) as url:
        caller = Caller()
        for code, word, retryable in [
            (401, "credential", False),
            (404, "HTTP 404", False),
            (302, "points elsewhere", False),
            (429, "HTTP 429", True),
            (503, "HTTP 503 (because)", True),
        ]:
            status["code"] = code
            failure = status_failure(caller.call("GET", url))
            assert word in str(failure)
            assert failure.retryable is retryable


def test_a_servers_words_are_one_short_clean_line() -> None:
    assert said_by(b"no\r\n\x1b[31mway  ") == "no [31mway"
    assert said_by(b"  <html>") == "a web page"
    assert said_by(b"a token t0k again t0k", secrets=["t0k"]) == (
        "a token [secret removed] again [secret removed]"
    )
    assert len(said_by(b"x" * 5000)) == 300
