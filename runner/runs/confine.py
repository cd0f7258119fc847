"""Shut a run in before its first line: its own files, processes and network, and limits.

Two steps, because a new PID namespace begins with a child: `isolate` in the process that the
runner started, then, after a fork, `enclose` in the process that will run the notebook.  What the
machine does not allow is left out and said so in the `Confinement`; nothing here stops a run.
Why these layers: docs/adr/0010-confinement.md.
"""

from __future__ import annotations

import functools
import os
import resource
import stat
import sys

import msgspec

from runner.runs import linux, rootfs

# What a run is outside, if root started it.
_NOBODY = 65534
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"),
    *("/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/fonts", "/var/cache/fontconfig"),
    *("/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/alternatives"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/nsswitch.conf"),
    "/sys/devices/system/cpu",
)
# Where there is no /proc of our own: what libraries ask to size themselves, and no process's.
_PROC = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/filesystems", "/proc/version")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one run may use.

    `wall_seconds` is for the whole run, and `grace_seconds` what an interrupted cell gets to end
    before everything is killed.  `cpu_seconds`, `memory_mb` (data, MB of 10**6 bytes), `file_mb`
    and `open_files` hold for each process, `processes` for the run (threads count), and `disk_mb`
    for all that the run has on the disk at once; it is looked at a few times a second.
    `output_mb` is what one cell may show, `total_output_mb` what all may.
    """

    wall_seconds: float = 600
    grace_seconds: float = 5
    cpu_seconds: int = 600
    memory_mb: int = 2048
    file_mb: int = 1024
    disk_mb: int = 1024
    open_files: int = 1024
    processes: int = 512
    output_mb: float = 4
    total_output_mb: float = 64


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may touch: `work` to write, `readable` and `own` (its session) to read."""

    work: str
    readable: tuple[str, ...] = ()
    session: str = ""
    socket: str = ""
    limits: Limits = Limits()


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """What holds around a run, in words; `missing` names what does not.

    `uid` is the run's user as processes outside see it (of the run's socket, say).

    Example:
        >>> available().complete
        True
    """

    files: str
    processes: str
    network: str
    memory: str
    cpu: str
    user: str
    uid: int
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


class Isolation(msgspec.Struct, frozen=True, kw_only=True):
    """How far `isolate` came, for `enclose`."""

    owner: int
    namespaces: bool = False
    user: bool = False
    steps_down: bool = False
    session: bytes = b""
    refusal: str = ""


@functools.cache
def available() -> Confinement:
    """What holds on this machine, found out by confining a process and asking it; cached.

    Takes about a tenth of a second the first time.  Raises `IrkitError` if even that fails.
    """
    from runner.runs.launch import probe

    return probe()


def readable_by_default() -> tuple[str, ...]:
    """System libraries, certificates, fonts, time zones, this Python, irkit and the runner."""
    import irkit
    import runner

    python = os.path.realpath(sys.executable)
    paths = [*_SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix]
    paths += [os.path.dirname(os.path.dirname(python))] if not python.startswith("/usr/") else []
    paths += [os.path.dirname(str(package.__file__)) for package in (irkit, runner)]
    return tuple(paths)


def isolate(box: Box) -> Isolation:
    """Leave the machine's namespaces (users, mounts, processes, network, IPC), if allowed to.

    To be called once, in a process with one thread; the next fork is process 1 of the new ones.
    """
    owner = os.geteuid()
    root = owner == 0 and _may_become_nobody()
    down = root and _open_to_all()
    session = b""
    if down and box.session:
        with open(box.session, "rb") as file:
            session = file.read()
    flags = linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWIPC
    try:
        _new_users(flags, two=down)
    except OSError as refused:
        try:
            if not root:
                raise
            linux.unshare(flags)
        except OSError:
            return Isolation(owner=owner, refusal=str(refused))
        return Isolation(owner=owner, namespaces=True, steps_down=down, session=session)
    return Isolation(owner=owner, namespaces=True, user=True, steps_down=down, session=session)


def enclose(box: Box, isolation: Isolation) -> Confinement:
    """Confine this process and all that it will start, for good; says what holds."""
    missing: list[str] = []
    _limit(box.limits)
    own_root = False
    identity = rootfs.INSIDE if isolation.user else _NOBODY
    given = box.socket if isolation.steps_down else ""
    if isolation.namespaces:
        try:
            if given:
                os.chown(given, identity, identity)
            _new_root(box, isolation, identity)
            own_root = True
        except OSError as error:
            missing.append(f"files: no root of its own ({error})")
            if given:
                os.chown(given, 0, 0)
        try:
            linux.loopback_up()
        except OSError as error:
            missing.append(f"network: no loopback inside ({error})")
    else:
        missing.append(f"no namespaces ({isolation.refusal}): other programs' Unix sockets")
    if own_root:
        if isolation.steps_down:
            os.chown(box.work, identity, identity)
            os.setgroups([])
            os.setresgid(identity, identity, identity)
            os.setresuid(identity, identity, identity)
        count = box.limits.processes
        resource.setrlimit(resource.RLIMIT_NPROC, (count, count))
    # A change of user clears the first, so it comes after one.
    linux.prctl(linux.PR_SET_PDEATHSIG, 9)
    # The kernel may not reach into this process, which speaks for it; an exec undoes this.
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.drop_capabilities()
    uid = _NOBODY if isolation.steps_down and own_root else isolation.owner
    network = "a network of its own, with nothing in it but loopback"
    if not isolation.namespaces:
        try:
            linux.only_unix_sockets()
            network = "Unix sockets only (seccomp)"
        except OSError as error:
            network = "open"
            missing.append(f"network ({error})")
    abi = linux.landlock_abi()
    try:
        linux.landlock(*_rules(box, own_root), no_tcp=not isolation.namespaces)
    except OSError as error:
        abi = 0
        missing.append(f"landlock ({error})")
    if not isolation.namespaces and abi < 6:
        missing.append("processes: signals reach others of this user")
    if uid == 0:
        missing.append("user: root's number, without its powers (others cannot read this Python)")
    return Confinement(
        files=" and ".join(["a root of its own"] * own_root + [f"Landlock (ABI {abi})"] * (abi > 0))
        or "open",
        processes="none but its own (PID namespace)"
        if isolation.namespaces
        else "signals and tracing stay inside (Landlock)"
        if abi >= 6
        else "others of this user",
        network=network,
        memory=f"{box.limits.memory_mb} MB of data in each process",
        cpu=f"{box.limits.cpu_seconds} s in each process",
        user="nobody, without capabilities" if uid == _NOBODY else f"{uid}, without capabilities",
        uid=uid,
        missing=tuple(missing),
    )


def _may_become_nobody() -> bool:
    """Whether this root can hand over to `nobody` (a container's root may know no other user)."""
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/self/{name}", encoding="ascii") as file:
            ranges = [tuple(map(int, line.split())) for line in file]
        if not any(first <= _NOBODY < first + count for first, _, count in ranges):
            return False
    with open("/proc/self/setgroups", encoding="ascii") as file:
        return file.read().strip() == "allow"


def _open_to_all() -> bool:
    """Whether the code can be read by a user who is not root (it cannot under umask 077)."""
    import irkit
    import runner

    code = (os.__file__, msgspec.__file__, irkit.__file__, runner.__file__)
    files = [os.path.realpath(sys.executable), *map(str, code)]
    return all(os.stat(path).st_mode & stat.S_IROTH for path in files)


def uid_outside() -> int:
    """The user that a run executes as, as processes outside see it."""
    return available().uid


def _new_users(flags: int, *, two: bool) -> None:
    """Unshare with a user namespace and fill in its maps.

    With `two`, root's map: root, to build, and `nobody`, to become.  Only a process outside may
    write that: hence the fork.
    """
    if not two:
        user, group = os.geteuid(), os.getegid()
        linux.unshare(flags | linux.CLONE_NEWUSER)
        rootfs.write("/proc/self/setgroups", "deny")
        rootfs.write("/proc/self/uid_map", f"{rootfs.INSIDE} {user} 1")
        rootfs.write("/proc/self/gid_map", f"{rootfs.INSIDE} {group} 1")
        return
    ready, tell = os.pipe()
    outside = os.fork()
    if outside == 0:
        code = 1
        try:
            os.close(tell)
            if os.read(ready, 1):
                for name in ("uid_map", "gid_map"):
                    rootfs.write(
                        f"/proc/{os.getppid()}/{name}", f"0 0 1\n{rootfs.INSIDE} {_NOBODY} 1"
                    )
                code = 0
        finally:
            os._exit(code)
    os.close(ready)
    try:
        linux.unshare(flags | linux.CLONE_NEWUSER)
        os.write(tell, b"1")
    finally:
        os.close(tell)
        code = os.waitstatus_to_exitcode(os.waitpid(outside, 0)[1])
    if code:
        raise OSError(1, "the user namespace's map cannot be written")


def _limit(limits: Limits) -> None:
    megabyte = 10**6
    for kind, soft in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_DATA, limits.memory_mb * megabyte),
        (resource.RLIMIT_FSIZE, limits.file_mb * megabyte),
        (resource.RLIMIT_NOFILE, limits.open_files),
    ):
        hard = resource.getrlimit(kind)[1]
        value = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
        # At the soft limit on CPU time a process is told (SIGXCPU), at the hard one it is gone.
        more = 2 if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
        resource.setrlimit(kind, (value, value + more))


def _new_root(box: Box, isolation: Isolation, identity: int) -> None:
    session = (box.session, isolation.session, identity) if isolation.session else None
    own = [path for path in (box.session if not session else "", box.socket) if path]
    rootfs.build(box.work, [*rootfs.outermost(box.readable), *own], session=session)
    if isolation.user and os.path.exists("/proc/sys/user/max_user_namespaces"):
        rootfs.write("/proc/sys/user/max_user_namespaces", "0")
    rootfs.close()
    os.chdir(box.work)


def _rules(box: Box, own_root: bool) -> tuple[list[str], list[str]]:
    """What Landlock lets be read and written."""
    if own_root:
        return ["/"], ["/dev", box.work]
    own = [path for path in (box.session, box.socket) if path]
    return [*rootfs.outermost(box.readable), *own, *_PROC], [*rootfs.DEVICES, box.work]
