"""The session without a runner, and which session a notebook gets."""

import json
import subprocess
import sys

import pytest

from irkit.config import Config
from irkit.errors import BadInput, BadQuery, NeedsRunner, NotFound
from irkit.evidence import connect
from irkit.evidence.bundle import Bundle
from irkit.evidence.local import LocalSession
from irkit.session import Ask, Note


@pytest.fixture
def config(tmp_path, source):
    file = tmp_path / "irkit.yaml"
    file.write_text("")
    return Config(integrations={"prom": source, "mute": object()}, file=file)


def test_looks_are_recorded_and_replayed_with_nothing_else(config, clock, ask, source, tmp_path):
    session = LocalSession(config, clock=clock, folder=tmp_path / "b")
    assert session.briefing.types == {"prom": "counting", "mute": ""}
    assert session.briefing.live
    first = session.look(ask())
    down = session.look(ask("down"))
    root = session.seal()
    bundle = Bundle.open(tmp_path / "b")
    bundle.verify(root)
    replay = LocalSession(replay=bundle)
    assert replay.briefing.now == session.briefing.now
    assert replay.briefing.types == session.briefing.types
    assert not replay.briefing.live
    assert replay.look(ask()).body == first.body
    assert replay.look(ask("down")).error == down.error == "it is down: prom"
    assert replay.look(ask()).body == first.body  # the cell was run again
    assert replay.look(ask("never asked")).error.startswith("not recorded")
    assert len(source.asked) == 2
    assert replay.events() == ()


def test_by_default_it_records_into_the_storage_and_only_when_it_looks(
    config, clock, ask, tmp_path
):
    sessions = [LocalSession(config, clock=clock) for _ in range(2)]
    assert not (tmp_path / ".irkit").exists()
    for session in sessions:
        session.look(ask())
        session.seal()
    bundles = [Bundle.open(f) for f in (tmp_path / ".irkit" / "local").iterdir()]
    assert [len(b.looks) for b in bundles] == [1, 1]
    for bundle in bundles:
        bundle.verify()


def test_only_what_is_configured_can_be_asked(config, clock, ask, source, tmp_path):
    session = LocalSession(config, clock=clock, folder=tmp_path / "b")
    with pytest.raises(NotFound, match="did you mean 'prom'"):
        session.look(ask(source="prm"))
    with pytest.raises(NotFound, match="configured sources: prom"):
        session.look(ask(source="mute"))
    with pytest.raises(BadQuery, match="it can: range, search"):
        session.look(ask(op="history"))
    assert source.asked == []


def test_without_a_runner_nothing_is_applied_or_posted(config, clock, tmp_path, capsys):
    session = LocalSession(config, clock=clock, folder=tmp_path / "b")
    with pytest.raises(NeedsRunner, match="rollback on checkout"):
        session.propose(Ask(action="rollback", target="checkout"))
    session.say("looking into it")
    session.note(Note(text="odd"))
    session.note(Note(method="robust"))
    assert capsys.readouterr().out.splitlines() == [
        "Not posted, for there is no runner: looking into it",
        "Kept in this notebook only, for there is no runner: odd",
    ]
    assert session.said == ["looking into it"]
    assert [n.text for n in session.notes] == ["odd", ""]


def test_connect_takes_the_recording_that_the_environment_names(
    config, clock, ask, tmp_path, monkeypatch
):
    live = LocalSession(config, clock=clock, folder=tmp_path / "b")
    body = live.look(ask()).body
    live.seal()
    monkeypatch.delenv("IRKIT_SESSION", raising=False)
    monkeypatch.setenv("IRKIT_REPLAY", str(tmp_path / "b"))
    assert json.loads(connect().look(ask()).body) == json.loads(body)
    monkeypatch.setenv("IRKIT_REPLAY", str(tmp_path / "nothing"))
    with pytest.raises(NotFound, match="no evidence bundle here"):
        connect()
    monkeypatch.setenv("IRKIT_SESSION", str(tmp_path / "gone.json"))
    with pytest.raises(NeedsRunner, match="does not answer"):
        connect()


def test_connect_without_a_runner_reads_the_config(tmp_path, monkeypatch):
    monkeypatch.delenv("IRKIT_SESSION", raising=False)
    monkeypatch.delenv("IRKIT_REPLAY", raising=False)
    file = tmp_path / "irkit.yaml"
    file.write_text("catalog: {services: {checkout: {}}}")
    monkeypatch.setenv("IRKIT_CONFIG", str(file))
    assert list(connect().briefing.catalog.services) == ["checkout"]


def test_a_session_needs_a_config_or_a_bundle():
    with pytest.raises(BadInput, match="a config or a bundle"):
        LocalSession()


def test_evidence_is_imported_without_anything_heavy():
    script = "import sys, irkit.evidence; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"pandas", "numpy", "pydantic", "pyarrow", "plotly", "httpx", "multiprocessing"}
    assert heavy.isdisjoint(done.stdout.split())
