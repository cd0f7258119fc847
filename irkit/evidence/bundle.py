"""A bundle: a run's evidence as a folder that anyone can read, replay and check.

    looks.jsonl        one LookRecord per line, in the order in which the looks ended
    blobs/SHA256.gz    the raw replies, each once (SHA256 without .gz until it is compressed)
    briefing.json      what the notebook was told at the start
    manifest.json      version, now, number of looks, hash of the briefing, root; written by seal()

A bundle that a resumed run set aside lies beside it as looks.attempt-N.jsonl.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from irkit.errors import BadInput, IrkitError, LedgerBroken, NotFound
from irkit.evidence.redact import Redactor
from irkit.model.base import Value, decode, digest
from irkit.model.look import LookRecord
from irkit.session import Briefing

VERSION = 1
# What decoding a damaged or foreign value can raise; BadInput where a value checks itself.
UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError, BadInput)
_HASH = re.compile(r"[0-9a-f]{64}")
_RECORD = msgspec.json.Decoder(LookRecord)


class Manifest(Value, frozen=True, kw_only=True):
    """What a sealed bundle says about itself; `root` covers everything else."""

    version: int
    now: datetime
    looks: int
    briefing: str
    root: str


class Bundle:
    """A recorded run's evidence, opened for reading.

    Attributes:
        folder: where it is.
        looks: what was asked, as listed.
        torn: 1 if the last line was cut off by a crash (it is left out), else 0.
        manifest: what `seal()` wrote; None for a run that never ended properly.

    Example:
        >>> bundle = Bundle.open("runs/IR-1-r1/bundle")         # doctest: +SKIP
        >>> bundle.body(bundle.looks[0])[:20]                    # doctest: +SKIP
        b'{"status":"success",'
    """

    def __init__(
        self, folder: Path, looks: tuple[LookRecord, ...], torn: int, manifest: Manifest | None
    ) -> None:
        self.folder, self.looks, self.torn, self.manifest = folder, looks, torn, manifest
        self._by_key = {(look.key, look.nth): look for look in looks}
        self._last = {look.key: look for look in sorted(looks, key=lambda look: look.nth)}

    @classmethod
    def open(cls, folder: str | Path) -> Bundle:
        """Read a bundle's list of looks and its manifest; bodies are read when asked for.

        Raises:
            NotFound: there is no bundle in that folder.
            LedgerBroken: a line before the last, or the manifest, cannot be read.
        """
        folder = Path(folder)
        try:
            lines = (folder / "looks.jsonl").read_bytes().split(b"\n")
        except FileNotFoundError:
            raise NotFound(
                "no evidence bundle here", on=str(folder), next="name a run's bundle folder"
            ) from None
        looks: list[LookRecord] = []
        for number, line in enumerate(lines[:-1], 1):
            try:
                looks.append(_RECORD.decode(line))
            except UNREADABLE:
                raise LedgerBroken(
                    "a line of the evidence cannot be read",
                    on=f"{folder / 'looks.jsonl'}:{number}",
                    next="restore the file from a backup",
                ) from None
        return cls(folder, tuple(looks), int(bool(lines[-1])), _manifest(folder))

    @property
    def root(self) -> str:
        """The hash over now, briefing and every look with its reply's hash: 64 hex digits."""
        return root_of(self.now, self.looks, hash_of(self.folder / "briefing.json"))

    @property
    def now(self) -> datetime:
        """The run's frozen now, in UTC: what windows resolve from and keys are relative to."""
        return self.manifest.now if self.manifest else self.briefing().now

    def briefing(self) -> Briefing:
        """What the recorded run was told at its start.

        Raises:
            NotFound: the bundle has none.
            LedgerBroken: it cannot be read.
        """
        file = self.folder / "briefing.json"
        try:
            return decode(file.read_bytes(), Briefing)
        except FileNotFoundError:
            raise NotFound(
                "the bundle does not say what its run was told",
                on=str(file),
                next="replay a bundle that a runner or a session made",
            ) from None
        except UNREADABLE:
            raise LedgerBroken(
                "the briefing cannot be read", on=str(file), next="restore it from a backup"
            ) from None

    def find(self, key: str, nth: int, *, repeat: bool = False) -> LookRecord | None:
        """The look recorded as the nth with this key; with `repeat`, past the last one the last."""
        found = self._by_key.get((key, nth))
        return self._last.get(key) if found is None and repeat else found

    def body(self, record: LookRecord) -> bytes:
        """The raw reply, after comparing it with its hash; empty for a look that failed.

        Raises:
            LedgerBroken: it is missing or was changed.
        """
        return read_blob(self.folder, record.sha256, record.bytes) if record.sha256 else b""

    def verify(self, root: str = "") -> None:
        """Check every byte that the root covers; `root` is the one that the ledger keeps.

        Raises:
            LedgerBroken: the bundle was never sealed, or something was changed since; says what.
        """
        if self.manifest is None:
            raise LedgerBroken(
                "the bundle was never sealed, so nothing can be proved",
                on=str(self.folder),
                next="its run was cut off; look at the run after it",
            )
        changed = "restore the bundle from a backup"
        if self.torn or len(self.looks) != self.manifest.looks:
            raise LedgerBroken(
                f"{len(self.looks)} looks are listed, {self.manifest.looks} were sealed",
                on=str(self.folder / "looks.jsonl"),
                next=changed,
            )
        if self.manifest.briefing != hash_of(self.folder / "briefing.json"):
            raise LedgerBroken(
                "the briefing was changed", on=str(self.folder / "briefing.json"), next=changed
            )
        if self.root != self.manifest.root:
            raise LedgerBroken(
                "the list of looks or the manifest was changed", on=str(self.folder), next=changed
            )
        if root and root != self.manifest.root:
            raise LedgerBroken(
                "the bundle is not the one that the ledger names", on=str(self.folder), next=changed
            )
        for record in self.looks:
            self.body(record)

    def __repr__(self) -> str:
        sealed = "sealed" if self.manifest else "not sealed"
        return f"<Bundle {self.folder}: {len(self.looks)} looks, {sealed}>"


def root_of(now: datetime, looks: Iterable[LookRecord], briefing: str) -> str:
    """The root hash of a bundle with this content: 64 hex digits."""
    return digest([VERSION, now, briefing, list(looks)])


def hash_of(file: Path) -> str:
    """SHA-256 of a file; empty where there is none."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def read_blob(folder: Path, sha256: str, size: int) -> bytes:
    """A reply by its hash; never reads more than `size` bytes out of a blob."""
    if not _HASH.fullmatch(sha256):  # the list may be foreign: this names a file
        raise LedgerBroken(
            "not a hash", on=repr(sha256[:80]), next="restore the bundle from a backup"
        )
    packed, plain = folder / "blobs" / f"{sha256}.gz", folder / "blobs" / sha256
    try:
        body = _unpack(packed.read_bytes(), size) if packed.exists() else plain.read_bytes()
    except FileNotFoundError:
        raise LedgerBroken(
            "a recorded reply is missing", on=str(packed), next="restore it from a backup"
        ) from None
    if len(body) != size or hashlib.sha256(body).hexdigest() != sha256:
        raise LedgerBroken(
            "a recorded reply was changed", on=str(packed), next="restore it from a backup"
        )
    return body


def _unpack(data: bytes, size: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        body = stream.decompress(data, size + 1)
    except zlib.error:
        return b""
    whole = stream.eof and not stream.unused_data
    return body if whole else b""


def write_briefing(folder: Path, briefing: Briefing, redactor: Redactor) -> None:
    """Keep what the run was told beside its looks, so that it can be replayed with nothing else.

    Raises:
        IrkitError: it cannot be written.
    """
    text = redactor.text(msgspec.json.encode(briefing).decode())
    try:
        write_whole(folder / "briefing.json", text.encode())
    except OSError as why:
        raise IrkitError(
            f"evidence cannot be stored ({why.strerror})",
            on=str(folder),
            next="make the folder writable and make room on its disk",
        ) from None


def write_whole(file: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file that is there whole or not at all, also after a power cut.

    Without `sync` its name may be lost in a power cut until the folder is synced.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_name(file.name + ".half")
    fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(fd)
    os.replace(half, file)
    if sync:
        sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's list of names durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _manifest(folder: Path) -> Manifest | None:
    file = folder / "manifest.json"
    try:
        manifest = decode(file.read_bytes(), Manifest)
    except FileNotFoundError:
        return None
    except UNREADABLE:
        manifest = None
    if manifest is None or manifest.version != VERSION:
        raise LedgerBroken(
            "the manifest cannot be read", on=str(file), next="restore it from a backup"
        )
    return manifest
