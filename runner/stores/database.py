"""The database of the ledger and the inbox: one file, one writer, migrated at start.

The engine's own tables (DBOS) live in another file on purpose: in one file the two slow each other
down.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import sqlalchemy as sa

from irkit.errors import AlreadyRunning, IrkitError, LedgerBroken

metadata = sa.MetaData()

events = sa.Table(
    "events",
    metadata,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("recorded", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.UniqueConstraint("incident", "key", name="event_key_once"),
)

heads = sa.Table(
    "heads",
    metadata,
    sa.Column("incident", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("received", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # new | triaged | unreadable
    sa.Column("incidents", sa.Text, nullable=False, server_default=""),
    sa.Column("error", sa.Text, nullable=False, server_default=""),
    sa.Index("delivery_state", "state", "id"),
)


class Database:
    """The opened database; `write()` is the only way to change it.

    A reader writes nothing, and so works on a backup in a folder that cannot be written.  One
    process writes at a time: a lock on the folder is held from opening to closing.  SQLite runs
    with `synchronous=FULL` and a write-ahead log, so what is committed survives a power cut.

    Raises:
        AlreadyRunning: another process holds the folder.
        IrkitError: it cannot be written, or to a reader: there is no ledger yet.
    """

    def __init__(self, folder: Path, *, writer: bool = True) -> None:
        self.folder, self.writer = folder, writer
        self._lock = threading.RLock()
        self._held: IO[str] | None = None
        if writer:
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._held = _hold(folder / "lock")
            except OSError as why:
                raise IrkitError(
                    f"the storage cannot be written ({why.strerror})", on=str(folder),
                    next="set storage.path to a folder that can be; show, incidents and verify "
                    "read this one as it is",
                ) from None  # fmt: skip
        elif not (folder / "irkit.db").exists():
            raise IrkitError(
                "there is no ledger yet", on=str(folder), next="start one with: irkit serve"
            )
        fixed = not writer and not os.access(folder, os.W_OK)
        where = _unwritable(folder) if fixed else str(folder / "irkit.db")
        self.engine = sa.create_engine(f"sqlite:///{where}", connect_args={"timeout": 10})
        sa.event.listen(self.engine, "connect", _as_text if fixed else _pragmas)
        if writer:
            try:
                _migrate(self.engine)
            except sa.exc.DatabaseError as why:
                self.close()
                raise storage_error(why, folder) from why

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction, alone; everything in it is stored on leaving, or nothing.

        Raises:
            IrkitError: the disk is full or the file cannot be written; nothing was stored.
        """
        with self._lock:
            if self._held is None:
                raise IrkitError(
                    "the ledger is closed, nothing was stored", on=str(self.folder),
                    next="what is owed is done by the next start",
                )  # fmt: skip
            try:
                with self.engine.begin() as connection:
                    yield connection
            except sa.exc.DatabaseError as why:
                if not _is_storage_trouble(why):
                    raise
                raise storage_error(why, self.folder) from why

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A consistent view for reading."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except sa.exc.DatabaseError as why:
            if not _is_storage_trouble(why):
                raise
            raise storage_error(why, self.folder) from why

    def close(self) -> None:
        """Close it and give the folder up; whoever still wants to write is refused."""
        with self._lock:
            self.engine.dispose()
            if self._held:
                self._held.close()
                self._held = None


def _is_storage_trouble(why: sa.exc.DatabaseError) -> bool:
    """Whether the disk or the file is at fault, and not what was asked of it."""
    return isinstance(why, sa.exc.OperationalError) or type(why) is sa.exc.DatabaseError


def storage_error(why: Exception, folder: Path) -> IrkitError:
    """What a failed read or write means and what to do about it."""
    text = str(getattr(why, "orig", why))
    if "malformed" in text or "not a database" in text:
        return LedgerBroken(
            f"the database's bytes were damaged ({text})", on=str(folder / "irkit.db"),
            next="put a backup in its place",
        )  # fmt: skip
    full = "full" in text or "No space" in text or "disk I/O" in text
    what = "the disk is full, nothing was stored" if full else f"cannot store ({text})"
    cure = "free space there; what is owed is done then" if full else "look at the folder"
    return IrkitError(what, on=str(folder), next=cure)


def _hold(path: Path) -> IO[str]:
    held = path.open("a+")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.seek(0)
        owner = held.read().strip() or "unknown"
        held.close()
        raise AlreadyRunning(
            "another irkit process is using this folder",
            on=f"{path.parent} (process {owner})",
            next="stop it first, or use another storage.path",
        ) from None
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
    return held


def _unwritable(folder: Path) -> str:
    """The database in a folder where nothing can be written, such as a backup that is mounted.

    Raises:
        IrkitError: it was copied while it was written, and its end lies in the write-ahead log.
    """
    log = folder / "irkit.db-wal"
    if log.exists() and log.stat().st_size:
        raise IrkitError(
            "the newest events lie in a write-ahead log, which cannot be read in a folder that "
            "cannot be written",
            on=str(log), next="copy the folder to where you can write, and look at the copy",
        )  # fmt: skip
    return f"file:{quote(str((folder / 'irkit.db').resolve()))}?mode=ro&immutable=1&uri=true"


def _as_text(connection: object, _record: object) -> None:
    # A changed byte that is no text any more must be found by the chain, not by the reader.
    connection.text_factory = lambda given: given.decode("utf-8", "surrogateescape")  # type: ignore[attr-defined]


def _pragmas(connection: object, record: object) -> None:
    _as_text(connection, record)
    cursor = connection.cursor()  # type: ignore[attr-defined]
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _migrate(engine: sa.Engine) -> None:
    # Imported here: commands that only read the ledger are quicker by a quarter of a second.
    from alembic import command
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
