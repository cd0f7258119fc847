"""The few Linux system calls that confinement needs and Python does not have.

Each raises `OSError` with the call's name.  Sources: the man pages of section 2 and, for
Landlock, https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct
from collections.abc import Iterable

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47

_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000
# The new-style numbers are the same on every architecture; pivot_root's is not.
_MOVE_MOUNT, _OPEN_TREE, _MOUNT_SETATTR = 429, 428, 442
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_PER_MACHINE = {  # pivot_root, capset, socket, audit architecture
    "x86_64": (155, 126, 41, 0xC000003E),
    "aarch64": (217, 91, 198, 0xC00000B7),
}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _check(name: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _machine(index: int) -> int:
    try:
        return _PER_MACHINE[platform.machine()][index]
    except KeyError:
        raise OSError(38, f"no call numbers known for {platform.machine()}") from None


def prctl(option: int, *arguments: int) -> None:
    """Change something about this process."""
    padded = [ctypes.c_ulong(value) for value in (*arguments, 0, 0, 0, 0)[:4]]
    _check("prctl", _libc.prctl(option, *padded))


def unshare(flags: int) -> None:
    """Leave namespaces; the new PID namespace is for children."""
    _check("unshare", _libc.unshare(flags))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a new file system, or change a mount's propagation."""
    given = (source.encode(), os.fsencode(target), kind.encode() if kind else None)
    _check(f"mount {target}", _libc.mount(*given, ctypes.c_ulong(flags), options.encode() or None))


def unmount(target: str) -> None:
    """Detach a mount with all below it."""
    _check(f"umount {target}", _libc.umount2(os.fsencode(target), MNT_DETACH))


def pivot_root_here() -> None:
    """Make the present directory the root, and drop the old one."""
    _check("pivot_root", _libc.syscall(_machine(0), b".", b"."))
    unmount(".")
    os.chdir("/")


def open_tree(path: str, attributes: int) -> int:
    """A detached copy of what is mounted at `path`, with these attributes throughout; its fd."""
    flags = 1 | _AT_RECURSIVE | os.O_CLOEXEC
    fd = _check(f"open_tree {path}", _libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags))
    attr = struct.pack("=QQQQ", attributes, 0, 0, 0)
    try:
        result = _libc.syscall(
            _MOUNT_SETATTR, fd, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attr, len(attr)
        )
        _check(f"mount_setattr {path}", result)
    except OSError:
        os.close(fd)
        raise
    return fd


def move_mount(fd: int, target: str) -> None:
    """Attach what `open_tree` gave, and close its fd."""
    try:
        result = _libc.syscall(_MOVE_MOUNT, fd, b"", _AT_FDCWD, os.fsencode(target), 4)
        _check(f"move_mount {target}", result)
    finally:
        os.close(fd)


def loopback_up() -> None:
    """Bring up `lo` in a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 1 | 64))


def drop_capabilities() -> None:
    """Give up every capability, for this process and all that it will start."""
    prctl(PR_CAP_AMBIENT, 4)
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # past the last one this kernel knows, or none held
            break
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _check("capset", _libc.syscall(_machine(1), header, none))


# -- Landlock ---------------------------------------------------------------------------------

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def landlock_abi() -> int:
    """The version of Landlock that this kernel offers; 0 for none."""
    return max(0, _libc.syscall(_LANDLOCK_CREATE, None, 0, 1))


def landlock(readable: Iterable[str], writable: Iterable[str], *, no_tcp: bool) -> None:
    """Allow this process reading below `readable`, anything below `writable`, nothing else.

    With `no_tcp` (ABI 4) neither may TCP be used.  From ABI 6 on, signals and abstract Unix
    sockets reach only processes under the same rules.  Needs `PR_SET_NO_NEW_PRIVS`.
    """
    abi = landlock_abi()
    if not abi:
        raise OSError(38, "landlock: this kernel has none")
    rights = (1 << (13 if abi < 2 else 14 if abi < 3 else 15 if abi < 5 else 16)) - 1
    fields = struct.pack("=QQQ", rights, 3 if no_tcp and abi >= 4 else 0, 3 if abi >= 6 else 0)
    fields = fields[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _check(
        "landlock", _libc.syscall(_LANDLOCK_CREATE, fields, ctypes.c_size_t(len(fields)), 0)
    )
    try:
        for paths, allowed in ((readable, _READ), (writable, rights)):
            for path in paths:
                _allow(ruleset, path, allowed)
        _check("landlock", _libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return  # what is not there needs no rule
    try:
        if not os.path.isdir(path):
            rights &= _FILE
        rule = struct.pack("=Qi", rights, fd)
        _check(f"landlock {path}", _libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0))
    finally:
        os.close(fd)


# -- seccomp ----------------------------------------------------------------------------------


def only_unix_sockets() -> None:
    """Refuse every socket that is not a Unix socket (EOPNOTSUPP), where there is no own network.

    Also refuses io_uring, which opens sockets past this filter, and 32-bit call numbers.
    Needs `PR_SET_NO_NEW_PRIVS`.
    """
    socket_call, architecture = _machine(2), _machine(3)
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    # EOPNOTSUPP: ZeroMQ, which kernels speak through, lives with that and aborts on EPERM.
    allow, refuse = 0x7FFF0000, 0x00050000 | 95
    program = [
        (load, 0, 0, 4),
        (equal, 0, 7, architecture),
        (load, 0, 0, 0),
        (at_least, 5, 0, 0x40000000),
        (equal, 4, 0, 425),  # io_uring_setup
        (equal, 0, 2, socket_call),
        (load, 0, 0, 16),
        (equal, 0, 1, socket.AF_UNIX),
        (give, 0, 0, allow),
        (give, 0, 0, refuse),
    ]
    code = b"".join(struct.pack("=HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(buffer))
    header_buffer = ctypes.create_string_buffer(header, len(header))
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(header_buffer))
