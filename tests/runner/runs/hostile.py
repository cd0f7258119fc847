"""What a hostile cell tries: run as a script or pasted into a cell, it prints what it reached.

`TARGETS` (JSON) is set before it: the runner's process, ports, paths.  Each attempt that succeeds
is named in the printed list; a canary that it could read is printed as it is.
"""

# ruff: noqa: BLE001, F821
import ctypes
import json
import os
import socket

reached = {}
libc = ctypes.CDLL(None, use_errno=True)


def attempt(name):
    def now(function):
        try:
            result = function()
        except BaseException as error:
            reached.setdefault("refused", {})[name] = type(error).__name__
        else:
            reached[name] = result
        return function

    return now


def read(path):
    with open(path, "rb") as file:
        return file.read(100_000).decode(errors="replace")


def connected(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as sock:
        sock.settimeout(2)
        sock.connect(address)
        sock.sendall(b"hello")
        return sock.recv(5).decode()


def must(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return True


@attempt("own environment")
def _():
    assert TARGETS["canary"] in "".join(os.environ.values())


@attempt("runner's environment")
def _():
    assert TARGETS["canary"] in read(f"/proc/{TARGETS['pid']}/environ")


@attempt("any environment")
def _():
    for pid in (p for p in os.listdir("/proc") if p.isdigit()):
        try:
            if TARGETS["canary"] in read(f"/proc/{pid}/environ"):
                return pid
        except OSError:
            continue
    raise LookupError


@attempt("runner's memory")
def _():
    with open(f"/proc/{TARGETS['own']}/mem", "rb") as file:
        file.seek(TARGETS["address"])
        return file.read(len(TARGETS["canary"])).decode()


@attempt("runner's files")
def _():
    return os.readlink(f"/proc/{TARGETS['pid']}/fd/0")


@attempt("runner's root")
def _():
    return os.listdir(f"/proc/{TARGETS['pid']}/root")


@attempt("signal to the runner")
def _():
    os.kill(TARGETS["pid"], 0)


@attempt("tracing the runner")
def _():
    must(libc.ptrace(0x4206, TARGETS["pid"], 0, 0))
    must(libc.ptrace(17, TARGETS["pid"], 0, 0))


@attempt("a file outside")
def _():
    return read(TARGETS["file"])


@attempt("a folder outside")
def _():
    return len(os.listdir(os.path.dirname(TARGETS["file"])))


@attempt("writing outside")
def _():
    with open(TARGETS["file"] + ".new", "w") as file:
        file.write("x")


@attempt("writing code")
def _():
    with open(TARGETS["code"], "a"):
        return True


@attempt("writing the journal")
def _():
    with open(TARGETS["journal"], "a"):
        return True


@attempt("replacing code")
def _():
    os.rename(TARGETS["code"], TARGETS["code"])


@attempt("a TCP server")
def _():
    return connected(socket.AF_INET, ("127.0.0.1", TARGETS["port"]))


@attempt("a UDP server")
def _():
    return connected(socket.AF_INET, ("127.0.0.1", TARGETS["udp"]), socket.SOCK_DGRAM)


@attempt("an abstract socket")
def _():
    return connected(socket.AF_UNIX, "\0" + TARGETS["abstract"])


@attempt("a Unix socket")
def _():
    return connected(socket.AF_UNIX, TARGETS["unix"])


@attempt("the engine's memory")
def _():
    with open(f"/proc/{os.getppid()}/mem", "rb"):
        return True


@attempt("the engine's pipes")
def _():
    pipes = f"/proc/{os.getppid()}/fd"
    return [os.readlink(f"{pipes}/{number}") for number in os.listdir(pipes) if int(number) > 2]


@attempt("being root")
def _():
    os.setuid(0)
    assert os.getuid() == 0


@attempt("powers")
def _():
    [line] = [x for x in read("/proc/self/status").splitlines() if x.startswith("CapEff")]
    assert int(line.split()[1], 16)


@attempt("new namespaces")
def _():
    return must(libc.unshare(0x10000000 | 0x20000))


@attempt("kernel settings")
def _():
    with open("/proc/sys/kernel/core_pattern", "w"):
        return True


@attempt("a disk")
def _():
    os.mknod("disk", 0o60600, os.makedev(8, 0))


print(json.dumps(reached))
