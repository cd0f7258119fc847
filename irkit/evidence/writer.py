"""Writes a bundle while the run goes on.

A look is on disk (as the kernel sees it) before its reply is returned, so that killing the process
loses none.  Compressing and syncing to the medium follow in the background; `flush` waits for
them, and comes before anything that others see: a proposal, a message, a note, the seal.
"""

from __future__ import annotations

import errno
import os
import threading
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import msgspec

from irkit.errors import BadInput, IrkitError
from irkit.evidence.bundle import (
    VERSION,
    Manifest,
    hash_of,
    root_of,
    sync_folder,
    write_whole,
)
from irkit.model.look import LookRecord

_LEVEL = 1  # in the background, but on the same processors as the run
_WAITING = 8  # replies held in memory until they are compressed; then looks wait


class Writer:
    """Appends looks and their replies to a bundle's folder, which is made at the first one.

    Raises:
        BadInput: the folder holds a recording already.  With `again` that recording is set aside
            (`looks.attempt-1.jsonl`), and its replies are shared.
    """

    def __init__(self, folder: Path, *, again: bool = False) -> None:
        self.folder = folder
        self._looks: list[LookRecord] = []
        self._kept: set[str] = set()
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(_WAITING)
        self._background = ThreadPoolExecutor(1, thread_name_prefix="irkit-evidence")
        self._fd = -1
        self._sync_waits = self._ended = self._closed = False
        self._failed: OSError | None = None
        if (folder / "looks.jsonl").exists():
            if not again:
                raise BadInput(
                    "the folder holds a recording already",
                    on=str(folder),
                    next="record into an empty folder, or resume",
                )
            _set_aside(folder)

    def add(self, record: LookRecord, body: bytes) -> None:
        """Store one look and its reply (empty for a failed one).

        Raises:
            OSError: it cannot be written; then nothing of it is in the list.
        """
        line = msgspec.json.encode(record) + b"\n"
        sha256 = record.sha256
        self._room.acquire()  # given back when the reply is compressed
        waits = False
        try:
            with self._lock:
                self._open()
                if sha256 and sha256 not in self._kept:
                    (self.folder / "blobs" / sha256).write_bytes(body)
                    waits = True
                self._append(line)
                self._looks.append(record)
                if waits:
                    self._kept.add(sha256)
                    self._background.submit(self._compress, sha256, body)
                if not self._sync_waits:  # one sync serves every look added until it begins
                    self._sync_waits = True
                    self._background.submit(self._sync)
        except OSError:
            waits = False
            raise
        finally:
            if not waits:
                self._room.release()

    def flush(self) -> None:
        """Wait until everything added so far would survive a power cut.

        Raises:
            IrkitError: it would not, for the medium failed.
        """
        with self._lock:
            if self._fd < 0 or self._closed:
                return
            done: Future[None] = self._background.submit(self._sync)
        done.result()
        if self._failed is not None:
            raise self._not_stored(self._failed)

    def seal(self, now: datetime) -> str:
        """Write the manifest; returns the root hash.  Nothing can be added afterwards.

        Raises:
            IrkitError: the medium failed; the bundle stays unsealed.
        """
        try:
            with self._lock:
                self._open()
                self._ended = True
            self.flush()
            briefing = hash_of(self.folder / "briefing.json")
            root = root_of(now, self._looks, briefing)
            manifest = Manifest(
                version=VERSION, now=now, looks=len(self._looks), briefing=briefing, root=root
            )
            write_whole(self.folder / "manifest.json", msgspec.json.encode(manifest) + b"\n")
        except OSError as why:
            raise self._not_stored(why) from None
        self.close()
        return root

    def close(self) -> None:
        """Finish what is under way and close the files; a bundle that is not sealed stays so."""
        with self._lock:
            self._ended = True
            if self._closed:
                return
            self._closed = True
        self._background.shutdown()
        if self._fd >= 0:
            os.close(self._fd)

    def _not_stored(self, why: OSError) -> IrkitError:
        return IrkitError(
            f"evidence could not be stored ({why.strerror})",
            on=str(self.folder),
            next="make room on the disk; without its evidence the run proves nothing",
        )

    def _open(self) -> None:
        if self._ended:
            raise OSError(errno.EBADF, "the recording has ended")
        if self._fd < 0:
            (self.folder / "blobs").mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self.folder / "looks.jsonl", flags, 0o600)
            sync_folder(self.folder)

    def _append(self, line: bytes) -> None:
        size = os.fstat(self._fd).st_size
        try:
            if os.write(self._fd, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._fd, size)  # half a line would spoil the lines after it
            raise

    def _compress(self, sha256: str, body: bytes) -> None:
        packed = self.folder / "blobs" / f"{sha256}.gz"
        try:
            if not packed.exists():
                # A gzip file whose time is 0: equal replies make equal files.
                stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
                write_whole(packed, stream.compress(body) + stream.flush(), sync=False)
            (self.folder / "blobs" / sha256).unlink(missing_ok=True)
        except OSError as why:
            self._failed = why
        finally:
            self._room.release()

    def _sync(self) -> None:
        with self._lock:
            self._sync_waits = False
        try:
            sync_folder(self.folder / "blobs")
            os.fsync(self._fd)
        except OSError as why:
            self._failed = why


def _set_aside(folder: Path) -> None:
    number = 1
    while (folder / f"looks.attempt-{number}.jsonl").exists():
        number += 1
    manifest = folder / "manifest.json"
    if manifest.exists():
        os.replace(manifest, folder / f"manifest.attempt-{number}.json")
    os.replace(folder / "looks.jsonl", folder / f"looks.attempt-{number}.jsonl")
