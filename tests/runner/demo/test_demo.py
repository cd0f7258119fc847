"""`irkit demo`: the shipped recording, told again without servers, network or terminal."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from playing_demo import at_a_terminal, irkit

from irkit.clock import SystemClock
from irkit.errors import BadInput, NotFound
from irkit.model.event import Event
from runner.demo.recording import FOLDER, SUFFIX, Story, scenarios, unpack
from runner.stores.database import Database
from runner.stores.ledger import Ledger

if TYPE_CHECKING:
    from conftest import Played

LARGEST = 3_000_000
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def events_in(home: Path) -> tuple[Event, ...]:
    database = Database(home / "state", writer=False)
    try:
        ledger = Ledger(database, SystemClock())
        return ledger.events(ledger.incidents()[0])
    finally:
        database.close()


def show(home: Path) -> Any:
    return json.loads(irkit("-c", str(home / "irkit.yaml"), "show", "--json").stdout)


def test_the_incident_is_resolved_by_exactly_one_rollback(played: Played) -> None:
    assert played.process.returncode == 0, played.process.stdout + played.process.stderr
    kinds = [event.kind for event in events_in(played.home)]
    for once in ("plan.made", "approval.given", "action.applied", "incident.resolved"):
        assert kinds.count(once) == 1, once
    incident = show(played.home)["incident"]
    assert incident["state"] == "resolved"
    assert [run["status"] for run in incident["runs"]] == ["succeeded", "succeeded"]


def test_the_post_mortem_lies_where_it_says_and_has_the_figures(played: Played) -> None:
    found = re.search(r"^post-mortem: +(\S+)$", played.process.stdout, re.MULTILINE)
    assert found
    page = Path(found[1]).read_text()
    last = show(played.home)["incident"]["runs"][-1]["run"]
    notebook = json.loads((played.home / "state" / "runs" / last / "notebook.ipynb").read_text())
    outputs = [o.get("data", {}) for c in notebook["cells"] for o in c.get("outputs", [])]
    figures = sum(any("vnd.irkit" in mime for mime in data) for data in outputs)
    assert figures >= 3
    assert page.count("<svg") >= figures
    assert not re.search(r"""(?:src|href)=["']https?://""", page), "it asks a network"


def test_without_a_terminal_there_are_no_colours_and_each_event_is_a_line(played: Played) -> None:
    told = played.process.stdout
    assert "\x1b" not in told
    assert played.process.stderr == ""
    lines = re.findall(r"^  \d\d:\d\d:\d\dZ +\+\S.*  \S", told, re.MULTILINE)
    assert len(lines) == len(events_in(played.home))
    assert "demo-oncall approves it, as recorded." in told


def test_the_record_is_intact_and_can_be_replayed(played: Played) -> None:
    config = str(played.home / "irkit.yaml")
    verified = irkit("-c", config, "verify", "IR-1")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    replayed = irkit("-c", config, "replay", "IR-1")
    assert replayed.returncode == 0, replayed.stderr
    assert "are intact" in replayed.stdout


def test_a_second_time_the_same_events_happen(played: Played, tmp_path: Path) -> None:
    again = irkit("demo", "--home", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    first, second = events_in(played.home), events_in(tmp_path / "again")
    assert sorted(e.key for e in first) == sorted(e.key for e in second)
    plans = [[e.body.plan.hash for e in told if e.kind == "plan.made"] for told in (first, second)]  # type: ignore[union-attr]
    assert plans[0] == plans[1]


def test_every_shipped_recording_is_small_and_says_what_made_it(tmp_path: Path) -> None:
    assert scenarios()
    for name in scenarios():
        path = FOLDER / f"{name}{SUFFIX}"
        assert path.stat().st_size < LARGEST
        story, recording = unpack(name, tmp_path / name)
        assert story.scenario == name
        assert story.arrivals
        assert story.deeds
        assert sorted(recording.runs) == sorted(story.runs)


def without_look(source: Path, target: Path, unpacked: Path, bundle: str, wanted: str) -> None:
    """Copy a recording without the first look of that kind in one of its bundles."""
    with zipfile.ZipFile(source) as packed:
        packed.extractall(unpacked)
    listing = unpacked / bundle / "looks.jsonl"
    lines = listing.read_bytes().splitlines(keepends=True)
    gone = next(line for line in lines if wanted.encode() in line)
    listing.write_bytes(b"".join(line for line in lines if line != gone))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted(p for p in unpacked.rglob("*") if p.is_file()):
            made.write(file, str(file.relative_to(unpacked)))


@pytest.mark.parametrize(
    ("bundle", "wanted"),
    [("runs/1", '"op":"search"'), ("looks", '"op":"range"')],
    ids=["of the first run", "of the verification"],
)
def test_a_look_that_is_missing_is_told_and_the_story_still_ends(
    tmp_path: Path, bundle: str, wanted: str
) -> None:
    target = tmp_path / f"holes{SUFFIX}"
    source = FOLDER / f"{scenarios()[0]}{SUFFIX}"
    without_look(source, target, tmp_path / "unpacked", bundle, wanted)
    told = irkit("demo", "--scenario", str(target), "--home", str(tmp_path / "home"))
    assert told.returncode == 0, told.stdout + told.stderr
    shown = show(tmp_path / "home")
    assert shown["incident"]["state"] == "resolved"
    if bundle == "looks":
        assert any("not recorded" in event["text"] for event in shown["events"])
    else:
        assert shown["incident"]["runs"][0]["gaps"] > 0
        page = tmp_path / "home" / "state" / "runs" / "IR-1-r1" / "report.html"
        assert "not recorded" in page.read_text()


@pytest.mark.parametrize("columns", [60, 100])
def test_yes_at_a_terminal_approves(tmp_path: Path, columns: int) -> None:
    code, screen = at_a_terminal(
        "demo", "--approve", "ask", "--home", str(tmp_path / "home"),
        prompt="[y/n]", answer="y", columns=columns,
    )  # fmt: skip
    assert code == 0, screen
    assert "\x1b[" in screen, "a terminal gets colours"
    assert show(tmp_path / "home")["incident"]["state"] == "resolved"
    drawn = [ESCAPE.sub("", line).rstrip("\r") for line in screen.split("\n")]
    story = [line for line in drawn if not re.match(r"(?:[a-z -]+: +)?/|.*/home/", line)]
    assert max(len(line.rsplit("\r")[-1]) for line in story) <= columns, "a line is too long"


def test_no_at_a_terminal_ends_politely_and_touches_nothing(tmp_path: Path) -> None:
    code, screen = at_a_terminal(
        "demo", "--home", str(tmp_path / "home"), prompt="[y/n]", answer="n"
    )
    assert code == 0, screen
    assert "nothing was applied, and the incident stays open" in screen.replace("\r\n", " ")
    assert "the last run:" in screen
    assert "Traceback" not in screen
    kinds = [event.kind for event in events_in(tmp_path / "home")]
    assert "approval.denied" in kinds
    assert "action.started" not in kinds
    assert show(tmp_path / "home")["incident"]["state"] != "resolved"


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (["--record"], 2, "add --live"),
        (["--scenario", "no-such"], 3, "no such recording: no-such. known: "),
        (["--approve", "ask"], 2, "there is nobody to ask"),
        (["--home", "."], 2, "the folder is not empty"),
        (["--approve", "maybe"], 2, "'maybe'"),
    ],
)
def test_what_cannot_be_done_is_told(args: list[str], code: int, text: str) -> None:
    told = irkit("demo", *args)
    assert told.returncode == code
    assert text in told.stderr
    assert "Traceback" not in told.stderr


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / f"bad{SUFFIX}"
    bad.write_bytes(b"not a zip")
    with pytest.raises(BadInput, match="not a recording"):
        unpack(str(bad), tmp_path / "unpacked")
    with pytest.raises(NotFound, match="no such recording"):
        unpack("bad", tmp_path / "unpacked")
    shutil.copy(FOLDER / f"{scenarios()[0]}{SUFFIX}", bad)
    story, _ = unpack(str(bad), tmp_path / "unpacked")
    assert msgspec.json.decode(msgspec.json.encode(story), type=Story) == story
