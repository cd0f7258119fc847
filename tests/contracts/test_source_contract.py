"""Every source, ours and the fake, against the same suite."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from irkit.integrations.git import Git
from irkit.integrations.history import History
from irkit.integrations.http_get import HttpGet
from irkit.integrations.jsonl_files import JsonlFiles
from irkit.integrations.prometheus import Prometheus
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.testing.contracts import SOURCE_CHECKS, SourceCase
from irkit.testing.fakes import FakeSource
from irkit.testing.servers import Asked, Said, bad_servers, http_server

TOKEN = "t0ken-that-nobody-may-see"
REPLIES = Path(__file__).parents[1] / "integrations" / "replies" / "prometheus"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WINDOW = Window.before(NOON, "1h")
SHORT = timedelta(seconds=0.4)


def look(op: str, **arguments: str | int) -> Request:
    return Request(source="it", op=op, arguments=arguments, window=WINDOW)


@contextmanager
def prometheus(tmp_path: Path) -> Iterator[SourceCase]:
    def answer(asked: Asked) -> Said:
        assert parse_qs(asked.body.decode())["query"]
        name = "query_range" if urlsplit(asked.path).path.endswith("range") else "query_vector"
        body = json.loads((REPLIES / f"{name}.json").read_text())["body"]
        return Said(body=json.dumps(body).encode())

    def at(url: str, timeout: timedelta = SHORT) -> Prometheus:
        return Prometheus(type="prometheus", url=url, token="env:IT_TOKEN", timeout=timeout)

    with http_server(answer) as url, bad_servers() as bad:
        yield SourceCase(
            source=at(url, timedelta(seconds=20)),
            requests=(look("range", query="up"), look("instant", query="up")),
            broken={name: at(one) for name, one in bad.items()},
            secrets=(TOKEN,),
        )


@contextmanager
def http(tmp_path: Path) -> Iterator[SourceCase]:
    def at(url: str, timeout: timedelta = SHORT) -> HttpGet:
        return HttpGet(type="http", url=url, token="env:IT_TOKEN", timeout=timeout)

    with http_server(lambda _: Said(body=b'{"status":"ok"}')) as url, bad_servers() as bad:
        no_answer = ("down", "silent", "drips", "closes", "not http")
        yield SourceCase(
            source=at(url, timedelta(seconds=20)),
            requests=(look("get", path="/healthz"),),
            broken={name: at(bad[name]) for name in no_answer},
            secrets=(TOKEN,),
        )


@contextmanager
def jsonl(tmp_path: Path) -> Iterator[SourceCase]:
    (tmp_path / "a.jsonl").write_text('{"ts":"2026-03-01T11:59:00Z","level":"error","msg":"x"}\n')
    yield SourceCase(
        source=JsonlFiles(type="jsonl", root=tmp_path),
        requests=(look("search", match='level="error"', limit=5),),
        broken={"no folder": JsonlFiles(type="jsonl", root=tmp_path / "none")},
        forgiving=True,
    )


@contextmanager
def history(tmp_path: Path) -> Iterator[SourceCase]:
    line = {"time": "2026-03-01T11:59:00Z", "service": "checkout", "version": "1.4.2"}
    (tmp_path / "deploys.jsonl").write_text(json.dumps(line) + "\n")
    yield SourceCase(
        source=History(type="history", path=tmp_path / "deploys.jsonl"),
        requests=(look("history", service="checkout"),),
        broken={
            "no file": History(type="history", path=tmp_path / "none"),
            "a folder": History(type="history", path=tmp_path),
        },
    )


@contextmanager
def git(tmp_path: Path) -> Iterator[SourceCase]:
    stamp = {
        "GIT_COMMITTER_DATE": "2026-03-01T11:59:00Z",
        "GIT_AUTHOR_DATE": "2026-03-01T11:59:00Z",
    }
    who = ["-c", "user.name=ci", "-c", "user.email=ci@example.com"]
    for words in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "one"]):
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **stamp}
        subprocess.run(["git", *words], cwd=tmp_path, env=environment, check=True)
    yield SourceCase(
        source=Git(type="git", path=tmp_path),
        requests=(look("history", service="checkout"),),
        broken={
            "no repository": Git(type="git", path=tmp_path / "none"),
            "no branch": Git(type="git", path=tmp_path, branch="nobody"),
        },
    )


@contextmanager
def fake(tmp_path: Path) -> Iterator[SourceCase]:
    yield SourceCase(
        source=FakeSource(get=lambda request: {"path": request.arguments["path"]}),
        requests=(look("get", path="/"),),
        broken={"down": FakeSource(get=lambda request: None, down=True)},
    )


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", [prometheus, http, jsonl, history, git, fake])
def test_source(case, check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IT_TOKEN", TOKEN)
    with case(tmp_path) as made:
        check(made)
