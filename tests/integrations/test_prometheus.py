"""Prometheus: pure request building, recorded replies, and the real server on back-filled data."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from irkit.errors import LookFailed
from irkit.integrations.prometheus import MAX_POINTS, Prometheus, choose_step, range_form
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.testing.servers import Asked, Said, http_server

REPLIES = Path(__file__).parent / "replies" / "prometheus"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ODD = 'a"b\\c\nd{}é'


def ask(query: str, window: Window | None = None, op: str = "instant", **more: object) -> Request:
    return Request(source="prom", op=op, arguments={"query": query, **more}, window=window)


@given(
    length=st.timedeltas(timedelta(0), timedelta(days=4000)),
    wanted=st.none() | st.timedeltas(timedelta(milliseconds=1), timedelta(days=40)),
    start=st.floats(1e9, 2e9).map(lambda stamp: datetime.fromtimestamp(stamp, UTC)),
)
def test_a_window_never_makes_more_points_than_prometheus_allows(
    length: timedelta, wanted: timedelta | None, start: datetime
) -> None:
    window = Window(start=start, end=start + length)
    step = choose_step(window, wanted)
    form = range_form("up", window, step)
    first, last, each = (round(float(form[k]) * 1000) for k in ("start", "end", "step"))
    assert (last - first) % each == 0
    assert (last - first) // each + 1 <= MAX_POINTS
    assert last == round(window.end.timestamp() * 1000)
    assert 0 <= first - round(window.start.timestamp() * 1000) < each
    if wanted is not None and length / wanted < MAX_POINTS - 2:
        assert abs(step - wanted) <= timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("window", "seconds"), [("90m", 30), ("1h", 15), ("5m", 2), ("1d", 600), ("4w", 21600)]
)
def test_the_step_is_round_by_default(window: str, seconds: int) -> None:
    assert choose_step(Window.before(NOON, window)) == timedelta(seconds=seconds)


@pytest.mark.parametrize("step", [0, -1, True, "soon", "0s", float("nan"), float("inf"), []])
def test_a_step_that_is_none_is_a_failed_look(step: object) -> None:
    request = ask("up", Window.before(NOON, "1h"), "range", step=step)
    with pytest.raises(LookFailed, match="step"):
        Prometheus(type="prometheus", url="http://prom").fetch(request)


def recorded(name: str) -> httpx.MockTransport:
    reply = json.loads((REPLIES / f"{name}.json").read_text())
    body = reply["body"]
    text = body if isinstance(body, str) else json.dumps(body)
    return httpx.MockTransport(lambda _: httpx.Response(reply["status"], text=text))


@pytest.mark.parametrize(
    ("name", "words", "retryable"),
    [
        ("parse_error", "bad_data", False),
        ("missing_query", "bad_data", False),
        ("exec_error", "execution", False),
        ("range_11001", "11,000 points", False),
        ("not_found", "404", False),
    ],
)
def test_the_servers_own_words_are_kept(name: str, words: str, retryable: bool) -> None:
    prometheus = Prometheus(type="prometheus", url="http://prom").over(recorded(name))
    with pytest.raises(LookFailed, match=words) as failure:
        prometheus.fetch(ask("sum("))
    assert failure.value.retryable is retryable
    assert failure.value.on.startswith("prom/api/v1/")


@pytest.mark.parametrize(
    ("status", "body", "retryable"),
    [
        (503, '{"status":"error","errorType":"timeout","error":"query timed out"}', True),
        (422, '{"status":"error","errorType":"422","error":"cannot parse"}', False),
        (429, "slow down", True),
        (502, "<html>bad gateway</html>", True),
        (401, "no", False),
        (200, '{"status":"error","errorType":"internal","error":"x"}', True),
        (200, "<html>login</html>", False),
        (200, "", False),
    ],
)
def test_what_may_pass_is_retryable(status: int, body: str, retryable: bool) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(status, text=body))
    with pytest.raises(LookFailed) as failure:
        Prometheus(type="prometheus", url="http://prom").over(answer).fetch(ask("up"))
    assert failure.value.retryable is retryable


def test_credentials_and_tenant_are_shown_and_queries_are_posted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PROM_PASSWORD", "s3cret")
    asked: list[Asked] = []

    def answer(request: Asked) -> Said:
        asked.append(request)
        empty = b'{"status":"success","data":{"resultType":"vector","result":[]}}'
        return Said(body=empty)

    with http_server(answer) as url:
        prometheus = Prometheus(
            type="prometheus",
            url=url + "/tenant/",
            username="irkit",
            password="env:PROM_PASSWORD",
            headers={"X-Scope-OrgID": "shop"},
        )
        window = Window.before(NOON, "5m")
        prometheus.fetch(ask("up", window, "range", step="10s"))
        prometheus.fetch(ask("up", window))
    first, second = asked
    assert (first.method, first.path) == ("POST", "/tenant/api/v1/query_range")
    assert first.headers["authorization"] == "Basic aXJraXQ6czNjcmV0"
    assert first.headers["x-scope-orgid"] == "shop"
    assert first.headers["user-agent"].startswith("irkit/")
    form = parse_qs(first.body.decode())
    assert form["step"] == ["10.000"]
    assert form["timeout"] == ["9500ms"]
    assert parse_qs(second.body.decode())["time"] == [f"{NOON.timestamp():.3f}"]


@pytest.mark.parametrize(
    "url",
    ["prom:9090", "ftp://prom", "http://", "http://a:b@prom", "http://prom?x=1", "http://p:x"],
)
def test_an_address_is_http_and_holds_no_secret(url: str) -> None:
    with pytest.raises(ValidationError, match="address"):
        Prometheus(type="prometheus", url=url)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(LookFailed):
        Prometheus.read(ask("up"), body)


# The real server, from here on.

MINUTES = 90


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's Prometheus with 90 minutes of series up to noon, one sample each 15 seconds."""
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        pytest.fail("the tests need Prometheus: apt-get install prometheus")
    home = tmp_path_factory.mktemp("prometheus")
    label = ODD.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    lines = ["# TYPE shop_requests counter"]
    start = NOON.timestamp() - MINUTES * 60
    for at in range(MINUTES * 4 + 1):
        stamp = start + at * 15
        lines.append(f'shop_requests_total{{service="checkout",code="200"}} {at * 100} {stamp}')
        lines.append(f'shop_requests_total{{service="checkout",code="500"}} {at * 5} {stamp}')
    lines += ["# TYPE odd gauge"]
    lines += [f'odd{{name="{label}"}} NaN {start + at * 15}' for at in range(MINUTES * 4 + 1)]
    (home / "series.txt").write_text("\n".join([*lines, "# EOF"]) + "\n")
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "series.txt", "data"],
        cwd=home,
        check=True,
        capture_output=True,
    )
    (home / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            cwd=home,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while True:
        with suppress(httpx.TransportError):  # it does not listen yet
            if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                break
        assert process.poll() is None, (home / "log").read_text()[-2000:]
        assert time.monotonic() < deadline, (home / "log").read_text()[-2000:]
        time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(10)


def test_real_range(server: str) -> None:
    prometheus = Prometheus(type="prometheus", url=server)
    request = ask(
        'rate(shop_requests_total{service="checkout"}[5m])', Window.before(NOON, "1h"), "range"
    )
    matrix = prometheus.read(request, prometheus.fetch(request).body)
    assert {labels["code"] for labels in matrix.labels} == {"200", "500"}
    assert len(matrix.frame) == 241
    assert matrix.frame.index[-1] == NOON
    assert matrix.frame.iloc[-1].max() == pytest.approx(100 / 15)


def test_real_range_with_a_step_that_would_make_too_many_points(server: str) -> None:
    prometheus = Prometheus(type="prometheus", url=server)
    request = ask("shop_requests_total", Window.before(NOON, "90m"), "range", step="1ms")
    matrix = prometheus.read(request, prometheus.fetch(request).body)
    assert MAX_POINTS * 0.9 < len(matrix.frame) <= MAX_POINTS


def test_real_instant(server: str) -> None:
    prometheus = Prometheus(type="prometheus", url=server)
    request = ask("sum(shop_requests_total)", Window.before(NOON, "0s"))
    matrix = prometheus.read(request, prometheus.fetch(request).body)
    assert matrix.frame.iloc[0, 0] == MINUTES * 4 * 105


def test_real_quoting_reaches_the_odd_label(server: str) -> None:
    prometheus = Prometheus(type="prometheus", url=server)
    request = ask(f'odd{{name="{prometheus.quote(ODD)}"}}', Window.before(NOON, "0s"))
    matrix = prometheus.read(request, prometheus.fetch(request).body)
    assert [labels["name"] for labels in matrix.labels] == [ODD]


@pytest.mark.parametrize("value", ['"} or vector(1) #', "\x00\x01\x7f", "日本\ud800", "\\", "a\tb"])
def test_real_quoting_lets_nothing_out(server: str, value: str) -> None:
    prometheus = Prometheus(type="prometheus", url=server)
    request = ask(f'odd{{name="{prometheus.quote(value)}"}}', Window.before(NOON, "0s"))
    assert prometheus.read(request, prometheus.fetch(request).body).labels == ()


def test_real_errors_and_probe(server: str) -> None:
    prometheus = Prometheus(type="prometheus", url=server)
    with pytest.raises(LookFailed, match="parse error"):
        prometheus.fetch(ask("sum("))
    with pytest.raises(LookFailed, match="many-to-many"):
        prometheus.fetch(
            ask("shop_requests_total * on(service) shop_requests_total", Window.before(NOON, "0s"))
        )
    assert "answers queries" in prometheus.probe()
