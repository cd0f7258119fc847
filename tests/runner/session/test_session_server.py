"""The run's socket: real sockets, hostile clients."""

import json
import os
import socket
import stat
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path

import msgspec
import pytest

from irkit.clock import SetClock
from irkit.errors import BadInput, BadQuery, IrkitError, LookFailed, NeedsRunner, NotFound, Refused
from irkit.evidence import connect
from irkit.evidence.bundle import Bundle, write_briefing
from irkit.evidence.recorder import Limits, Recorder
from irkit.evidence.redact import REMOVED, Redactor
from irkit.evidence.remote import RemoteSession
from irkit.model.catalog import Catalog, Service
from irkit.model.event import GENESIS, Event, NoteWritten
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.ports import Raw
from irkit.session import Ask, Briefing, Note, Proposal
from runner.runs.session_server import ServerLimits, SessionServer

NOW = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
SECRET = "hunter2-hunter2"


class Source:
    ops = ("range",)
    type = "small"

    def __init__(self):
        self.asked = []

    def fetch(self, request):
        self.asked.append(request)
        if request.arguments["query"] == "down":
            raise LookFailed("it is down", on="prom", next="wait", retryable=True)
        size = request.arguments.get("size", 10)
        return Raw(body=f"{request.arguments['query']} {SECRET} ".encode() + b"x" * size)

    @staticmethod
    def read(request, body):
        return body

    def probe(self):
        return "works"


class Run:
    """A run's server with everything that was said to it."""

    def __init__(self, folder, **more):
        self.source, self.said, self.notes, self.gaps, self.live = Source(), [], [], [], []
        self.raises = None
        limits = more.pop("look_limits", None)
        options = {"mode": "live", "on_live": self.live.append, **more.pop("recording", {})}
        self.folder = folder / "bundle"
        self.briefing = Briefing(
            principal="run:r1",
            run="r1",
            now=NOW,
            catalog=Catalog(services={"checkout": Service(name="checkout")}),
            types={"prom": "small"},
        )
        self.event = Event(
            incident="IR-1", seq=1, key="k", at=NOW, recorded=NOW, by="system",
            body=NoteWritten(text="<b>"), prev=GENESIS, hash="1" * 64,
        )  # fmt: skip
        write_briefing(self.folder, self.briefing, Redactor())
        self.recorder = Recorder(
            self.folder, now=NOW, clock=SetClock(NOW), limits=limits, redactor=Redactor([SECRET]),
            **options,
        )  # fmt: skip
        self.server = SessionServer(
            "r1",
            briefing=lambda: self.briefing,
            recorder=self.recorder,
            sources={"prom": self.source},
            propose=self.propose,
            say=self.said.append,
            note=self.notes.append,
            gap=lambda request, reply: self.gaps.append((request, reply)),
            events=lambda: (self.event,),
            **more,
        )

    def propose(self, ask):
        if self.raises is not None:
            raise self.raises
        return Proposal(refused="none", reason=ask.reason)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *why):
        self.server.__exit__(*why)

    @property
    def where(self):
        return json.loads(Path(self.server.session_file).read_bytes())

    def session(self):
        return RemoteSession(self.server.session_file)

    def raw(self):
        """A client that knows the token and then does as it likes."""
        return Client(self.where["socket"], "AF_UNIX", authkey=self.where["token"].encode())


@pytest.fixture
def run(tmp_path):
    with Run(tmp_path) as run:
        yield run
        assert RemoteSession(run.server.session_file).briefing == run.briefing  # it survived
    assert not Path(run.server.session_file).parent.exists()


def ask(query="up", **arguments):
    return Request(
        source="prom", op="range", arguments={"query": query, **arguments},
        window=Window.before(NOW, "90m"),
    )  # fmt: skip


def until(holds):
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it never happened"
        threading.Event().wait(0.01)


def test_every_verb_reaches_the_runner(run):
    session = run.session()
    assert session.briefing == run.briefing
    assert session.events() == (run.event,)
    reply = session.look(ask(size=3_000_000))
    assert reply.body.startswith(f"up {REMOVED} xxx".encode())
    assert len(reply.body) > 3_000_000
    assert (reply.evidence, reply.type, reply.at) == ("L1", "small", NOW)
    session.say("looking")
    session.note(Note(text="odd", method="robust"))
    proposal = session.propose(Ask(action="rollback", target="checkout", reason="<i>'\"\n"))
    assert proposal.reason == "<i>'\"\n"
    assert run.said == ["looking"]
    assert run.notes == [Note(text="odd", method="robust")]
    assert run.live == [0]
    run.recorder.seal()
    bundle = Bundle.open(run.folder)
    bundle.verify()
    assert bundle.body(bundle.looks[0]) == reply.body


def test_a_failed_look_is_a_reply_and_a_gap(run):
    reply = run.session().look(ask("down"))
    assert (reply.error, reply.next, reply.retryable) == ("it is down: prom", "wait", True)
    assert [(r.arguments["query"], g.evidence) for r, g in run.gaps] == [("down", "L1")]


def test_only_what_is_configured_can_be_asked(run):
    session = run.session()
    with pytest.raises(NotFound, match="did you mean 'prom'"):
        session.look(msgspec.structs.replace(ask(), source="pron"))
    with pytest.raises(BadQuery, match="it can: range"):
        session.look(msgspec.structs.replace(ask(), op="apply"))
    assert session.look(ask()).error == ""
    assert len(run.source.asked) == 1


@pytest.mark.parametrize(
    "raised",
    [
        Refused("not now", reason="frozen", on="checkout", next="wait"),
        NotFound("no such plan", on="p1", next="look again"),
        LookFailed("cannot tell", on="target", next="ask", retryable=True),
    ],
)
def test_an_error_of_the_runner_is_raised_as_the_same_class(run, raised):
    run.raises = raised
    session = run.session()
    with pytest.raises(type(raised)) as caught:
        session.propose(Ask(action="rollback", target="checkout"))
    assert type(caught.value) is type(raised)
    assert vars(caught.value) == vars(raised)
    run.raises = None
    assert session.propose(Ask(action="a", target="b")).refused == "none"


def test_a_defect_of_the_runner_is_told_without_its_text(run, caplog):
    run.raises = RuntimeError(f"token={SECRET}")
    with pytest.raises(IrkitError, match="internal error in the runner") as caught:
        run.session().propose(Ask(action="rollback", target="checkout"))
    assert SECRET not in str(caught.value) + caplog.text
    assert "RuntimeError" in caplog.text


def test_secrets_do_not_pass_on_into_the_channel_or_the_record(run):
    session = run.session()
    session.say(f"it is {SECRET}")
    session.note(Note(text=SECRET))
    assert run.said == [f"it is {REMOVED}"]
    assert run.notes == [Note(text=REMOVED)]


def test_looks_are_durable_before_anything_is_said(run):
    session = run.session()
    session.look(ask())
    session.say("as seen")
    names = {p.suffix for p in (run.folder / "blobs").iterdir()}
    assert names == {".gz"}  # compressed and synced, no longer under way


def test_a_wrong_token_is_refused(run, tmp_path):
    with pytest.raises(AuthenticationError):
        Client(run.where["socket"], "AF_UNIX", authkey=b"guessed")
    forged = tmp_path / "session.json"
    forged.write_text(json.dumps({**run.where, "token": "guessed"}))
    with pytest.raises(NeedsRunner, match="AuthenticationError"):
        _ = RemoteSession(forged).briefing


def test_another_user_is_refused_even_with_the_token(tmp_path):
    with Run(tmp_path, peer=os.geteuid() + 1) as run, pytest.raises(NeedsRunner):
        _ = run.session().briefing


def test_only_the_owner_can_read_the_session_file_and_reach_the_socket(run):
    file = Path(run.server.session_file)
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (file.parent, file, Path(run.where["socket"]))]
    assert modes == [0o700, 0o600, 0o600]
    assert len(run.where["socket"]) < 100


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x80\x04\x95pickle",
        b"{",
        b"[]",
        b'{"verb":"shell","text":"id"}',
        b'{"verb":"look"}',
        b'{"verb":"look","request":{"source":1,"op":"range"}}',
        b'{"verb":"look","request":{"source":"prom","op":"range","arguments":{"a":{"b":1}}}}',
        b'{"verb":"look","request":{"source":"prom","op":"range",'
        b'"window":{"start":"2026-03-01T14:00:00Z","end":"2026-03-01T13:00:00Z"}}}',
        b'{"verb":"look","request":{"source":"prom","op":"range",'
        b'"window":{"start":"2026-03-01T14:00:00","end":"2026-03-01T15:00:00"}}}',
        b'{"verb":"say","text":"\xff"}',
        b'{"verb":"say","x":' + b"[" * 100_000 + b"]" * 100_000 + b',"text":"deep"}',
    ],
)
def test_a_bad_request_gets_a_named_error_and_the_connection_goes_on(run, frame):
    with run.raw() as raw:
        raw.send_bytes(frame)
        answer = json.loads(raw.recv_bytes())
        assert answer["fault"]["class"] == "BadInput"
        assert "Traceback" not in answer["fault"]["what"]
        raw.send_bytes(b'{"verb":"events"}')
        assert json.loads(raw.recv_bytes())["value"][0]["seq"] == 1
    assert run.source.asked == []
    assert run.said == []


def test_a_request_that_is_too_long_is_refused_on_both_sides(tmp_path):
    with Run(tmp_path, limits=ServerLimits(request_bytes=1000)) as run:
        with run.raw() as raw:
            raw.send_bytes(b'{"verb":"say","text":"' + b"x" * 1000 + b'"}')
            fault = json.loads(raw.recv_bytes())["fault"]
            assert fault["class"] == "BadInput"
            assert fault["next"] == "send at most 1000 bytes"
            with pytest.raises((EOFError, ConnectionResetError)):
                raw.recv_bytes()
        session = run.session()
        with pytest.raises(BadInput, match="too long for the runner"):
            session.say("x" * 2_000_000)
        session.say("short")
        assert run.said == ["short"]


def test_a_frame_that_claims_to_be_enormous_is_not_waited_for(run):
    with run.raw() as raw:
        os.write(raw.fileno(), struct.pack("!iQ", -1, 1 << 62))
        assert json.loads(raw.recv_bytes())["fault"]["what"] == "the request is too long"


def test_garbage_instead_of_a_handshake(run):
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", struct.pack("!i", 5) + b"#NOPE", b"\0" * 4):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(run.where["socket"])
            sock.sendall(garbage)


def test_silence_instead_of_a_handshake_is_hung_up_on(tmp_path):
    limits = ServerLimits(handshake_seconds=0.05, connections=1)
    with Run(tmp_path, limits=limits) as run, socket.socket(socket.AF_UNIX) as silent:
        silent.connect(run.where["socket"])
        silent.settimeout(10)
        while silent.recv(100):
            continue
        until(lambda: not run.server._open)
        assert run.session().briefing == run.briefing


def test_a_client_that_dies_in_the_middle_of_a_frame(run):
    raw = run.raw()
    os.write(raw.fileno(), struct.pack("!i", 1000) + b'{"verb":"say"')
    raw.close()
    until(lambda: not run.server._open)
    assert run.said == []


def test_a_client_that_dies_before_its_reply(run):
    raw = run.raw()
    raw.send_bytes(msgspec.json.encode({"verb": "look", "request": ask(size=3_000_000)}))
    raw.close()
    until(lambda: not run.server._open)
    assert len(run.source.asked) == 1


def test_more_connections_than_allowed_are_hung_up_on(tmp_path):
    with Run(tmp_path, limits=ServerLimits(connections=2)) as run:
        first, second = run.raw(), run.raw()
        with pytest.raises((EOFError, OSError)):
            run.raw()
        first.close()
        until(lambda: len(run.server._open) == 1)
        run.raw().close()
        second.close()


def test_two_sessions_and_many_threads_at_once(run):
    sessions = [run.session(), run.session()]

    def one(i):
        reply = sessions[i % 2].look(ask(f"q{i}", size=i * 1000))
        return reply.body.startswith(f"q{i} ".encode())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(60)))
    run.recorder.seal()
    assert len(Bundle.open(run.folder).looks) == 60


def test_looks_and_words_are_capped(tmp_path):
    limits = ServerLimits(words=2, gaps=3)
    with Run(tmp_path, limits=limits, look_limits=Limits(looks=1)) as run:
        session = run.session()
        assert session.look(ask()).error == ""
        for _ in range(5):
            assert session.look(ask()).error.startswith("too many looks")
        assert len(run.gaps) == 3
        session.say("one")
        session.note(Note(text="two"))
        with pytest.raises(Refused, match="said too much") as caught:
            session.propose(Ask(action="rollback", target="checkout"))
        assert caught.value.reason == "too_many_words"


def test_a_replay_needs_no_source(tmp_path):
    with Run(tmp_path / "a") as run:
        live = run.session().look(ask())
        run.recorder.seal()
    recording = {"mode": "replay", "recorded": Bundle.open(run.folder)}
    with Run(tmp_path / "b", recording=recording) as again:
        again.server._looks._sources = {}
        session = again.session()
        replayed = session.look(ask())
        assert (replayed.body, replayed.recorded) == (live.body, True)
        assert session.look(ask("new")).error.startswith("not recorded")
        assert again.source.asked == []
        assert again.live == []


def test_when_the_runner_is_gone_the_notebook_is_told(tmp_path):
    with Run(tmp_path) as run:
        session = run.session()
        assert session.look(ask()).error == ""
    with pytest.raises(NeedsRunner, match="does not answer"):
        session.look(ask())
    with pytest.raises(NeedsRunner, match="does not answer"):
        run.session()


def test_an_interrupted_call_does_not_mix_up_the_next(run, monkeypatch):
    session = run.session()
    _ = session.briefing
    connection = session._idle[0]
    real = connection.recv_bytes

    def interrupted():
        real()
        raise KeyboardInterrupt

    connection.recv_bytes = interrupted
    with pytest.raises(KeyboardInterrupt):
        session.look(ask("a"))
    assert session.look(ask("b")).body.startswith(b"b ")


def test_connect_finds_the_run(run, monkeypatch):
    monkeypatch.setenv("IRKIT_SESSION", run.server.session_file)
    assert connect().briefing.principal == "run:r1"
