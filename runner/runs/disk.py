"""How much of the disk a run uses: what lies in its folder, and what it deleted but still holds."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from collections.abc import Iterator

_FILE = 4096  # what an empty file or a folder costs, about
_EVERY = 0.2  # seconds between two looks, more where a look takes long
_GONE = (FileNotFoundError, ProcessLookupError, NotADirectoryError)


class Watch:
    """Asks a few times a second whether a run uses more than `most` bytes of the disk.

    `work` is the folder that the run may write, `process` the one that all of its own come from.
    """

    def __init__(self, work: str, process: int, most: float) -> None:
        self._work, self._process, self._most = work, process, most
        self._next = 0.0

    def over(self) -> bool:
        """Whether it does; False, at once, where it was asked a moment ago."""
        now = time.monotonic()
        if now < self._next:
            return False
        over = used(self._work, self._process, self._most) > self._most
        self._next = now + max(_EVERY, 10 * (time.monotonic() - now))
        return over


def used(work: str, process: int, most: float) -> float:
    """Bytes on the disk below `work`, and in deleted files that `process` or its children hold.

    Stops counting once it has passed `most`; a folder that cannot be looked into, nested too deep
    or closed to us, passes it.  Sparse files count for what is stored, an empty one for 4 KB.
    """
    device = os.stat(work).st_dev
    seen: set[int] = set()
    total = 0.0
    for found in (_below(work), _deleted(process, device)):
        for about in found:
            if about is None:
                return float("inf")
            if about.st_ino not in seen:
                seen.add(about.st_ino)
                total += about.st_blocks * 512 + _FILE
            if total > most:
                return total
    return total


def clear(work: str) -> None:
    """Delete all below `work`, however deep it is nested; nothing of the run may be alive."""
    subprocess.run(["/bin/rm", "-rf", "--", work], check=False)
    os.makedirs(work, mode=0o700, exist_ok=True)


def _below(work: str) -> Iterator[os.stat_result | None]:
    """What each file and folder below is; None for a folder that cannot be looked into."""
    waiting = [work]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        yield entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                    except _GONE:
                        continue
        except _GONE:
            continue
        except OSError as error:
            if error.errno not in (errno.ENAMETOOLONG, errno.EACCES):
                raise
            yield None


def _deleted(process: int, device: int) -> Iterator[os.stat_result]:
    """Deleted files that a process or one that it started has open."""
    for pid in _family(process):
        try:
            with os.scandir(f"/proc/{pid}/fd") as held:
                for one in held:
                    try:
                        about = os.stat(one.path)
                    except OSError:
                        continue  # closed meanwhile, or not a file
                    if about.st_dev == device and not about.st_nlink:
                        yield about
        except (PermissionError, *_GONE):
            continue


def _family(process: int) -> Iterator[int]:
    waiting = [process]
    while waiting:
        pid = waiting.pop()
        yield pid
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                    waiting += map(int, file.read().split())
        except (PermissionError, *_GONE):
            continue
