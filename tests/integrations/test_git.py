"""Git as deploy history, on real repositories."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from irkit.errors import LookFailed
from irkit.integrations.git import Git
from irkit.model.look import Request
from irkit.model.window import Window

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ODD = "fix $(touch pwned) `id` \x1b[31m\t\"quotes' é"


def git(repository: Path, minutes: int, *words: str) -> None:
    at = (NOON + timedelta(minutes=minutes)).isoformat()
    environment = {
        "PATH": "/usr/bin:/bin:/usr/local/bin",
        "HOME": str(repository),
        "GIT_COMMITTER_DATE": at,
        "GIT_AUTHOR_DATE": at,
    }
    who = ["-c", "user.name=Release Bot", "-c", "user.email=ci@example.com"]
    subprocess.run(["git", *who, *words], cwd=repository, env=environment, check=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, -300, "init", "-q", "-b", "main")
    for minutes, folder, message in [
        (-300, "checkout", "first"),
        (-90, "checkout", "tax tables"),
        (-40, "payments", "cards"),
        (-5, "checkout", ODD),
    ]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "code.py").write_text(message)
        git(tmp_path, minutes, "add", folder)
        git(tmp_path, minutes, "commit", "-q", "-m", message, "-m", "a longer text")
    git(tmp_path, -80, "tag", "v1.4.1", "HEAD~2")
    git(tmp_path, -4, "tag", "-a", "v1.4.2", "-m", "release 1.4.2")
    git(tmp_path, -3, "tag", "nightly")
    return tmp_path


def look(service: str = "") -> Request:
    return Request(
        source="repo",
        op="history",
        arguments={"service": service},
        window=Window.before(NOON, "2h"),
    )


def test_commits_of_a_branch(repository: Path) -> None:
    source = Git(type="git", path=repository, branch="main")
    deploys = source.read(look("checkout"), source.fetch(look("checkout")).body)
    assert [d.message for d in deploys] == ["tax tables", "cards", ODD]
    newest = deploys[-1]
    assert newest.time == NOON - timedelta(minutes=5)
    assert newest.previous == deploys[-2].version
    assert newest.commit.startswith(newest.version)
    assert (newest.service, newest.by, newest.source) == ("checkout", "Release Bot", "repo")
    assert "main" not in source.probe()


def test_a_services_own_paths(repository: Path) -> None:
    services = {"checkout": ["checkout"], "payments": ["payments"], "none": ["*"]}
    source = Git(type="git", path=repository, services=services)
    told = {
        service: [d.message for d in source.read(look(service), source.fetch(look(service)).body)]
        for service in ("checkout", "payments", "none", "unknown")
    }
    assert told == {
        "checkout": ["tax tables", ODD],
        "payments": ["cards"],
        "none": [],  # a path is a path, not a pattern
        "unknown": [],
    }


def test_tags(repository: Path) -> None:
    source = Git(type="git", path=repository, tags="v*")
    older, newest = source.read(look(), source.fetch(look()).body)
    assert (older.version, older.previous, older.message) == ("v1.4.1", "", "tax tables")
    assert (newest.version, newest.previous) == ("v1.4.2", "v1.4.1")
    assert (newest.message, newest.by) == ("release 1.4.2", "Release Bot")
    assert newest.time == NOON - timedelta(minutes=4)


def test_the_repositorys_own_config_runs_nothing(repository: Path) -> None:
    script = repository / "run-me"
    script.write_text(f"#!/bin/sh\ntouch {repository}/pwned\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "core.pager", "gpg.program", "core.sshCommand", "diff.external"):
        git(repository, 0, "config", key, str(script))
    git(repository, 0, "config", "log.showSignature", "true")
    source = Git(type="git", path=repository)
    assert len(source.read(look(), source.fetch(look()).body)) == 3
    assert not (repository / "pwned").exists()


@pytest.mark.parametrize("name", ["--output=x", "-n1", "a\nb"])
def test_a_branch_is_no_option(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError):
        Git(type="git", path=tmp_path, branch=name)


def test_a_folder_without_a_repository(tmp_path: Path) -> None:
    with pytest.raises(LookFailed, match="not a git repository"):
        Git(type="git", path=tmp_path).fetch(look())


def test_a_git_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "git"
    hanging.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LookFailed, match="did not end within") as failure:
        Git(type="git", path=tmp_path, timeout=timedelta(seconds=1)).fetch(look())
    assert failure.value.retryable
