"""The ledger: keys once, an intact chain, and every change of a stored byte found."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playing import an_alert, make_plan, opening

from irkit.clock import SetClock
from irkit.errors import AlreadyRunning, BadInput, IrkitError, LedgerBroken, NotFound
from irkit.model import event as ev
from irkit.model.event import Draft
from irkit.model.incident import advance, fold
from runner.stores.chain import verify
from runner.stores.database import Database
from runner.stores.inbox import Inbox
from runner.stores.ledger import Ledger

START = datetime(2026, 3, 1, 14, 2, tzinfo=UTC)
PLAN = make_plan(START)
BODIES: tuple[ev.AnyBody, ...] = (
    ev.AlertFired(alert=an_alert(START), delivery="a#1"),
    ev.AlertResolved(alert=an_alert(START, firing=False), delivery="a#2"),
    ev.SeverityChanged(was="SEV3", severity="SEV1", why="it spreads"),
    ev.Acknowledged(note="mine"),
    ev.RunStarted(run="IR-1-r1", ordinal=1, attempt=1, purpose="diagnose", runbook="r", now=START),
    ev.RunFinished(run="IR-1-r1", attempt=1, status="succeeded", seconds=2.5),
    ev.PlanMade(plan=PLAN),
    ev.ApprovalGiven(plan=PLAN.id, plan_hash=PLAN.hash, expires_at=START),
    ev.ApprovalDenied(plan=PLAN.id, plan_hash=PLAN.hash),
    ev.ActionStarted(plan=PLAN.id, key=PLAN.key),
    ev.EffectFailed(effect="run:1", attempt=1, error="it fell over"),
    ev.NoteWritten(text='quotes " and \\ and ünïcode \u2028'),
    ev.AttentionNeeded(why="look", about="run:1"),
    ev.IncidentResolved(why="over"),
    ev.PostmortemExported(run="IR-1-r1", upto=3, head="0" * 64, files={"postmortem.html": "ab"}),
)
drafts = st.builds(
    Draft,
    key=st.text("abc", min_size=1, max_size=2),
    at=st.integers(0, 86400).map(lambda s: START + timedelta(seconds=s)),
    by=st.sampled_from(["system", "person:oncall", "run:IR-1-r1", "hook:a"]),
    body=st.sampled_from(BODIES),
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state")
    yield database
    database.close()


def open_incident(ledger: Ledger) -> str:
    with ledger.writing(), ledger.database.write() as connection:
        event = ledger.open_within(connection, opening(), at=START, by="hook:a")
    ledger.committed((event,))
    return event.incident


def filled(database: Database) -> tuple[Ledger, str]:
    """A ledger with one incident of every kind of event above."""
    ledger = Ledger(database, SetClock(START))
    incident = open_incident(ledger)
    for number, body in enumerate(BODIES):
        ledger.append(incident, Draft(key=f"k{number}", at=START, by="person:oncall", body=body))
    return ledger, incident


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(drafts, max_size=4), max_size=8))
def test_any_appends_make_an_intact_chain(
    batches: list[list[Draft]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = Database(tmp_path_factory.mktemp("ledger"))
    try:
        ledger = Ledger(database, SetClock(START))
        incident = open_incident(ledger)
        seen = {"opened"}
        for batch in batches:
            new = ledger.append(incident, *batch)
            fresh = list(dict.fromkeys(d.key for d in batch if d.key not in seen))
            assert [e.key for e in new] == fresh
            seen.update(fresh)
        events = ledger.events(incident)
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        assert len({e.key for e in events}) == len(events) == len(seen)
        state = fold(events[:1])
        for event in events[1:]:
            state = advance(state, event)
        assert state == fold(events) == ledger.state(incident)
        assert Ledger(database, SetClock(START)).state(incident) == state
        verdict = ledger.verify(incident, printed_head=events[-1].hash)
        assert verdict.intact
        assert verdict.unproven == ()
    finally:
        database.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed ledger's folder, to be copied and damaged."""
    folder = tmp_path_factory.mktemp("written")
    database = Database(folder)
    filled(database)
    database.close()
    with sqlite3.connect(folder / "irkit.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return folder


@pytest.fixture
def damaged(written: Path, tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, Path]]:
    """A copy of the ledger, open for damage."""
    for name in ("irkit.db", "keys/ledger.pem"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((written / name).read_bytes())
    connection = sqlite3.connect(tmp_path / "irkit.db", isolation_level=None)
    yield connection, tmp_path
    connection.close()


def judged(folder: Path, incident: str = "IR-1", head: str = "") -> tuple[str, ...]:
    database = Database(folder, writer=False)
    try:
        return verify(database, incident, printed_head=head).broken
    finally:
        database.close()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_changed_byte_is_named(
    data: st.DataObject, damaged: tuple[sqlite3.Connection, Path]
) -> None:
    connection, folder = damaged
    columns = ["key", "kind", "at", "recorded", "by", "body", "prev", "hash"]
    column = data.draw(st.sampled_from(columns))
    seq = data.draw(st.integers(1, len(BODIES) + 1))
    where = "WHERE incident = 'IR-1' AND seq = ?"
    select = f'SELECT CAST("{column}" AS BLOB) FROM events {where}'
    (before,) = connection.execute(select, (seq,)).fetchone()
    at = data.draw(st.integers(0, len(before) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != before[at]))
    after = before[:at] + bytes([byte]) + before[at + 1 :]
    update = f'UPDATE events SET "{column}" = CAST(? AS TEXT) {where}'
    try:
        connection.execute(update, (after, seq))
    except sqlite3.IntegrityError:
        return  # the key of another event: the database itself refuses
    broken = judged(folder)
    connection.execute(update, (before, seq))
    assert any(f"event {seq}" in why for why in broken), (column, at, byte, broken)
    assert judged(folder) == ()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("DELETE FROM events WHERE seq = 4", "event 4 is missing"),
        ("DELETE FROM events WHERE seq = 1", "event 1 is missing"),
        ("DELETE FROM events WHERE seq = 16", "the tail was changed"),
        ("DELETE FROM events WHERE seq > 3", "changed: signed up to event 16, found 3"),
        ("DELETE FROM events", "the tail was changed"),
        ("DELETE FROM heads", "the signed head is missing"),
        ("UPDATE heads SET seq = 15", "signature is not the runner's"),
        ("UPDATE heads SET signature = 'zz'", "signature is not the runner's"),
        ("UPDATE events SET seq = 99 WHERE seq = 16", "event 16 is missing"),
        ("UPDATE events SET at = replace(at, 'T', ' ') WHERE seq = 2", "event 2: its bytes"),
        ("UPDATE events SET kind = 'incident.opened' WHERE seq = 2", "event 2: its kind"),
    ],
)
def test_removed_and_forged_events_are_named(
    damage: str, named: str, damaged: tuple[sqlite3.Connection, Path]
) -> None:
    connection, folder = damaged
    connection.execute(damage)
    assert any(named in why for why in judged(folder)), judged(folder)


def test_an_added_event_is_named(damaged: tuple[sqlite3.Connection, Path]) -> None:
    """Somebody who knows how the chain is made, and has no key."""
    connection, folder = damaged
    at = START.isoformat()
    (prev,) = connection.execute("SELECT hash FROM events WHERE seq = 16").fetchone()
    body = '{"kind":"note.written","text":"nothing happened"}'
    digest = ev.chain_hash(prev, "IR-1", 17, "forged", START, START, "system", body.encode())
    row = ("IR-1", 17, "forged", "note.written", at, at, "system", body, prev, digest)
    connection.execute(f"INSERT INTO events VALUES ({','.join('?' * 10)})", row)
    assert judged(folder) == ("the tail was changed: signed up to event 16, found 17",)


def test_an_older_copy_is_told_by_a_printed_head(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    (folder / "keys").mkdir(parents=True)
    for name in ("irkit.db", "keys/ledger.pem"):
        (folder / name).write_bytes((written / name).read_bytes())
    old = (folder / "irkit.db").read_bytes()
    database = Database(folder)
    ledger = Ledger(database, SetClock(START))
    note = Draft(key="later", at=START, by="person:oncall", body=ev.NoteWritten(text="printed"))
    head = ledger.append("IR-1", note)[0].hash
    database.close()
    assert judged(folder, head=head[:12]) == ()
    for name in ("irkit.db-wal", "irkit.db-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "irkit.db").write_bytes(old)
    assert judged(folder) == ()  # nothing inside can tell
    assert judged(folder, head=head[:12]) == (f"the printed head {head[:12]} is not on the chain",)


@pytest.mark.parametrize(
    "damage",
    [
        'UPDATE events SET body = \'{"kind":"no.such"}\' WHERE seq = 3',
        "UPDATE events SET body = 'x' WHERE seq = 3",
        "UPDATE events SET body = CAST(x'ff' AS TEXT) WHERE seq = 3",
        "UPDATE events SET at = 'yesterday' WHERE seq = 3",
        "DELETE FROM events WHERE seq = 1",
        "DELETE FROM events",
    ],
)
def test_a_broken_event_stops_the_start_and_says_what_next(
    damage: str, damaged: tuple[sqlite3.Connection, Path]
) -> None:
    connection, folder = damaged
    connection.execute(damage)
    database = Database(folder)
    with pytest.raises(LedgerBroken, match="irkit verify IR-1"):
        Ledger(database, SetClock(START))
    assert verify(database, "IR-1").broken
    database.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "irkit.db").write_bytes(b"not a database at all, but long enough" * 100)
    with pytest.raises(LedgerBroken, match="backup"):
        Database(tmp_path)
    (tmp_path / "irkit.db").unlink()
    Database(tmp_path).close()  # the folder was given up


def test_half_a_key(database: Database) -> None:
    ledger, _ = filled(database)
    (ledger.database.folder / "keys" / "ledger.pem").write_bytes(b"-----BEGIN PRIV")
    with pytest.raises(LedgerBroken, match="signing key"):
        Ledger(database, SetClock(START))


def test_the_key_is_the_runners_alone(database: Database) -> None:
    filled(database)
    path = database.folder / "keys" / "ledger.pem"
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == ["ledger.pem"]


def test_a_second_start_on_the_same_folder(database: Database) -> None:
    ledger, incident = filled(database)
    before = len(ledger.events(incident))
    with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
        Database(database.folder)
    assert len(ledger.events(incident)) == before
    database.close()
    Database(database.folder).close()


def test_a_reader_beside_the_writer(database: Database) -> None:
    ledger, incident = filled(database)
    reader = Database(database.folder, writer=False)
    assert Ledger(reader, SetClock(START)).state(incident) == ledger.state(incident)
    note = Draft(key="n", at=START, by="system", body=ev.NoteWritten(text="x"))
    with pytest.raises(IrkitError, match="closed"):
        Ledger(reader, SetClock(START)).append(incident, note)
    reader.close()


def test_nothing_is_written_after_closing(database: Database) -> None:
    ledger, incident = filled(database)
    before = ledger.events(incident)
    database.close()
    note = Draft(key="n", at=START, by="system", body=ev.NoteWritten(text="late"))
    with pytest.raises(IrkitError, match="nothing was stored"):
        ledger.append(incident, note)
    again = Database(database.folder)
    assert Ledger(again, SetClock(START)).events(incident) == before
    again.close()


def test_all_of_a_batch_or_nothing(database: Database) -> None:
    ledger, incident = filled(database)
    before = ledger.events(incident)
    good = Draft(key="good", at=START, by="system", body=ev.NoteWritten(text="x"))
    bad = Draft(key="bad", at=START, by="somebody", body=ev.NoteWritten(text="x"))
    with pytest.raises(BadInput, match="not a principal"):
        ledger.append(incident, good, bad)
    assert ledger.events(incident) == before
    assert ledger.verify(incident).intact


def test_appends_from_many_threads(database: Database) -> None:
    ledger, incident = filled(database)
    heard: list[int] = []
    ledger.listen(lambda events: heard.extend(e.seq for e in events))

    def write(name: int) -> None:
        for number in range(20):
            key = f"shared{number}" if number % 2 else f"{name}-{number}"
            note = Draft(key=key, at=START, by="system", body=ev.NoteWritten(text=str(name)))
            ledger.append(incident, note)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.events(incident)) == 1 + len(BODIES) + 10 + 4 * 10
    assert sorted(heard) == list(range(2 + len(BODIES), 2 + len(BODIES) + 50))
    assert ledger.verify(incident).intact
    assert ledger.state(incident) == fold(ledger.events(incident))


def test_unknown_incident(database: Database) -> None:
    ledger = Ledger(database, SetClock(START))
    with pytest.raises(NotFound, match="irkit incidents"):
        ledger.state("IR-9")
    assert verify(database, "IR-9").broken == ("the signed head is missing",)


def test_names_of_incidents_are_never_used_twice(database: Database) -> None:
    ledger = Ledger(database, SetClock(START))
    assert [open_incident(ledger) for _ in range(11)] == [f"IR-{n}" for n in range(1, 12)]
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM events WHERE incident = 'IR-3'")
    assert open_incident(ledger) == "IR-12"
    assert ledger.incidents()[:3] == ("IR-1", "IR-2", "IR-3")
    assert ledger.incidents()[-1] == "IR-12"


# -- a full disk ------------------------------------------------------------------------


def test_a_full_disk_stores_nothing_says_so_and_heals(database: Database) -> None:
    ledger, incident = filled(database)
    inbox = Inbox(database, SetClock(START))
    first = inbox.store("a", b"small").result(10)
    state, count = ledger.state(incident), inbox.count()

    def limit(pages: int) -> None:
        with database.write() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    limit(1)  # no smaller than the file is now
    body = b"x" * 100_000
    long = Draft(key="n", at=START, by="system", body=ev.NoteWritten(text="y" * 100_000))
    with pytest.raises(IrkitError, match=r"disk is full, nothing was stored.*free space"):
        ledger.append(incident, long)
    with pytest.raises(IrkitError, match="disk is full"):
        inbox.store("a", body).result(10)
    assert (ledger.state(incident), inbox.count()) == (state, count)
    assert ledger.verify(incident).intact
    limit(1_000_000)
    assert ledger.append(incident, long)[0].key == "n"
    assert inbox.store("a", body).result(10) == first + 1
    assert ledger.verify(incident).intact
    inbox.close()


# -- the inbox --------------------------------------------------------------------------


def test_many_deliveries_share_commits_and_none_is_lost(database: Database) -> None:
    inbox = Inbox(database, SetClock(START))
    commits: list[int] = []
    whole = inbox._commit
    inbox._commit = lambda batch: (commits.append(len(batch)), whole(batch))[1]  # type: ignore[method-assign,assignment,func-returns-value]
    ids: list[int] = []

    def send(name: int) -> None:
        waiting = [inbox.store("a", f"{name}-{n}".encode()) for n in range(50)]
        ids.extend(one.result(20) for one in waiting)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    inbox.close()
    assert sorted(ids) == list(range(1, 201))
    sent = {f"{name}-{n}".encode() for name in range(4) for n in range(50)}
    assert {d.body for d in inbox.all()} == sent
    assert sum(commits) == 200
    assert len(commits) < 200


def test_a_sender_that_hangs_up_stops_nobody(database: Database) -> None:
    inbox = Inbox(database, SetClock(START))
    with database.write():  # the writer waits, the delivery is queued
        left = inbox.store("a", b"left")
        assert not left.cancel()
    assert inbox.store("a", b"next").result(10) == 2
    assert inbox.count() == 2
    inbox.close()


def test_closing_stores_what_waits(database: Database) -> None:
    inbox = Inbox(database, SetClock(START))
    stored = [inbox.store("a", str(n).encode()) for n in range(20)]
    inbox.close()
    assert [one.result(0) for one in stored] == list(range(1, 21))


STORM = """
import sys, threading
from pathlib import Path
from irkit.clock import SystemClock
from runner.stores.database import Database
from runner.stores.inbox import Inbox

inbox = Inbox(Database(Path(sys.argv[1])), SystemClock())
out = threading.Lock()

def send(name):
    n = 0
    while True:
        body = f"{name}-{n}"
        inbox.store("a", body.encode()).result()
        with out:
            print(body, flush=True)
        n += 1

threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
for thread in threads:
    thread.start()
"""


def test_killed_in_a_storm_every_acknowledged_delivery_is_there_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STORM, str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as storm:
        assert storm.stdout
        acknowledged = [storm.stdout.readline().strip() for _ in range(150)]
        storm.send_signal(signal.SIGKILL)
        lines = storm.stdout.read().split("\n")
        acknowledged += lines[:-1]
    database = Database(tmp_path / "state")
    inbox = Inbox(database, SetClock(START))
    stored = [d.body.decode() for d in inbox.waiting()]
    inbox.close()
    database.close()
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    assert len(stored) - len(acknowledged) <= 8
