"""The ledger: what happened, append-only and hash-chained, with a signed head per incident."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec
import sqlalchemy as sa

from irkit.clock import Clock
from irkit.errors import LedgerBroken, NotFound
from irkit.model.base import Value, canonical
from irkit.model.event import (
    BODY_DECODER,
    GENESIS,
    Draft,
    Event,
    IncidentOpened,
    chain_hash,
)
from irkit.model.incident import IncidentState, advance, fold
from irkit.model.principal import check_principal
from irkit.model.window import parse_rfc3339
from runner.stores import database as db
from runner.stores.chain import Verdict, head_bytes, signing_key, verify
from runner.stores.database import Database

Listener = Callable[[tuple[Event, ...]], None]


class Head(Value, frozen=True, kw_only=True):
    """The end of an incident's chain, signed by the runner."""

    incident: str
    seq: int
    hash: str
    signature: str


class Ledger:
    """Reads and appends events.  Every append is one fsynced transaction; keys are stored once.

    States are folded once and kept; they are only a memory of what the events say, and a new
    ledger on the same database folds them again.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database, self.clock = database, clock
        self._states: dict[str, IncidentState] = {}
        self._listeners: list[Listener] = []
        self._lock = threading.RLock()
        self._signing = signing_key(database.folder / "keys", keep=database.writer)
        for incident in self.incidents():
            try:
                self._states[incident] = fold(self.events(incident))
            except (ValueError, msgspec.DecodeError) as why:
                raise LedgerBroken(
                    f"an event cannot be read ({why})",
                    on=incident,
                    next=f"see what was changed with: irkit verify {incident}",
                ) from why

    def listen(self, listener: Listener) -> None:
        """Call `listener` with the new events after each append, outside the transaction."""
        self._listeners.append(listener)

    # -- reading --------------------------------------------------------------------------------

    def incidents(self) -> tuple[str, ...]:
        """The ids of all incidents, oldest first; also of those that lost their first event."""
        with self.database.read() as connection:
            return tuple(sorted(_ids(connection), key=_number))

    def events(self, incident: str, after: int = 0) -> tuple[Event, ...]:
        """An incident's events in order, those behind `after` only; empty if there are none."""
        with self.database.read() as connection:
            return _read(connection, incident, after)

    def state(self, incident: str) -> IncidentState:
        """The incident's state now.

        Raises:
            NotFound: there is no such incident.
        """
        with self._lock:
            known = self._states.get(incident)
        if known is None:
            raise NotFound("no such incident", on=incident, next="list them with: irkit incidents")
        return known

    def states(self) -> tuple[IncidentState, ...]:
        """All incidents' states, oldest first."""
        with self._lock:
            return tuple(self._states.values())

    def newest_open(self) -> IncidentState | None:
        """The open incident that was opened last, or None."""
        return next((s for s in reversed(self.states()) if s.state != "resolved"), None)

    def head(self, incident: str) -> Head:
        """The signed end of the incident's chain."""
        with self.database.read() as connection:
            row = connection.execute(
                sa.select(db.heads).where(db.heads.c.incident == incident)
            ).one_or_none()
        if row is None:
            raise NotFound("no such incident", on=incident, next="list them with: irkit incidents")
        return Head(incident=row.incident, seq=row.seq, hash=row.hash, signature=row.signature)

    @property
    def signer(self) -> str:
        """The fingerprint of the key that signs heads, such as `ed25519:9f2c1e7d60b4a5c3`."""
        raw = self._signing.public_key().public_bytes_raw()
        return f"ed25519:{hashlib.sha256(raw).hexdigest()[:16]}"

    # -- appending ------------------------------------------------------------------------------

    def append(self, incident: str, *drafts: Draft) -> tuple[Event, ...]:
        """Store events at the end; a key that is there already is passed over, whatever it says.

        Returns the events that are new.  All or none are stored.
        """
        return self.extend(incident, lambda _state: drafts)

    def extend(
        self, incident: str, decide: Callable[[IncidentState], Sequence[Draft]]
    ) -> tuple[Event, ...]:
        """Store what `decide` says of the state as it is now; nobody can append in between.

        Raises:
            NotFound: there is no such incident.
        """
        with self._lock:
            drafts = decide(self.state(incident))
            if not drafts:
                return ()
            with self.database.write() as connection:
                stored = self.append_within(connection, incident, drafts)
            self._take_in(stored)
        self._tell(stored)
        return stored

    def open_within(
        self, connection: sa.Connection, opened: IncidentOpened, *, at: datetime, by: str
    ) -> Event:
        """Open a new incident within a transaction that somebody else commits; names it `IR-n`."""
        incident = f"IR-{max(map(_number, _ids(connection)), default=0) + 1}"
        draft = Draft(key="opened", at=at, by=by, body=opened)
        return self.append_within(connection, incident, (draft,))[0]

    def append_within(
        self, connection: sa.Connection, incident: str, drafts: Sequence[Draft]
    ) -> tuple[Event, ...]:
        """Append within a transaction that somebody else commits and then calls `committed`."""
        last = connection.execute(
            sa.select(db.events.c.seq, db.events.c.hash)
            .where(db.events.c.incident == incident)
            .order_by(db.events.c.seq.desc())
            .limit(1)
        ).one_or_none()
        seq, prev = (last.seq, last.hash) if last else (0, GENESIS)
        known = set(
            connection.execute(
                sa.select(db.events.c.key).where(
                    db.events.c.incident == incident,
                    db.events.c.key.in_([d.key for d in drafts]),
                )
            ).scalars()
        )
        stored: list[Event] = []
        for draft in drafts:
            if draft.key in known:
                continue
            known.add(draft.key)
            seq += 1
            event = self._event(incident, seq, prev, draft)
            stored.append(event)
            prev = event.hash
        if stored:
            connection.execute(sa.insert(db.events), [_row(e) for e in stored])
            self._sign(connection, incident, seq, prev)
        return tuple(stored)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold everybody else off while a transaction reads states and appends within them."""
        with self._lock:
            yield

    def committed(self, stored: tuple[Event, ...]) -> None:
        """Take in events that were committed by `append_within`, and tell the listeners."""
        self._take_in(stored)
        self._tell(stored)

    def _take_in(self, stored: tuple[Event, ...]) -> None:
        with self._lock:
            for event in stored:
                known = self._states.get(event.incident)
                self._states[event.incident] = advance(known, event) if known else fold([event])

    def _tell(self, stored: tuple[Event, ...]) -> None:
        """Never while the lock is held: a listener may read the ledger from another thread."""
        if stored:
            for listener in self._listeners:
                listener(stored)

    def _event(self, incident: str, seq: int, prev: str, draft: Draft) -> Event:
        check_principal(draft.by)
        recorded = self.clock.now()
        body = canonical(draft.body)
        digest = chain_hash(prev, incident, seq, draft.key, draft.at, recorded, draft.by, body)
        return Event(
            incident=incident,
            seq=seq,
            key=draft.key,
            at=draft.at,
            recorded=recorded,
            by=draft.by,
            body=draft.body,
            prev=prev,
            hash=digest,
        )

    def _sign(self, connection: sa.Connection, incident: str, seq: int, digest: str) -> None:
        signature = self._signing.sign(head_bytes(incident, seq, digest)).hex()
        connection.execute(sa.delete(db.heads).where(db.heads.c.incident == incident))
        connection.execute(
            sa.insert(db.heads).values(incident=incident, seq=seq, hash=digest, signature=signature)
        )

    def verify(self, incident: str, *, printed_head: str = "") -> Verdict:
        """Recompute the chain and check its signed head; see `runner.stores.chain.verify`."""
        return verify(self.database, incident, printed_head=printed_head)


def _ids(connection: sa.Connection) -> set[str]:
    """All incidents, found by their first event or by their head: either may have been removed."""
    first = sa.select(db.events.c.incident).where(db.events.c.seq == 1)
    return set(connection.execute(first.union(sa.select(db.heads.c.incident))).scalars())


def _number(incident: str) -> int:
    digits = incident.removeprefix("IR-")
    return int(digits) if digits.isdecimal() else 0


def _row(event: Event) -> dict[str, object]:
    return {
        "incident": event.incident,
        "seq": event.seq,
        "key": event.key,
        "kind": event.kind,
        "at": event.at.isoformat(),
        "recorded": event.recorded.isoformat(),
        "by": event.by,
        "body": canonical(event.body).decode(),
        "prev": event.prev,
        "hash": event.hash,
    }


def _read(connection: sa.Connection, incident: str, after: int) -> tuple[Event, ...]:
    rows = connection.execute(
        sa.select(db.events)
        .where(db.events.c.incident == incident, db.events.c.seq > after)
        .order_by(db.events.c.seq)
    )
    return tuple(
        Event(
            incident=row.incident,
            seq=row.seq,
            key=row.key,
            at=parse_rfc3339(row.at),
            recorded=parse_rfc3339(row.recorded),
            by=row.by,
            body=BODY_DECODER.decode(row.body),
            prev=row.prev,
            hash=row.hash,
        )
        for row in rows
    )
