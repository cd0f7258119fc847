"""What the shop says about itself can be read by those who read real systems."""

from __future__ import annotations

import http.client
import json
import os
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from runner.demo.shop import Shop
from runner.demo.shop.supervisor import MAX_LOG

NAMES = {"ts", "level", "service", "version", "request_id", "route", "code", "ms", "msg"}


def send(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def logged(shop: Shop) -> dict[str, list[dict[str, Any]]]:
    return {
        service: [
            json.loads(line)
            for line in (shop.home / f"logs/{service}.jsonl").read_bytes().splitlines()
        ]
        for service in shop.ports
    }


def test_metrics_have_the_promised_names(shop: Shop, until: Callable[..., None]) -> None:
    until(lambda: all(len(lines) > 30 for lines in logged(shop).values()))
    for service, port in shop.ports.items():
        _, text = send(port, "GET", "/metrics", {})
        families = {f.name: f for f in text_string_to_metric_families(text.decode())}
        requests = families["http_requests"].samples
        assert {sample.name for sample in requests} == {"http_requests_total"}
        assert {frozenset(sample.labels) for sample in requests} == {
            frozenset({"service", "route", "code", "version"})
        }
        (build,) = families["build_info"].samples
        assert build.labels["service"] == service
        seconds = families["http_request_duration_seconds"].samples
        count = sum(sample.value for sample in seconds if sample.name.endswith("_count"))
        assert count == sum(sample.value for sample in requests) > 0
        assert {s.labels["version"] for s in seconds} == {build.labels["version"]}


def test_logs_have_the_promised_fields_and_follow_a_request(shop: Shop) -> None:
    code, _ = send(shop.ports["frontend"], "POST", "/buy", {"X-Request-Id": "trace-me"})
    assert code in (200, 402)
    by_id = defaultdict(list)
    for service, lines in logged(shop).items():
        for line in lines:
            assert set(line) - {"error"} == NAMES
            assert line["service"] == service
            age = datetime.now(UTC) - datetime.fromisoformat(line["ts"])
            assert timedelta(0) <= age < timedelta(minutes=5)
            by_id[line["request_id"]].append((line["ms"], line["route"]))
    assert [route for _, route in sorted(by_id["trace-me"])] == ["/charges", "/orders", "/buy"]


def test_a_failing_release_is_faster_where_it_fails_and_asks_payments_less(
    shop: Shop, until: Callable[..., None]
) -> None:
    shop.deploy("checkout", "1.4.2")

    def orders(code: int) -> list[float]:
        return [
            line["ms"]
            for line in logged(shop)["checkout"]
            if (line["version"], line["route"], line["code"]) == ("1.4.2", "/orders", code)
        ]

    until(lambda: len(orders(500)) > 20 and len(orders(200)) > 20)
    failed, good = sorted(orders(500)), sorted(orders(200))
    assert failed[len(failed) // 2] < good[len(good) // 2]


def test_a_long_log_is_moved_away(shop: Shop, until: Callable[..., None]) -> None:
    log = shop.home / "logs/checkout.jsonl"
    os.truncate(log, MAX_LOG + 1)
    moved = log.with_name("checkout.jsonl.1")
    until(lambda: moved.exists() and log.exists() and log.stat().st_size > 0)
    assert moved.stat().st_size > MAX_LOG
    assert {line["service"] for line in logged(shop)["checkout"]} == {"checkout"}


def test_foreign_text_stays_out_of_labels_and_ids(shop: Shop) -> None:
    port = shop.ports["frontend"]
    assert send(port, "GET", "/<img src=x>".replace(" ", "%20"), {})[0] == 404
    assert send(port, "GET", "/", {"X-Request-Id": '"},{"level":"error'})[0] == 200
    assert send(port, "POST", "/buy", {"Content-Length": "99999999"})[0] == 413
    assert send(port, "POST", "/buy", {"Content-Length": "-1"})[0] == 413
    _, text = send(port, "GET", "/metrics", {})
    assert b"img" not in text
    assert b'code="404",route="other"' in text
    ids = {line["request_id"] for line in logged(shop)["frontend"]}
    assert all(name.replace("-", "").isalnum() for name in ids)
