"""A hostile cell reaches nothing; and the same attempts, unconfined, reach what they should.

Each target is real: a canary in the runner's environment and memory, a file, servers of each
kind in the runner's own process.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from runs_seen import printed

import runner.runs.launch
from irkit.errors import BadInput
from runner.runs import nbfile
from runner.runs.confine import available

HOSTILE = (Path(__file__).parent / "hostile.py").read_text()
CANARY = "canary-5f0e2b"
# What anybody may do to a process and files of their own, if nothing is in the way.
OPEN = {
    *("own environment", "runner's environment", "any environment", "runner's files"),
    *("runner's root", "signal to the runner", "a file outside", "a folder outside"),
    *("writing outside", "writing code", "replacing code", "writing the journal"),
    *("the engine's pipes", "a TCP server", "a UDP server", "an abstract socket"),
    "a Unix socket",
}


def echo(server: socket.socket, over: threading.Event) -> None:
    """Answer each client with its own words, until it is over."""
    server.settimeout(0.1)
    while not over.is_set():
        with contextlib.suppress(TimeoutError, ConnectionError):
            if server.type == socket.SOCK_DGRAM:
                data, address = server.recvfrom(100)
                server.sendto(data, address)
            else:
                with server.accept()[0] as client:
                    client.settimeout(5)
                    client.sendall(client.recv(100))


@pytest.fixture
def serve() -> Iterator[Any]:
    """Starts an echo server on an address; the socket."""
    over = threading.Event()
    started: list[tuple[socket.socket, threading.Thread]] = []

    def serve(family: int, kind: int, address: Any) -> socket.socket:
        server = socket.socket(family, kind)
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen()
        thread = threading.Thread(target=echo, args=(server, over))
        thread.start()
        started.append((server, thread))
        return server

    yield serve
    over.set()
    for server, thread in started:
        thread.join()
        server.close()


@pytest.fixture
def targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Any
) -> Iterator[dict[str, Any]]:
    """Things worth stealing, in this process and beside it."""
    monkeypatch.setenv("VENDOR_TOKEN", CANARY)
    secret = tmp_path / "outside" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text(CANARY)
    secret.chmod(0o644)
    memory = ctypes.create_string_buffer(CANARY.encode())
    abstract = f"irkit-test-{uuid.uuid4()}"
    tcp = serve(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    udp = serve(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    serve(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract)
    serve(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "outside" / "socket"))
    os.chmod(tmp_path / "outside" / "socket", 0o666)
    # What the process was started with is what /proc shows of its environment.
    keeper = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        env={"VENDOR_TOKEN": CANARY},
    )
    yield {
        "canary": CANARY,
        "pid": keeper.pid,
        "own": os.getpid(),
        "address": ctypes.addressof(memory),
        "file": str(secret),
        "code": str(runner.runs.launch.__file__),
        "journal": str(tmp_path / "run-0" / "journal"),
        "port": tcp.getsockname()[1],
        "udp": udp.getsockname()[1],
        "abstract": abstract,
        "unix": str(tmp_path / "outside" / "socket"),
    }
    keeper.communicate()


def script(targets: dict[str, Any]) -> str:
    return f"import json; TARGETS = json.loads({json.dumps(targets)!r})\n{HOSTILE}"


def test_unconfined_the_attempts_succeed(targets: dict[str, Any], tmp_path: Path) -> None:
    """Else the next test would prove nothing."""
    for name in ("code", "journal"):
        targets[name] = str(tmp_path / name)
        Path(targets[name]).touch()
    done = subprocess.run(
        [sys.executable, "-c", script(targets)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    reached = json.loads(done.stdout)
    refused = reached.pop("refused", {})
    assert OPEN - set(reached) == set(), refused
    assert reached["a file outside"] == CANARY
    if os.geteuid() == 0:
        assert reached["runner's memory"] == CANARY
        assert {
            "the engine's memory",
            "being root",
            "powers",
            "kernel settings",
            "new namespaces",
        } <= set(reached)


def test_a_hostile_cell_reaches_nothing(run: Any, targets: dict[str, Any]) -> None:
    result = run(script(targets))
    assert result.status == "succeeded", result.error_text
    reached = json.loads(printed(result))
    refused = reached.pop("refused")
    assert len(refused) + len(reached) == HOSTILE.count("@attempt(")
    assert result.confinement == available()
    if available().complete:
        assert reached == {}
    else:
        assert result.confinement.missing
    with open(result.notebook, encoding="utf-8") as file:
        # The canary stands in the cell itself, once; no output holds it.
        assert file.read().count(CANARY) == script(targets).count(CANARY)


def test_the_session_and_what_is_named_are_reachable_and_no_more(
    run: Any, targets: dict[str, Any], serve: Any, tmp_path: Path
) -> None:
    private = tmp_path / "session"
    private.mkdir(mode=0o700)
    address = private / "s"
    serve(socket.AF_UNIX, socket.SOCK_STREAM, str(address))
    (private / "other").write_text("x")
    session = private / "session.json"
    session.write_text(json.dumps({"socket": str(address), "token": "t"}))
    session.chmod(0o600)
    extra = tmp_path / "data"
    extra.mkdir()
    (extra / "a.csv").write_text("a,b")
    result = run(
        "import json, os, socket\n"
        "session = json.load(open(os.environ['IRKIT_SESSION']))\n"
        "sock = socket.socket(socket.AF_UNIX)\nsock.connect(session['socket'])\n"
        "sock.sendall(b'hello'); print(session['token'], sock.recv(5))\n"
        f"print(open({str(extra / 'a.csv')!r}).read())",
        "def can(f, *a):\n    try: f(*a); return True\n    except OSError: return False\n"
        f"print(can(open, {str(private / 'other')!r}), can(os.listdir, {str(targets['file'])!r}))\n"
        f"print(can(open, {str(extra / 'b')!r}, 'w'), can(open, session['socket'] + 'x', 'w'))\n"
        "print(can(os.unlink, session['socket']), can(open, os.environ['IRKIT_SESSION'], 'w'))\n",
        session=str(session),
        readable=(str(extra),),
    )
    assert result.status == "succeeded", result.error_text
    lines = printed(result).splitlines()
    assert lines[:2] == ["t b'hello'", "a,b"]
    if available().complete:
        assert lines[2:] == ["False False"] * 3


def test_a_session_file_without_a_socket_is_bad_input(run: Any, tmp_path: Path) -> None:
    (tmp_path / "session.json").write_text("{}")
    with pytest.raises(BadInput, match=r"session\.json"):
        run("1", session=str(tmp_path / "session.json"))


def test_a_cell_cannot_pass_off_another_file_as_its_notebook(
    run: Any, targets: dict[str, Any]
) -> None:
    result = run(f"import os; os.symlink({targets['file']!r}, 'notebook.ipynb')", "print('ran')")
    assert Path(result.notebook).is_file()
    assert not Path(result.notebook).is_symlink()
    assert Path(targets["file"]).read_text() == CANARY
    assert "ran" in printed(result)


def test_only_a_plain_file_is_read_back(tmp_path: Path) -> None:
    good = tmp_path / "good.ipynb"
    nbformat.write(nbformat.v4.new_notebook(), good)
    assert nbfile.read_untrusted(str(good)) is not None
    (tmp_path / "link").symlink_to(good)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "deep").write_text("[" * 100_000)
    (tmp_path / "other").write_text('{"cells": 1}')
    for name in ("link", "pipe", "deep", "other", "missing", "."):
        assert nbfile.read_untrusted(str(tmp_path / name)) is None
    os.link(good, tmp_path / "second")
    assert nbfile.read_untrusted(str(good)) is None


def test_what_usual_libraries_need_is_there(run: Any) -> None:
    result = run(
        "import multiprocessing, os, socket, subprocess, tempfile, getpass, zoneinfo, ssl\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, -2]))",
        "!echo shell; tty",
        "%%bash\necho bash $((6 * 7))",
        "print(tempfile.mkdtemp().startswith(os.getcwd()), getpass.getuser())\n"
        "print(zoneinfo.ZoneInfo('Europe/Berlin'), ssl.create_default_context() is not None)\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(socket.create_connection(server.getsockname()) is not None)",
    )
    assert result.status == "succeeded", result.error_text
    text = printed(result)
    assert "[1, 2]" in text
    assert "shell" in text
    assert "bash 42" in text
    if available().complete:
        assert text.endswith("True run\nEurope/Berlin True\nTrue\n")
