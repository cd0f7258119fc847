"""The inbox: deliveries that are stored before they are answered, and triaged afterwards."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime

import sqlalchemy as sa

from irkit.clock import Clock
from irkit.model.base import Value
from irkit.model.window import parse_rfc3339
from runner.stores import database as db
from runner.stores.database import Database

_MOST_IN_ONE_COMMIT = 500


class Delivery(Value, frozen=True, kw_only=True):
    """One webhook body as it came: from which source, when, and what became of it.

    `state` is `new`, `triaged` or `unreadable`; one that cannot be read is kept, with the reason.
    """

    id: int
    source: str
    received: datetime
    digest: str
    body: bytes
    state: str = "new"
    incidents: tuple[str, ...] = ()
    error: str = ""


class Inbox:
    """Stores deliveries; many that arrive together share one fsync.

    A single thread writes, so that a storm costs one commit for hundreds of deliveries; `store`
    returns only when its own delivery is on the disk.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self._queue: queue.SimpleQueue[tuple[str, bytes, Future[int]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="inbox", daemon=True)
        self._thread.start()

    def store(self, source: str, body: bytes) -> Future[int]:
        """Hand a delivery in; the future gives its id once it is stored, or raises IrkitError."""
        stored: Future[int] = Future()
        # From here on nobody can cancel it: a sender that hangs up must not stop the writing.
        stored.set_running_or_notify_cancel()
        self._queue.put((source, body, stored))
        return stored

    def close(self) -> None:
        """Store what is waiting, and stop."""
        self._queue.put(None)
        self._thread.join()

    def waiting(self) -> tuple[Delivery, ...]:
        """Deliveries that are not triaged yet, oldest first, so many as are triaged in one go."""
        return self._select(db.deliveries.c.state == "new", most=_MOST_IN_ONE_COMMIT)

    def backlog(self) -> int:
        """How many deliveries are not triaged yet; reads none of their bodies."""
        query = sa.select(sa.func.count()).where(db.deliveries.c.state == "new")
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def unreadable(self) -> tuple[Delivery, ...]:
        """Deliveries that could not be read, oldest first."""
        return self._select(db.deliveries.c.state == "unreadable")

    def all(self) -> tuple[Delivery, ...]:
        """Every delivery, oldest first."""
        return self._select(sa.true())

    def count(self) -> int:
        """How many deliveries were ever stored."""
        with self.database.read() as connection:
            return int(
                connection.execute(
                    sa.select(sa.func.count()).select_from(db.deliveries)
                ).scalar_one()
            )

    def last_received(self) -> datetime | None:
        """When the newest delivery came; None before the first."""
        with self.database.read() as connection:
            newest = connection.execute(sa.select(sa.func.max(db.deliveries.c.received))).scalar()
        return parse_rfc3339(newest) if newest else None

    @staticmethod
    def mark(
        connection: sa.Connection, delivery: int, state: str, *,
        incidents: Sequence[str] = (), error: str = "",
    ) -> None:  # fmt: skip
        """Say what became of a delivery, within the transaction that did it."""
        connection.execute(
            sa.update(db.deliveries)
            .where(db.deliveries.c.id == delivery)
            .values(state=state, incidents=" ".join(incidents), error=error)
        )

    def _select(
        self, condition: sa.ColumnElement[bool], most: int | None = None
    ) -> tuple[Delivery, ...]:
        query = sa.select(db.deliveries).where(condition).order_by(db.deliveries.c.id).limit(most)
        with self.database.read() as connection:
            return tuple(
                Delivery(
                    id=row.id,
                    source=row.source,
                    received=parse_rfc3339(row.received),
                    digest=row.digest,
                    body=row.body,
                    state=row.state,
                    incidents=tuple(row.incidents.split()),
                    error=row.error,
                )
                for row in connection.execute(query)
            )

    def _write(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            batch, closing = [first], False
            while len(batch) < _MOST_IN_ONE_COMMIT:
                try:
                    one = self._queue.get_nowait()
                except queue.Empty:
                    break
                if one is None:
                    closing = True
                    break
                batch.append(one)
            self._commit(batch)
            if closing:
                return

    def _commit(self, batch: list[tuple[str, bytes, Future[int]]]) -> None:
        now = self.clock.now().isoformat()
        try:
            with self.database.write() as connection:
                ids = [
                    connection.execute(
                        sa.insert(db.deliveries)
                        .values(
                            source=source,
                            received=now,
                            digest=hashlib.sha256(body).hexdigest(),
                            body=body,
                            state="new",
                        )
                        .returning(db.deliveries.c.id)
                    ).scalar_one()
                    for source, body, _ in batch
                ]
        except Exception as why:  # noqa: BLE001 - boundary: each sender is told, and the thread lives on
            for _, _, stored in batch:
                stored.set_exception(why)
            return
        for (_, _, stored), one in zip(batch, ids, strict=True):
            stored.set_result(one)
