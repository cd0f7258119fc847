"""Help, typos, `init`, `check` and `route`; and what `main` makes of errors."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.cli import COMMANDS, main

if TYPE_CHECKING:
    from conftest import Type

IRKIT = str(Path(sysconfig.get_path("scripts")) / "irkit")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(
    tmp_path: Path, type_in: Type, command: str
) -> None:
    told = type_in(tmp_path, command, "--help")
    assert told.code == 0
    assert re.search(rf"Example:\n +(?:\S+ )*irkit .*{command}", told.out), told.out
    assert max(map(len, told.out.splitlines())) <= 80
    assert not list(tmp_path.iterdir())


def test_help_of_the_whole_is_quick_to_import(tmp_path: Path) -> None:
    code = "import sys; from runner.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    code += "\nprint(sorted({'pandas', 'dbos', 'sqlalchemy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"), [("chek", "check"), ("aprove", "approve"), ("incident", "incidents")]
)
def test_a_typo_is_answered_with_what_was_meant(
    tmp_path: Path, type_in: Type, typed: str, meant: str
) -> None:
    told = type_in(tmp_path, typed)
    assert told.code == 2
    assert f"Did you mean '{meant}'?" in told.err


def test_init_makes_what_check_and_route_are_content_with(tmp_path: Path, type_in: Type) -> None:
    told = type_in(tmp_path, "init", "mine")
    assert told.code == 0, told.err
    home = tmp_path / "mine"
    listed = {line.strip() for line in told.out.splitlines() if line.startswith("  ")}
    assert listed == {str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()}
    checked = type_in(home, "check")
    assert checked.code == 0, checked.out + checked.err
    assert "all is well" in checked.out
    routed = type_in(home, "route", "tests/alert.json")
    assert routed.code == 0, routed.err
    assert "runbook: my-error-rate" in routed.out
    assert "opens an incident" in routed.out
    (row,) = json.loads(type_in(home, "route", "tests/alert.json", "--json").out)
    assert row["steps"]
    again = type_in(tmp_path, "init", "mine")
    assert again.code == 2
    assert "the folder is not empty" in again.err


def test_check_names_every_mistake(tmp_path: Path, type_in: Type) -> None:
    (tmp_path / "irkit.yaml").write_text(
        "routes:\n"
        "  - {match: 'a=\"b\"', runbook: high-eror-rate}\n"
        "  - {runbook: high-error-rate, parameters: {sinse: 2h}}\n"
        "people: {ada: {token: 'env:NOT_SET_ANYWHERE'}}\n"
    )
    told = type_in(tmp_path, "check")
    assert told.code == 2
    assert "routes.0: no such runbook: high-eror-rate. did you mean 'high-error-rate'?" in told.err
    assert "routes.1:" in told.err
    assert "did you mean 'since'?" in told.err
    assert "people.ada: a secret is empty or not set: env:NOT_SET_ANYWHERE" in told.out
    assert "people.ada" in type_in(tmp_path, "check", "--connect").err
    assert "all is well" not in told.out


@pytest.mark.parametrize("content", ["[1", "- 1", "serve: {}", "server: {listen: 3}"])
def test_a_config_that_is_wrong(tmp_path: Path, type_in: Type, content: str) -> None:
    (tmp_path / "irkit.yaml").write_text(content)
    for command in (["check"], ["incidents"], ["serve"]):
        told = type_in(tmp_path, *command)
        assert told.code == 2, command
        assert "irkit.yaml" in told.err


def test_a_config_that_is_nowhere(tmp_path: Path, type_in: Type) -> None:
    told = type_in(tmp_path, "-c", "gone.yaml", "check")
    assert told.code == 2
    assert "irkit init" in told.err
    assert type_in(tmp_path, "incidents").code == 1, "no ledger here"
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_routed(tmp_path: Path, type_in: Type) -> None:
    (tmp_path / "alert.json").write_text("{")
    told = type_in(tmp_path, "route", "alert.json")
    assert told.code == 2
    assert "no hook can read it" in told.err
    assert type_in(tmp_path, "route", "gone.json").code == 2


def test_main_turns_errors_into_sentences_and_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IRKIT_DEBUG", raising=False)
    for args, code in ((["incidents"], 1), (["run", "none"], 3), (["nonsense"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(args)
        assert ended.value.code == code
        told = capsys.readouterr().err
        assert "rror: " in told
        assert "Traceback" not in told


def test_main_admits_a_defect_and_shows_it_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_args: object, **_named: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr("runner.cli.cli.main", broken)
    monkeypatch.delenv("IRKIT_DEBUG", raising=False)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1
    assert "a defect in irkit (ZeroDivisionError: surprise)" in capsys.readouterr().err
    monkeypatch.setenv("IRKIT_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main([])


def test_a_reader_that_has_had_enough(played: Path) -> None:
    done = subprocess.run(
        f"'{IRKIT}' show | head -n 1", shell=True, cwd=played, capture_output=True, text=True
    )
    assert done.stdout.startswith("IR-1")
    assert done.stderr == ""


def test_the_shop_runs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    home = tmp_path / "shop"
    log = tmp_path / "shop.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [IRKIT, "shop", "--home", str(home)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while "http://127.0.0.1:" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()
    import psutil

    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"])
            if any(str(home) in word for word in p.info["cmdline"] or [])]  # fmt: skip
    assert left == []
