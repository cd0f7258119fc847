"""Deploy scripts: real processes that succeed, fail, hang, and leave children behind."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from irkit.errors import LookFailed, Refused
from irkit.integrations._process import run
from irkit.integrations.script import Script
from irkit.model.action import Plan
from irkit.testing.contracts import TargetCase, plan_for

HISTORY = [
    ("1.4.0", ""),
    ("1.4.1", "1.4.0"),
    ("1.4.3", "1.4.1"),
    ("1.4.1", "1.4.3"),
    ("1.4.2", "1.4.1"),
]
APPLY = ["{service}", "{version}", "{key}", "{by}", "{reason}"]


def write_history(home: Path, entries: list[tuple[str, str]] = HISTORY) -> None:
    lines = [
        json.dumps(
            {
                "time": f"2026-03-01T1{at}:00:00Z",
                "service": "checkout",
                "version": version,
                "previous": previous,
                "commit": f"abc{at}",
                "message": f"change {at}",
            }
        )
        for at, (version, previous) in enumerate(entries)
    ]
    (home / "deploys.jsonl").write_text("".join(line + "\n" for line in lines))


def script(home: Path, code: str = "", **fields: Any) -> Script:
    (home / "deploy.py").write_text(code)
    given = {"apply": [sys.executable, "deploy.py", *APPLY], "history": "deploys.jsonl", **fields}
    return Script(type="script", **given).anchored(home)


def planned(target: Script, key: str = "k1", **changes: Any) -> Plan:
    case = TargetCase(
        target=target,
        action="rollback",
        service="checkout",
        arguments={},
        state=str,
        changes=int,
    )
    return plan_for(case, target.survey("rollback", "checkout", {}), key=key, **changes)


def test_previous_is_not_what_was_rolled_back_from(tmp_path: Path) -> None:
    write_history(tmp_path)
    survey = script(tmp_path).survey("rollback", "checkout", {"to": "previous"})
    assert (survey.change.current, survey.change.target) == ("1.4.2", "1.4.1")
    assert survey.change.diff == "1.4.2 abc4 change 4"
    assert survey.undo.arguments == {"to": "1.4.2"}
    assert not survey.already


def test_what_cannot_be_rolled_back_is_refused(tmp_path: Path) -> None:
    target = script(tmp_path)
    with pytest.raises(Refused, match="no earlier version"):  # nothing was deployed yet
        target.survey("rollback", "checkout", {})
    write_history(tmp_path, HISTORY[:1])
    with pytest.raises(Refused, match="no earlier version"):
        target.survey("rollback", "checkout", {})
    with pytest.raises(Refused, match=r"9\.9\.9 never ran"):
        target.survey("rollback", "checkout", {"to": "9.9.9"})
    with pytest.raises(Refused, match="needs `to`"):
        target.survey("deploy", "checkout", {})
    assert target.survey("deploy", "checkout", {"to": "1.4.0"}).already


def test_nothing_is_decided_on_half_a_history(tmp_path: Path) -> None:
    write_history(tmp_path)
    with (tmp_path / "deploys.jsonl").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(LookFailed, match="1 lines"):
        script(tmp_path).survey("rollback", "checkout", {})


PLAN = """
import json, sys
plan = {"current": "1.4.3", "to": sys.argv[2], "change": "pods", "instances": 2, "of": 4}
print(json.dumps(plan))
"""


def test_the_plan_command_knows_what_really_runs(tmp_path: Path) -> None:
    write_history(tmp_path)
    (tmp_path / "plan.py").write_text(PLAN)
    words = [sys.executable, "plan.py", "{service}", "{version}"]
    survey = script(tmp_path, plan=words).survey("rollback", "checkout", {})
    # 1.4.3 was deployed past the history, and 1.4.2 is what ran before it
    assert (survey.change.current, survey.change.target) == ("1.4.3", "1.4.2")
    assert (survey.change.diff, survey.blast.share) == ("pods", 0.5)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('no')", "printed no such JSON: no"),
        ("import sys; print('unknown version', file=sys.stderr); sys.exit(2)", "exit code 2"),
        ("""print('{"current": "1", "to": "9"}')""", "would deploy 9"),
        ("""print('{"current": "1", "to": "1.4.1", "instances": 5, "of": 2}')""", "no sense"),
        ("import time; time.sleep(60)", "did not end"),
    ],
)
def test_a_plan_command_that_is_broken(tmp_path: Path, code: str, words: str) -> None:
    write_history(tmp_path)
    target = script(tmp_path, plan=[sys.executable, "-c", code], timeout=timedelta(seconds=1))
    with pytest.raises(LookFailed, match=words):
        target.survey("rollback", "checkout", {})


def test_words_arrive_as_words_and_only_named_variables_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "s3cret")
    monkeypatch.setenv("OTHER_SECRET", "hidden")
    write_history(tmp_path)
    code = "import json, os, sys; json.dump([sys.argv[1:], dict(os.environ)], open('got', 'w'))"
    target = script(tmp_path, code, environment=["DEPLOY_TOKEN", "UNSET_ONE"])
    reason = "--force \n$(id) `id` \x00 é"
    outcome = target.apply(planned(target, reason=reason))
    assert outcome.status == "applied"
    words, environment = json.loads((tmp_path / "got").read_text())
    assert words == ["checkout", "1.4.1", "k1", "run:R1", "force  $(id) `id`   é"]
    assert environment["DEPLOY_TOKEN"] == "s3cret"
    assert set(environment) <= {"PATH", "LANG", "TZ", "DEPLOY_TOKEN", "LC_CTYPE"}


def test_a_failure_is_a_failure_and_tells_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "s3cret")
    write_history(tmp_path)
    code = "import os, sys; sys.exit('cannot log in with ' + os.environ['DEPLOY_TOKEN'])"
    target = script(tmp_path, code, environment=["DEPLOY_TOKEN"])
    outcome = target.apply(planned(target))
    assert outcome.status == "failed"
    assert outcome.text == ("the deploy script: exit code 1: cannot log in with [secret removed]")


def test_a_script_that_is_missing_did_nothing(tmp_path: Path) -> None:
    write_history(tmp_path)
    target = script(tmp_path, apply=["./no-such-script", "{version}", "{key}"])
    outcome = target.apply(planned(target))
    assert outcome.status == "failed"
    assert outcome.text.startswith("nothing was done: cannot start")
    with pytest.raises(LookFailed, match="no such command"):
        target.probe()


def test_an_exit_code_may_mean_that_nobody_knows(tmp_path: Path) -> None:
    write_history(tmp_path)
    target = script(tmp_path, "raise SystemExit(4)", unsure_exit_codes=[4])
    assert target.apply(planned(target)).status == "unknown"


HANGS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("child", "w").write(str(child.pid))
time.sleep(600)
"""


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True  # dead; its parent, which is not ours to mend, has not asked yet
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_at_the_time_limit_the_whole_group_is_killed_and_nobody_knows(tmp_path: Path) -> None:
    write_history(tmp_path)
    target = script(tmp_path, HANGS, time_limit=timedelta(seconds=2))
    outcome = target.apply(planned(target))
    assert outcome.status == "unknown"
    assert "stopped after 2 s" in outcome.text
    assert gone(int((tmp_path / "child").read_text()))


def test_what_was_done_before_the_time_limit_is_found(tmp_path: Path) -> None:
    write_history(tmp_path)
    code = """
import json, sys, time
entry = dict(time="2026-03-01T20:00:00Z", service="checkout", version=sys.argv[2], key=sys.argv[3])
open("deploys.jsonl", "a").write(json.dumps(entry) + "\\n")
time.sleep(600)
"""
    target = script(tmp_path, code, time_limit=timedelta(seconds=2))
    outcome = target.apply(planned(target))
    assert outcome.status == "applied"
    assert "20:00:00Z (stopped after 2 s)" in outcome.text


def test_a_key_that_was_used_for_something_else_is_not_ours(tmp_path: Path) -> None:
    write_history(tmp_path)
    target = script(tmp_path)
    plan = planned(target)
    entry = {"time": "2026-03-01T20:00:00Z", "service": "checkout", "version": "7", "key": "k1"}
    with (tmp_path / "deploys.jsonl").open("a") as file:
        file.write(json.dumps(entry) + "\n")
    with pytest.raises(LookFailed, match="used for 7"):
        target.lookup(plan)
    assert target.apply(plan).status == "failed"


@pytest.mark.parametrize(
    ("printed", "found"),
    [('{"happened": true, "text": "at noon"}', True), ('{"happened": false}', False)],
)
def test_the_lookup_command_tells(tmp_path: Path, printed: str, found: bool) -> None:
    write_history(tmp_path)
    target = script(tmp_path, lookup=[sys.executable, "-c", f"print({printed!r})", "{key}"])
    outcome = target.lookup(planned(target))
    assert (outcome is not None) is found
    broken = script(tmp_path, lookup=[sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(LookFailed, match="lookup command"):
        broken.lookup(planned(target))


@pytest.mark.parametrize(
    "fields",
    [
        {"apply": ["d", "--v={version}", "{key}"]},
        {"apply": ["d", "{versoin}", "{key}"]},
        {"apply": ["d", "{version}"]},
        {"apply": []},
        {"plan": ["d", "{key}"]},
        {"history": None},
    ],
)
def test_a_command_that_cannot_be_right_is_a_mistake(fields: dict[str, Any]) -> None:
    good = {"apply": ["d", "{version}", "{key}"], "history": "h"}
    Script(type="script", **good)
    with pytest.raises(ValidationError):
        Script(type="script", **{**good, **fields})


def command(code: str, tmp_path: Path, seconds: float = 30) -> Any:
    words = [sys.executable, "-c", code]
    environment = {"PATH": os.defpath}
    return run(words, cwd=tmp_path, environment=environment, seconds=seconds, max_bytes=1000)


def test_output_is_bounded_and_read_to_its_end(tmp_path: Path) -> None:
    ended = command("import sys; print('x' * 10_000_000); sys.stderr.write('e')", tmp_path)
    assert (ended.code, len(ended.out), ended.err, ended.cut) == (0, 1000, b"e", True)


def test_a_child_left_running_keeps_nobody_waiting(tmp_path: Path) -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid)"
    ended = command(code, tmp_path, seconds=50)
    os.kill(int(ended.out), 9)
    assert ended.code == 0
    assert not ended.cut


def test_closed_pipes_do_not_end_the_wait(tmp_path: Path) -> None:
    code = "import os, time; os.close(1); os.close(2); time.sleep(0.3); os._exit(7)"
    assert command(code, tmp_path).code == 7
    assert command(code.replace("0.3", "60"), tmp_path, seconds=1).code is None


def test_there_is_no_input(tmp_path: Path) -> None:
    assert command("import sys; print(repr(sys.stdin.read()))", tmp_path).out == b"''\n"
