"""approvals, approve, deny, ack, note, resolve: by the right person, at no runner and at one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import scene

from irkit.clock import SystemClock
from irkit.config import load
from runner.serve import Server
from runner.service import Runner

if TYPE_CHECKING:
    from conftest import Type

ADA, BEN, EVE = (scene.TOKENS[name] for name in ("ada", "ben", "eve"))
PLAN = "P-1a2b3c4d"


def events(home: Path, type_in: Type) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(type_in(home, "show", "--json").out)["events"]
    return found


def also_planned(home: Path, **changes: Any) -> None:
    """Another plan that waits, made while no runner is running."""
    runner = scene.runner_in(home, clock=SystemClock())  # type: ignore[arg-type]
    try:
        scene.planned(runner, "IR-1", **changes)
    finally:
        runner.close()


def test_the_card_says_what_the_approver_must_know(waiting: Path, type_in: Type) -> None:
    text = type_in(waiting, "approvals").out
    for label in ("change", "reach", "why", "against", "gaps", "undo", "decides", "expires"):
        assert f"\n{label} " in text, label
    assert PLAN in text
    assert "ada, ben" in text
    (found,) = json.loads(type_in(waiting, "approvals", "--json").out)
    assert found["id"] == PLAN
    assert found["hash"][:16] in text


def test_approving_without_a_runner(waiting: Path, type_in: Type) -> None:
    told = type_in(waiting, "approve", PLAN, "--yes", "--note", "go", token=ADA)
    assert told.code == 0, told.err
    assert f"{PLAN}: approved" in told.out
    assert "it is applied when `irkit serve` starts" in told.out
    assert events(waiting, type_in)[-1]["kind"] == "approval.given"
    assert events(waiting, type_in)[-1]["by"] == "person:ada"
    again = type_in(waiting, "approve", PLAN, "--yes", token=BEN)
    assert again.code == 5
    assert "Traceback" not in again.err


def test_the_first_of_two_approvals_is_not_enough_and_says_so(waiting: Path, type_in: Type) -> None:
    also_planned(waiting, id="P-two", key="k2", approvals_needed=2)
    told = type_in(waiting, "approve", "P-two", "--yes", token=ADA)
    assert told.code == 0, told.err
    assert told.out.endswith("P-two: 1 of 2 approvals given, one more is needed\n")
    told = type_in(waiting, "approve", "P-two", "--yes", token=BEN)
    assert told.code == 0, told.err
    assert "P-two: approved (2 of 2)\nno runner is running" in told.out


def test_denying_without_a_runner(waiting: Path, type_in: Type) -> None:
    told = type_in(waiting, "deny", PLAN, "--yes", "--note", "the cause is elsewhere", token=BEN)
    assert told.code == 0, told.err
    assert f"{PLAN}: denied" in told.out
    assert "is applied when" not in told.out
    assert type_in(waiting, "approvals").out == "nothing waits for a decision\n"


@pytest.mark.parametrize(
    ("token", "code", "text"),
    [
        ("token-of-nobody", 5, "the token is nobody's"),
        (EVE, 5, "eve"),
        ("", 2, "set IRKIT_TOKEN or give --token-file"),
    ],
)
def test_the_wrong_person_decides_nothing(
    waiting: Path, type_in: Type, token: str, code: int, text: str
) -> None:
    before = len(events(waiting, type_in))
    told = type_in(waiting, "approve", PLAN, "--yes", token=token)
    assert told.code == code, told.err
    assert text in told.err
    assert not token or token not in told.err + told.out
    assert len(events(waiting, type_in)) == before


def test_who_asked_for_it_cannot_approve_it(waiting: Path, type_in: Type) -> None:
    runner = scene.runner_in(waiting)
    try:
        scene.planned(runner, "IR-1", id="P-adas", key="k2", requester="person:ada")
    finally:
        runner.close()
    told = type_in(waiting, "approve", "P-adas", "--yes", token=ADA)
    assert told.code == 5
    assert "P-adas: approved" not in told.out
    assert [e["kind"] for e in events(waiting, type_in)].count("approval.given") == 0


def test_a_yes_is_needed_and_there_is_nobody_to_give_it(waiting: Path, type_in: Type) -> None:
    told = type_in(waiting, "approve", PLAN, token=ADA)
    assert told.code == 2
    assert "add --yes, or use a terminal" in told.err


def test_a_plan_that_is_none(waiting: Path, type_in: Type) -> None:
    told = type_in(waiting, "deny", "P-none", "--yes", token=ADA)
    assert told.code == 3
    assert "list them with: irkit approvals" in told.err


def test_a_token_from_a_file(waiting: Path, type_in: Type, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(BEN + "\n")
    told = type_in(waiting, "ack", "IR-1", "--token-file", str(file), token=EVE)
    assert told.code == 0, told.err
    assert events(waiting, type_in)[-1]["by"] == "person:ben"
    gone = type_in(waiting, "ack", "IR-1", "--token-file", str(tmp_path / "gone"))
    assert gone.code == 2
    assert "cannot read a secret" in gone.err


def test_taking_noting_and_closing(waiting: Path, type_in: Type) -> None:
    assert type_in(waiting, "ack", "IR-1", "--note", "on it", token=ADA).code == 0
    assert type_in(waiting, "note", "IR-1", f"my token is {ADA}", token=ADA).code == 0
    assert type_in(waiting, "resolve", "IR-1", "--why", "a test", token=ADA).code == 0
    told = events(waiting, type_in)
    assert [e["kind"] for e in told][-3:] == [
        "incident.acknowledged", "note.written", "incident.resolved",
    ]  # fmt: skip
    assert ADA not in told[-2]["text"]
    for command in (["ack"], ["note", "hello"], ["resolve"]):
        gone = type_in(waiting, command[0], "IR-9", *command[1:], token=ADA)
        assert gone.code == 3, command


def test_through_a_running_runner(waiting: Path, type_in: Type) -> None:
    (waiting / "irkit.yaml").write_text(
        scene.CONFIG.replace("server: {", "server: {listen: '127.0.0.1:0', ")
    )
    also_planned(waiting, id="P-second", key="k2")
    runner = Runner(load(waiting / "irkit.yaml"))  # it holds the ledger; nothing is under way
    try:
        with Server(runner) as server:
            import os

            place = {"url": server.local, "process": os.getpid()}
            (waiting / "storage" / "server.json").write_text(json.dumps(place))
            assert type_in(waiting, "approve", PLAN, "--yes", token=EVE).code == 5
            assert type_in(waiting, "approve", PLAN, "--yes", token="nobody-at-all").code == 5
            assert type_in(waiting, "ack", "IR-9", token=ADA).code == 3
            told = type_in(waiting, "ack", "IR-1", token=BEN)
            assert told.code == 0, told.err
            told = type_in(waiting, "approve", PLAN, "--yes", token=ADA)
            assert told.code == 0, told.err
            assert "no runner is running" not in told.out
            told = type_in(waiting, "deny", "P-second", "--yes", "--note", "no", token=BEN)
            assert (told.code, told.out.splitlines()[-1]) == (0, "P-second: denied"), told.err
            told = type_in(waiting, "note", "IR-1", "seen on the board", token=BEN)
            assert told.code == 0, told.err
            assert type_in(waiting, "postmortem", "IR-9", token=BEN).code == 3
            nobody = type_in(waiting, "postmortem", "IR-1")
            assert nobody.code == 2
            assert "set IRKIT_TOKEN" in nobody.err
            told = type_in(waiting, "postmortem", "IR-1", "--to", "md", token=BEN)
            assert told.code == 0, told.err
            assert "seen on the board" in Path(told.out.strip()).read_text()
            told = type_in(waiting, "resolve", "IR-1", "--why", "it was a test", token=BEN)
            assert told.code == 0, told.err
            last = events(waiting, type_in)
            assert [(e["kind"], e["by"]) for e in last][-6:] == [
                ("incident.acknowledged", "person:ben"), ("approval.given", "person:ada"),
                ("approval.denied", "person:ben"), ("note.written", "person:ben"),
                ("postmortem.exported", "person:ben"), ("incident.resolved", "person:ben"),
            ]  # fmt: skip
            assert "it was a test" in last[-1]["text"]
            over = type_in(waiting, "resolve", "IR-1", token=BEN)
            assert over.code == 5
            assert "the incident is over" in over.err
    finally:
        runner.close()
