"""Was the ledger changed? The chain is computed again from the stored bytes, and its head checked.

Nothing here needs a ledger that can be folded: a broken one is what it is for.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from irkit.errors import LedgerBroken
from irkit.model.base import Value, canonical
from irkit.model.event import BODY_DECODER, GENESIS, chain_hash
from irkit.model.window import parse_rfc3339
from runner.stores import database as db
from runner.stores.database import Database


class Verdict(Value, frozen=True, kw_only=True):
    """What `verify` found: `broken` names what was changed, `unproven` what nobody can tell."""

    incident: str
    events: int
    head: str
    broken: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether nothing was found to be changed."""
        return not self.broken


def verify(database: Database, incident: str, *, printed_head: str = "") -> Verdict:
    """Recompute the chain and check the signed head.

    `printed_head` is a head that was printed elsewhere (a post-mortem, a ticket): it must be on
    the chain.  Without one, the exchange of the whole ledger for an older copy of itself cannot
    be told, and the verdict says so.

    Raises:
        LedgerBroken: the database or the key cannot be read at all.
    """
    broken: list[str] = []
    prev, seen, count = GENESIS, set(), 0
    with database.read() as connection:
        rows = connection.execute(
            sa.select(db.events).where(db.events.c.incident == incident).order_by(db.events.c.seq)
        ).all()
        head = connection.execute(
            sa.select(db.heads).where(db.heads.c.incident == incident)
        ).one_or_none()
    for row in rows:
        count += 1
        if row.seq != count:
            broken.append(f"event {count} is missing (event {row.seq} follows)")
            count = row.seq
        broken.extend(f"event {row.seq}: {why}" for why in _row_mistakes(row, prev))
        prev = row.hash
        seen.add(prev)
    key = signing_key(database.folder / "keys", keep=False)
    broken.extend(_head_mistakes(head, key, incident, count, prev))
    unproven: tuple[str, ...] = ()
    if printed_head and not any(h.startswith(printed_head) for h in seen):
        broken.append(f"the printed head {printed_head} is not on the chain")
    if not printed_head:
        unproven = (
            "that this is the newest ledger and not an older copy of it: give a head that was "
            "printed elsewhere with --head",
        )
    return Verdict(
        incident=incident, events=len(rows), head=prev, broken=tuple(broken), unproven=unproven
    )


def _row_mistakes(row: sa.Row, prev: str) -> list[str]:
    """What is wrong with one stored event; hashes are taken over the bytes as they are stored."""
    mistakes = []
    if row.prev != prev:
        mistakes.append("does not follow the event before it")
    try:
        at, recorded = parse_rfc3339(row.at), parse_rfc3339(row.recorded)
        digest = chain_hash(
            row.prev, row.incident, row.seq, row.key, at, recorded, row.by, row.body.encode()
        )
    except ValueError:  # no time, or no text
        return [*mistakes, "its bytes were changed"]
    # The chain holds moments: the same moment spelled in another way is a change all the same.
    if digest != row.hash or (at.isoformat(), recorded.isoformat()) != (row.at, row.recorded):
        mistakes.append("its bytes were changed")
    try:
        kind = BODY_DECODER.decode(row.body).kind()
    except (msgspec.DecodeError, ValueError):
        return [*mistakes, "it cannot be read"]
    if kind != row.kind:
        mistakes.append("its kind was changed")
    return mistakes


def _head_mistakes(
    head: sa.Row | None, key: Ed25519PrivateKey, incident: str, seq: int, digest: str
) -> list[str]:
    if head is None:
        return ["the signed head is missing"]
    try:
        key.public_key().verify(
            bytes.fromhex(head.signature), head_bytes(incident, head.seq, head.hash)
        )
    except (InvalidSignature, ValueError):
        return ["the head's signature is not the runner's"]
    if head.signature != head.signature.lower():
        return ["the head's bytes were changed"]
    if (head.seq, head.hash) != (seq, digest):
        return [f"the tail was changed: signed up to event {head.seq}, found {seq}"]
    return []


def head_bytes(incident: str, seq: int, digest: str) -> bytes:
    """What is signed."""
    return canonical(["irkit-head-v1", incident, seq, digest])


def signing_key(folder: Path, *, keep: bool) -> Ed25519PrivateKey:
    """The runner's key; made at the first start, readable by the runner alone.

    Where there is none and it is not to be kept, what is returned has signed nothing.

    Raises:
        LedgerBroken: the file is there and holds no such key.
    """
    path = folder / "ledger.pem"
    if path.exists():
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise LedgerBroken(
                "the ledger's signing key cannot be read", on=str(path),
                next="put a backup in its place",
            )  # fmt: skip
        return key
    key = Ed25519PrivateKey.generate()
    if not keep:
        return key
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Whole or not at all: half a key would keep the runner from ever starting again.
    half = folder / f"ledger.pem.{os.getpid()}"
    half.touch(mode=0o600)
    half.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    half.replace(path)
    return key
