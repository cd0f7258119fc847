"""The deploy-script target against the demo shop: real services, a real deploy script."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx

from irkit.integrations.history import History
from irkit.integrations.http_get import HttpGet
from irkit.integrations.script import Script
from irkit.model.look import Request
from irkit.model.window import Window, parse_rfc3339
from irkit.testing.contracts import TARGET_CHECKS, TargetCase
from runner.demo.shop import Shop

SOURCE = Path(__file__).parents[2]


def deploy_target(home: Path) -> Script:
    command = [sys.executable, "-m", "runner.demo.shop.deploy"]
    where = ["--home", str(home)]
    return Script(
        type="script",
        apply=[
            *command,
            *("{service}", "{version}", "--expect", "{current}"),
            *("--key", "{key}", "--by", "{by}", "--reason", "{reason}"),
            *where,
        ],
        plan=[*command, "{service}", "{version}", "--plan", *where],
        history=home / "deploys.jsonl",
        folder=SOURCE,
        unsure_exit_codes=[4],
    )


def test_the_shop_is_rolled_back_once(tmp_path: Path) -> None:
    with Shop(tmp_path, 7) as shop:

        def running() -> str:
            answer = httpx.get(
                f"http://127.0.0.1:{shop.ports['checkout']}/healthz", trust_env=False
            )
            return answer.json()["version"]

        for check in TARGET_CHECKS:
            shop.deploy("checkout", "1.4.2")
            assert running() == "1.4.2"
            count = len(shop.history())
            case = TargetCase(
                target=deploy_target(tmp_path),
                action="rollback",
                service="checkout",
                arguments={"to": "previous"},
                state=running,
                key=check.__name__,
                changes=lambda count=count: len(shop.history()) - count,
            )
            check(case)
        source = History(type="history", path=tmp_path / "deploys.jsonl")
        newest = shop.history()[-1]
        window = Window.before(parse_rfc3339(newest["time"]), "1h")
        request = Request(
            source="deploys", op="history", arguments={"service": "checkout"}, window=window
        )
        deploys = source.read(request, source.fetch(request).body)
        assert deploys[-1].version == newest["version"]
        assert "run:R1" in {deploy.by for deploy in deploys}
        health = HttpGet(type="http", url=f"http://127.0.0.1:{shop.ports['checkout']}")
        look = Request(source="shop", op="get", arguments={"path": "/healthz"})
        assert health.read(look, health.fetch(look).body).body["version"] == running()
