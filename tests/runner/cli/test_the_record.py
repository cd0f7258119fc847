"""Commands on an incident that is over: show, verify, replay, lab, postmortem."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

if TYPE_CHECKING:
    from conftest import Type

PAGE = Path("state/incidents/IR-1/postmortem.html")


def last_run(home: Path) -> Path:
    return sorted((home / "state" / "runs").glob("IR-1-r*"))[-1]


def test_incidents_and_show(played: Path, type_in: Type) -> None:
    listed = json.loads(type_in(played, "incidents", "--json").out)
    assert [(one["id"], one["state"]) for one in listed] == [("IR-1", "resolved")]
    assert type_in(played, "incidents", "--open").out == "no incidents\n"
    shown = json.loads(type_in(played, "show", "IR-1", "--json").out)
    assert [t["name"] for t in shown["times"]] == ["detect", "acknowledge", "mitigate", "resolve"]
    text = type_in(played, "show").out
    assert text.startswith("IR-1  SEV1  resolved  ")
    assert all(event["text"] in text for event in shown["events"])
    assert "\x1b" not in text


def test_nobody_of_that_name(played: Path, type_in: Type) -> None:
    for command in (["show"], ["verify"], ["replay"], ["lab", "--print"], ["postmortem"]):
        told = type_in(played, *command, "IR-9")
        assert told.code == 3, command
        assert "no such incident: IR-9" in told.err


def test_verify_is_content_with_what_was_not_touched(played: Path, type_in: Type) -> None:
    told = type_in(played, "verify", "IR-1", "--json")
    assert told.code == 0, told.out + told.err
    value = json.loads(told.out)
    assert value["broken"] == []
    assert value["events"] > 10
    assert set(value["same"]) == {
        *(f"runs/IR-1-r{n}/{name}" for n in (1, 2)
          for name in ("runbook.ipynb", "notebook.ipynb", "bundle", "report.html")),
        *(f"incidents/IR-1/{name}" for name in (
            "looks-1/looks.jsonl", "postmortem.ipynb", "postmortem.html", "postmortem.md")),
    }  # fmt: skip
    text = type_in(played, "verify", "IR-1").out
    assert "2 runbook.ipynb" in text
    assert "(no digest is kept of these)" in text
    assert value["unproven"], "an older copy of the whole ledger cannot be told without a head"
    assert type_in(played, "verify", "IR-1", "--head", value["head"]).code == 0
    wrong = type_in(played, "verify", "IR-1", "--head", "0" * 64)
    assert wrong.code == 7


def spoil_notebook(home: Path) -> None:
    path = last_run(home) / "notebook.ipynb"
    path.write_bytes(path.read_bytes().replace(b"checkout", b"checkouf", 1))


def spoil_page(home: Path) -> None:
    (home / PAGE).write_bytes((home / PAGE).read_bytes() + b"<!-- -->")


def spoil_reply(home: Path) -> None:
    blob = max((last_run(home) / "bundle" / "blobs").rglob("*"), key=lambda p: p.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")


def spoil_report(home: Path) -> None:
    path = last_run(home) / "report.html"
    path.write_bytes(path.read_bytes() + b"<!-- -->")


def spoil_runbook(home: Path) -> None:
    path = last_run(home) / "runbook.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("open('/tmp/was-here', 'w')"))
    path.chmod(0o644)
    nbformat.write(notebook, path)


def own_looks(home: Path) -> Path:
    return home / "state" / "incidents" / "IR-1" / "looks-1"


def lose_own_look(home: Path) -> None:
    path = own_looks(home) / "looks.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def spoil_own_reply(home: Path) -> None:
    blob = max((own_looks(home) / "blobs").iterdir(), key=lambda p: p.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")


def add_a_file(home: Path) -> None:
    (last_run(home) / "bundle" / "blobs" / f"{'0' * 64}.gz").write_bytes(b"planted")


def lose_page(home: Path) -> None:
    (home / PAGE).unlink()


def spoil_event(home: Path) -> None:
    with sqlite3.connect(home / "state" / "irkit.db") as database:
        changed = database.execute(
            "UPDATE events SET body = replace(body, 'looking', 'sleeping') WHERE kind = ?",
            ("incident.acknowledged",),
        ).rowcount
    assert changed == 1


def lose_tail(home: Path) -> None:
    with sqlite3.connect(home / "state" / "irkit.db") as database:
        last = database.execute("SELECT max(seq) FROM events").fetchone()[0]
        database.execute("DELETE FROM events WHERE seq = ?", (last,))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (spoil_notebook, "notebook.ipynb"),
        (spoil_page, "postmortem.html"),
        (spoil_report, "IR-1-r2/report.html"),
        (spoil_runbook, "IR-1-r2/runbook.ipynb"),
        (lose_own_look, "IR-1/looks-1/looks.jsonl"),
        (spoil_own_reply, "IR-1/looks-1/looks.jsonl"),
        (add_a_file, "put there"),
        (lose_page, "postmortem.html"),
        (spoil_reply, "bundle"),
        (spoil_event, "event"),
        (lose_tail, "event"),
    ],
)
def test_verify_finds_what_was_changed(
    played: Path, type_in: Type, spoil: object, named: str
) -> None:
    assert callable(spoil)
    spoil(played)
    told = type_in(played, "verify", "IR-1")
    assert told.code == 7, told.out
    assert "CHANGED" in told.out
    assert named in told.out
    assert "intact:" not in told.out
    assert re.search(r"(?:1 thing was|[2-9] things were) changed: IR-1", told.err)


def test_replay_says_that_the_evidence_is_intact(played: Path, type_in: Type) -> None:
    told = type_in(played, "replay", "IR-1")
    assert told.code == 0, told.err
    assert "runbook and evidence of IR-1-r2 are intact" in told.out
    page = Path(told.out.split("page:")[1].split()[0])
    assert page.is_file()
    assert type_in(played, "verify", "IR-1").code == 0, "a replay changes nothing of the record"


@pytest.mark.parametrize("spoil", [spoil_reply, spoil_runbook])
def test_replay_refuses_what_was_changed(
    played: Path, type_in: Type, spoil: Callable[[Path], None]
) -> None:
    spoil(played)
    told = type_in(played, "replay", "IR-1")
    assert told.code == 7
    assert not list(last_run(played).glob("replay-*"))


def test_lab_opens_a_copy(played: Path, type_in: Type) -> None:
    told = type_in(played, "lab", "IR-1", "--print")
    assert told.code == 0
    copy = played / "state" / "incidents" / "IR-1" / "lab.ipynb"
    assert f"notebook: {copy}" in told.out
    assert f"-m jupyterlab {copy}" in told.out
    notebook = nbformat.read(copy, as_version=4)
    notebook.cells[0].source = "what I found"
    nbformat.write(notebook, copy)
    assert type_in(played, "lab", "--print").code == 0
    assert nbformat.read(copy, as_version=4).cells[0].source == "what I found"
    assert type_in(played, "verify", "IR-1").code == 0


BY_HAND = """
import os, sys
os.environ.pop("IRKIT_CONFIG", None)
import irkit
inc = irkit.incident("IR-1", since="90m")
first, again = inc.signal("error_rate"), inc.signal("error_rate")
print(inc.now.isoformat(), inc.state.state, len(first.df), len(again.df), len(inc.deploys().df))
try:
    print(inc.metrics("never_asked_before").df)
except irkit.errors.LookFailed as why:
    print("live:", why)
sys.exit(7)
"""


def test_lab_on_an_incident_that_is_over_answers_as_it_was_then(
    played: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = json.loads(type_in(played, "show", "--json").out)["incident"]["runs"]
    monkeypatch.setattr(
        "runner.commands.run._jupyterlab", lambda notebook, more: [sys.executable, "-c", BY_HAND]
    )
    told = type_in(played, "lab", "IR-1")
    assert told.code == 7, told.err
    assert "the recording of IR-1-r2, then your sources" in told.out
    values, live = capfd.readouterr().out.splitlines()[:2]
    now, state, first, again, deploys = values.split()
    assert now == runs[-1]["now"].replace("Z", "+00:00")
    assert state == "resolved"
    assert int(first) > 10
    assert int(again) == int(first), "a cell that is run again is answered again"
    assert int(deploys) >= 1
    assert live.startswith("live: "), "what was not recorded is asked of the source, which is gone"
    assert type_in(played, "verify", "IR-1").code == 0


def test_lab_does_not_answer_from_a_recording_that_was_changed(
    played: Path, type_in: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_reply(played)
    monkeypatch.setattr(
        "runner.commands.run._jupyterlab", lambda notebook, more: [sys.executable, "-c", ""]
    )
    told = type_in(played, "lab", "IR-1")
    assert told.code == 0
    assert "the recording of IR-1-r2 does not answer" in told.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["IR-1", "--", "--no-browser", "--version"], 0, "."),
        (["--", "--version"], 0, "."),
        (["IR-1", "--", "--port=none"], 1, "port"),
    ],
)
def test_lab_passes_words_on_and_returns_what_comes_back(
    played: Path, type_in: Type, capfd: pytest.CaptureFixture[str], words: list[str], code: int,
    says: str,
) -> None:  # fmt: skip
    told = type_in(played, "lab", *words)
    assert told.code == code, told.err
    assert "--allow-root" in told.err or os.geteuid() != 0
    heard = capfd.readouterr()
    assert says in heard.out + heard.err


def edit(home: Path, was: str, now: str) -> None:
    path = home / "state" / "incidents" / "IR-1" / "postmortem.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell = next(c for c in notebook.cells if c.cell_type == "markdown" and was in c.source)
    cell.source = cell.source + "\n\n" + now
    nbformat.write(notebook, path)


def test_postmortem_keeps_what_people_wrote_and_is_recorded(played: Path, type_in: Type) -> None:
    edit(played, "What we learned", "Tax rounding needs a canary.")
    token = (played / "tokens" / "demo-oncall").read_text()
    told = type_in(played, "verify", "IR-1")
    assert told.code == 0, told.out
    assert "edited    incidents/IR-1/postmortem.ipynb: edited since it was exported" in told.out
    assert "1 postmortem.ipynb" not in told.out
    told = type_in(played, "postmortem", "IR-1", "--to", "html,md", token=token)
    assert told.code == 0, told.err
    paths = [Path(line) for line in told.out.split()]
    assert [path.suffix for path in paths] == [".html", ".md"]
    assert all("Tax rounding needs a canary." in path.read_text() for path in paths)
    again = type_in(played, "postmortem", "IR-1", "--to", "md")
    assert again.code == 0, again.err
    assert "Tax rounding needs a canary." in paths[1].read_text()
    told = type_in(played, "verify", "IR-1")
    assert told.code == 0, told.out
    assert "edited" not in told.out
    shown = json.loads(type_in(played, "show", "--json").out)["events"]
    assert [e["by"] for e in shown if e["kind"] == "postmortem.exported"] == [
        "system", "person:demo-oncall", "system",
    ]  # fmt: skip


def test_postmortem_as_pdf(played: Path, type_in: Type) -> None:
    told = type_in(played, "postmortem", "IR-1", "--to", "pdf")
    assert told.code == 0, told.err
    assert Path(told.out.strip()).read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize("forms", ["docx", "", "html,exe"])
def test_postmortem_knows_its_formats(played: Path, type_in: Type, forms: str) -> None:
    told = type_in(played, "postmortem", "IR-1", "--to", forms)
    assert told.code == 2
    assert "use html, md, pdf" in told.err
    assert type_in(played, "verify", "IR-1").code == 0
