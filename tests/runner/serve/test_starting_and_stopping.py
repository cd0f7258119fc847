"""`irkit serve` starts, stops and refuses to start, each with a sentence and an exit code."""

from __future__ import annotations

import fcntl
import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from serving import IRKIT, SECRETS, Serving, environment, irkit, until

CONFIG = """
integrations:
  alertmanager: {type: alertmanager, token: env:AM_TOKEN}
catalog: {services: {lending: {owner: library}}}
people: {ada: {token: env:ADA_TOKEN}}
server: {listen: "127.0.0.1:0"}
"""
ALERT = {
    "version": "4", "status": "firing", "receiver": "irkit", "groupKey": "g",
    "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
    "truncatedAlerts": 0,
    "alerts": [{
        "status": "firing", "labels": {"alertname": "LoansRefused", "service": "lending"},
        "annotations": {}, "startsAt": "2026-03-01T14:02:07Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "", "fingerprint": "f00d",
    }],
}  # fmt: skip
ADA = {"Authorization": f"Bearer {SECRETS['ADA_TOKEN']}"}
Start = Callable[[Path], Serving]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "irkit.yaml").write_text(CONFIG)
    return tmp_path


def fire(server: Serving) -> None:
    bearer = {"Authorization": f"Bearer {SECRETS['AM_TOKEN']}"}
    reply = httpx.post(
        f"{server.url}/hooks/alertmanager", json=ALERT, headers=bearer, trust_env=False
    )
    assert reply.status_code == 202, reply.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(home: Path, serving: Start, number: signal.Signals) -> None:
    server = serving(home)
    fire(server)  # a run is under way
    assert server.stop(number) == 0
    told = server.out.read_text() + server.err.read_text()
    assert told.startswith(f"starting  in {home / '.irkit'}\n"), "it is silent for two seconds"
    assert "stopped; what is owed is done by the next start" in told
    assert "Traceback" not in told
    assert SECRETS["AM_TOKEN"] not in told
    assert not (home / ".irkit" / "server.json").exists()


def test_two_on_one_storage_are_one_too_many(home: Path, serving: Start) -> None:
    server = serving(home)
    second = irkit(home, "serve")
    assert second.returncode == 8
    assert f"process {server.process.pid}" in second.stderr
    assert "stop it first" in second.stderr
    assert "Traceback" not in second.stderr
    place = json.loads((home / ".irkit" / "server.json").read_text())
    assert place["process"] == server.process.pid, "the second start left the first one's address"


def test_what_a_killed_server_left_behind_is_not_believed(home: Path, serving: Start) -> None:
    server = serving(home)
    fire(server)
    address = f"{server.url}/api/v1/incidents/IR-1"
    until(lambda: httpx.get(address, headers=ADA, trust_env=False).is_success, "it is triaged")
    server.end()
    place = home / ".irkit" / "server.json"
    assert place.exists(), "it was killed, and could not tidy up"
    done = irkit(home, "ack", "IR-1", token=SECRETS["ADA_TOKEN"])
    assert done.returncode == 0, done.stderr

    # Another command holds the ledger: nobody's token goes to an address that is a dead process's.
    with (home / ".irkit" / "lock").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        busy = irkit(home, "note", "IR-1", "hello", token=SECRETS["ADA_TOKEN"])
    assert busy.returncode == 8
    assert "try again" in busy.stderr

    again = serving(home)
    assert json.loads(place.read_text())["url"] == again.url
    told = httpx.get(f"{again.url}/api/v1/incidents/IR-1", headers=ADA, trust_env=False).json()
    assert told["acked_by"] == "person:ada"


def test_a_taken_port_is_told_and_nothing_is_left(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        failed = irkit(home, "serve", "--listen", where)
    assert failed.returncode == 1
    assert f"cannot listen (address already in use): {where}" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (home / ".irkit" / "server.json").exists()


@pytest.mark.parametrize("listen", ["8400", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:http"])
def test_what_is_no_address_is_told(home: Path, listen: str) -> None:
    failed = irkit(home, "serve", "--listen", listen)
    assert failed.returncode == 2
    assert "use HOST:PORT" in failed.stderr


def test_missing_secrets_are_all_told_before_it_listens(home: Path) -> None:
    failed = irkit(home, "serve", secrets={})
    assert failed.returncode == 2
    assert "irkit.yaml: integrations.alertmanager: a secret is empty or not set" in failed.stderr
    assert "env:AM_TOKEN" in failed.stderr
    assert "irkit.yaml: people.ada" in failed.stderr
    assert not (home / ".irkit").exists(), "it started before it looked at its secrets"


def test_a_stranger_as_person_is_refused(home: Path) -> None:
    failed = irkit(home, "serve", "--person", "eve")
    assert failed.returncode == 2
    assert "nobody of that name: eve" in failed.stderr


def test_a_signal_while_it_starts_is_no_error_either(home: Path, tmp_path: Path) -> None:
    with (tmp_path / "told").open("w") as told:
        process = subprocess.Popen(
            [IRKIT, "serve"], cwd=home, env=environment(SECRETS), stdout=told, stderr=told
        )
    deadline = time.monotonic() + 30
    while not (home / ".irkit" / "lock").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, (tmp_path / "told").read_text()
    assert "Traceback" not in (tmp_path / "told").read_text()
