"""A root directory that holds only what a run may see, built from mounts.

To be called in a mount namespace of one's own, with the powers that go with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from runner.runs import linux

INSIDE = 1000  # the user that a run is, as it sees itself
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_MOUNTS = linux.ATTR_NOSUID | linux.ATTR_NODEV
_READONLY = _MOUNTS | linux.ATTR_RDONLY
_QUIET = linux.MS_NOSUID | linux.MS_NODEV


def build(work: str, readable: Iterable[str], *, session: tuple[str, bytes, int] | None) -> None:
    """Make a root of `readable` (read-only), `work`, /proc, /dev and a small /etc, and enter it.

    `session` is a file to be made there: path, content, owner.  Raises `OSError` where the
    machine does not allow it; then the old root is in place, as it was.
    """
    linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
    trees = [
        (path, os.path.isdir(path), linux.open_tree(path, attributes))
        for paths, attributes in (
            (readable, _READONLY),
            (DEVICES, linux.ATTR_NOSUID),
            ([work], _MOUNTS),
        )
        for path in paths
        if os.path.exists(path)
    ]
    # Any directory will do for the new root to grow on; the old one is dropped afterwards.
    base = os.path.dirname(work)
    linux.mount("run", base, "tmpfs", _QUIET, "mode=755,size=4m")
    try:
        for path, is_directory, tree in trees:
            _mount_point(base + path, is_directory)
            linux.move_mount(tree, base + path)
        _furnish(base)
        if session:
            path, content, owner = session
            _mount_point(base + path, False)
            with open(base + path, "wb") as file:
                file.write(content)
            os.chown(base + path, owner, owner)
            os.chmod(base + path, 0o400)
        os.chdir(base)
        linux.pivot_root_here()
    except OSError:
        os.chdir("/")
        linux.unmount(base)
        raise


def close() -> None:
    """Make the new root and its /proc read-only."""
    for path in ("/proc", "/"):
        if os.path.ismount(path):
            linux.mount(
                "none", path, None, linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | _QUIET
            )


def write(path: str, text: str) -> None:
    """Write a small file, such as those of /proc."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def outermost(paths: Iterable[str]) -> list[str]:
    """Each path as written and as it really is, without those below another."""
    every = {os.path.abspath(path) for path in paths} | {os.path.realpath(path) for path in paths}
    kept: list[str] = []
    for path in sorted(every):
        if not any(path == above or path.startswith(above + "/") for above in kept):
            kept.append(path)
    return kept


def _mount_point(path: str, is_directory: bool) -> None:
    if os.path.exists(path):
        return
    os.makedirs(path if is_directory else os.path.dirname(path), mode=0o755, exist_ok=True)
    if not is_directory:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def _furnish(base: str) -> None:
    """What programs expect of any root: /proc, /dev, /etc."""
    quiet = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC
    for path in ("/proc", "/dev/pts", "/dev/shm", "/etc", "/tmp"):  # noqa: S108 - an empty one
        os.makedirs(base + path, exist_ok=True)
    try:
        linux.mount("proc", f"{base}/proc", "proc", quiet)
    except PermissionError:
        # Where the machine hides parts of its own /proc (containers), the kernel allows no new one.
        os.rmdir(f"{base}/proc")
    linux.mount("shm", base + "/dev/shm", "tmpfs", quiet, "mode=1777,size=64m")  # noqa: S108
    pts = linux.MS_NOSUID | linux.MS_NOEXEC
    linux.mount("pts", f"{base}/dev/pts", "devpts", pts, "newinstance,ptmxmode=0666,mode=620")
    for link, target in (
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ):
        os.symlink(target, f"{base}/dev/{link}")
    for name, text in (
        ("passwd", f"run:x:{INSIDE}:{INSIDE}::/:/bin/sh\n"),
        ("group", f"run:x:{INSIDE}:\n"),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ):
        write(f"{base}/etc/{name}", text)
