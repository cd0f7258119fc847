"""The one process that owns a shop: its sockets, its services, its load and its deploy history.

Everything that changes the shop goes through here, one request at a time, so that a deploy is
never half done: a caller that is killed in the middle changes nothing about the outcome, and
the same key a second time finds the entry of the first. It is single-threaded, which also makes
PDEATHSIG safe for its children (see `lifeline`). It ends when its starter is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import functools
import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from irkit.clock import Clock, SystemClock
from irkit.errors import AlreadyRunning, BadInput, IrkitError, Refused
from runner.demo.shop import client, history
from runner.demo.shop.lifeline import die_with_parent, environment, python, starter_is_gone
from runner.demo.shop.releases import CALLS, FIRST, SERVICES, THEN, Release, check_service, find

READY_WITHIN = 10.0
"""Seconds a new version has to say that it is ready."""
RESTART_AFTER = 1.0
"""Seconds until a service that ended by itself is started again."""
ASK_WITHIN = 2.0
"""Seconds a caller has to say what it wants."""
MAX_LOG = 64 * 1024 * 1024
"""Bytes after which a log is moved to `NAME.1`, over the one before it."""


class OwnerGone(Exception):
    """The process that started the shop ended while something was under way."""


class Running:
    """One process of one release of a service, and a pipe to tell it things."""

    def __init__(self, release: Release, process: subprocess.Popen[bytes]) -> None:
        self.release, self.process = release, process
        self.restart_due: float | None = None

    def tell(self, command: str) -> None:
        """Say "go" or "drain"; that a process has ended is noticed when it is tended."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()

    def end(self) -> None:
        """Kill it and reap it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Supervisor:
    """Runs the shop in `home` and answers the verbs deploy, plan and status."""

    def __init__(self, home: Path, seed: int, parent: int, clock: Clock) -> None:
        self._home, self._seed, self._parent, self._clock = home, seed, parent, clock
        self._logs = home / "logs"
        self._history = home / "deploys.jsonl"
        self._listeners = {service: _listen() for service in SERVICES}
        self._running: dict[str, Running] = {}
        self._draining: list[Running] = []
        self._load: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._answers = {"deploy": self._deploy, "plan": self._plan, "status": self._status}

    @property
    def ports(self) -> dict[str, int]:
        """Service -> the port it is reached on, the same for the life of the shop."""
        return {service: self._port(service) for service in SERVICES}

    def open(self) -> None:
        """Start every service where the history left it (a new shop makes its first deploys)."""
        self._logs.mkdir(parents=True, exist_ok=True)
        left = history.current(history.read(self._history))
        starting = [self._spawn(find(s, left.get(s, FIRST[s]))) for s in SERVICES]
        for new in starting:
            self._wait_ready(new)
            if new.release.service not in left:
                self._record(new.release, None, {"reason": "the shop opens"}, time.monotonic())
            self._running[new.release.service] = new
            new.tell("go")
        if not left:
            for service, version in THEN:
                self._deploy({"service": service, "version": version, "reason": "a usual release"})
        arguments = ["--port", str(self._port("frontend")), "--seed", str(self._seed)]
        arguments += ["--report", str(self._home / "load.jsonl")]
        self._load = self._start("load", *arguments)

    def run(self, door: socket.socket) -> None:
        """Answer callers and keep the services up until the starter is gone."""
        while not starter_is_gone(self._parent, 0.25, door.fileno()):
            self._tend()
            try:
                connection, _ = door.accept()
            except BlockingIOError:
                continue
            with connection:
                connection.settimeout(ASK_WITHIN)
                self._answer(connection)

    def close(self) -> None:
        """End every process of the shop and wait for it."""
        for each in [*self._running.values(), *self._draining]:
            each.end()
        if self._load:
            self._load.kill()
            self._load.wait()

    def _answer(self, connection: socket.socket) -> None:
        try:
            answer = self._answered(connection)
        except IrkitError as error:
            answer = {"error": client.encode_error(error)}
        with contextlib.suppress(OSError):  # the caller may be gone; what it asked for is done
            connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answered(self, connection: socket.socket) -> dict[str, Any]:
        try:
            with connection.makefile("rb") as request:
                asked = json.loads(request.readline(client.MAX_LINE))
            service, do = asked["service"], self._answers[asked["verb"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput("the request cannot be read", on=type(error).__name__) from error
        check_service(service)
        return do(asked)

    def _deploy(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Bring a version into service; what is done already is not done again."""
        started = time.monotonic()
        plan = self._plan(asked)
        if done := plan["done"]:
            return {"outcome": "done_before", "entry": done}
        if plan["current"] == plan["to"]:
            return {"outcome": "unchanged", "entry": None, **plan}
        new = self._spawn(find(plan["service"], plan["to"]))
        try:
            self._wait_ready(new)
            entry = self._record(new.release, plan["current"], asked, started)
        except (client.DeployFailed, OwnerGone):
            new.end()
            raise
        except OSError as error:
            new.end()
            raise client.DeployFailed(
                "the deploy could not be recorded, so it was not made",
                on=f"{self._history.name}: {error.strerror}",
                next="make room or repair the file, then deploy again",
            ) from error
        # Recorded first, then live: no symptom is older than the deploy that caused it.
        old = self._running[plan["service"]]
        self._running[plan["service"]] = new
        new.tell("go")
        old.tell("drain")
        self._draining.append(old)
        return {"outcome": "deployed", "entry": entry}

    def _plan(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What a deploy would do; changes nothing. Raises Refused and BadInput as a deploy does."""
        service, version, key = asked["service"], asked.get("version"), asked.get("key", "")
        entries = history.read(self._history)
        current = self._running[service].release
        done = history.by_key(entries, key)
        if done and (done["service"] != service or version not in (None, done["version"])):
            raise Refused(
                "this key was used for another deploy",
                reason="key_reused",
                on=f"{key}: {done['service']} {done['version']}",
                next="use a new key",
            )
        if not done and asked.get("expect") not in (None, current.version):
            raise Refused(
                "another version runs than the one expected",
                reason="changed",
                on=f"{service} {current.version}",
                next="plan again",
            )
        to = (done and done["version"]) or version or history.previous(entries, service)
        if to is None:
            raise Refused(
                "there is no version to go back to",
                reason="no_previous",
                on=service,
                next="name a version",
            )
        target = find(service, to)
        newer = f"{current.version} ({current.commit}: {current.message})"
        return {
            "service": service,
            "current": current.version,
            "to": target.version,
            "change": f"{service} {newer} -> {to} ({target.commit}: {target.message})",
            "done": done,
        }

    def _status(self, asked: dict[str, Any]) -> dict[str, Any]:
        service = asked["service"]
        running = self._running[service]
        entries = history.read(self._history)
        return {
            "service": service,
            "version": running.release.version,
            "previous": history.previous(entries, service),
            "commit": running.release.commit,
            "message": running.release.message,
            "since": [entry["time"] for entry in entries if entry["service"] == service][-1],
            "running": running.process.poll() is None,
            "pid": running.process.pid,
            "port": self._port(service),
        }

    def _record(
        self, release: Release, previous: str | None, asked: dict[str, Any], started: float
    ) -> history.Entry:
        entry = {
            "time": history.stamp(self._clock.now()),
            "service": release.service,
            "version": release.version,
            "previous": previous,
            "by": asked.get("by", "person:ci"),
            "key": asked.get("key", ""),
            "reason": asked.get("reason", ""),
            "commit": release.commit,
            "message": release.message,
            "seconds": round(time.monotonic() - started, 3),
        }
        history.append(self._history, entry)
        return entry

    def _port(self, service: str) -> int:
        port: int = self._listeners[service].getsockname()[1]
        return port

    def _spawn(self, release: Release) -> Running:
        self._starts += 1
        listener = self._listeners[release.service]
        callee = CALLS.get(release.service)
        arguments = [release.service, release.version, "--logs", str(self._logs)]
        arguments += ["--listen-fd", str(listener.fileno())]
        arguments += ["--callee-port", str(self._port(callee) if callee else 0)]
        arguments += ["--seed", f"{self._seed} {self._starts}"]
        return Running(release, self._start("service", *arguments, listener=listener))

    def _start(
        self, module: str, *arguments: str, listener: socket.socket | None = None
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            python(module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[listener.fileno()] if listener else [],
            env=environment(),
            cwd=self._home,
            # Safe here: the supervisor has one thread, and it lives as long as the shop.
            preexec_fn=functools.partial(die_with_parent, os.getpid()),
        )

    def _wait_ready(self, new: Running) -> None:
        assert new.process.stdout is not None
        deadline = time.monotonic() + READY_WITHIN
        while (left := deadline - time.monotonic()) > 0:
            if starter_is_gone(self._parent, min(left, 0.5), new.process.stdout.fileno()):
                raise OwnerGone
            if select.select([new.process.stdout], [], [], 0)[0]:
                if new.process.stdout.readline() == b"ready\n":
                    return
                break
        raise client.DeployFailed(
            "the new version did not become ready; the old one still runs",
            on=f"{new.release.service} {new.release.version}",
            next=f"see {self._home / 'supervisor.log'}",
        )

    def _tend(self) -> None:
        """Reap what has ended, start again what should run, move long logs away."""
        for old in [old for old in self._draining if old.process.poll() is not None]:
            old.end()
            self._draining.remove(old)
        for service, running in self._running.items():
            if running.process.poll() is None:
                continue
            if running.restart_due is None:
                running.restart_due = time.monotonic() + RESTART_AFTER
                code = running.process.returncode
                print(f"{service} {running.release.version} ended with {code}", file=sys.stderr)
            elif time.monotonic() >= running.restart_due:
                self._restart(running)
        for log in self._logs.glob("*.jsonl"):
            if log.stat().st_size > MAX_LOG:
                log.replace(log.with_name(f"{log.name}.1"))

    def _restart(self, ended: Running) -> None:
        ended.end()
        new = self._spawn(ended.release)
        self._running[ended.release.service] = new
        try:
            self._wait_ready(new)
        except client.DeployFailed as error:
            print(error, file=sys.stderr)
            new.process.kill()
        else:
            new.tell("go")


def _listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.set_inheritable(True)
    return listener


def main() -> None:
    """Run a shop until the process that started this one is gone.

    Prints one JSON line on standard output when the shop is open ({"ports": ...}), or when it
    cannot be opened ({"error": ...}).
    """
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    given = parser.parse_args()
    home: Path = given.home

    with (home / "supervisor.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy = AlreadyRunning("a shop runs here already", on=str(home), next="use another")
            print(json.dumps({"error": client.encode_error(busy)}), flush=True)
            return
        supervisor = Supervisor(home, given.seed, given.parent, SystemClock())
        try:
            supervisor.open()
            (home / client.SOCKET).unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX) as door:
                door.setblocking(False)
                with client.address(home) as path:
                    door.bind(path)
                (home / client.SOCKET).chmod(0o600)
                door.listen(16)
                print(json.dumps({"ports": supervisor.ports}), flush=True)
                supervisor.run(door)
        except OwnerGone:
            print("the owner of the shop ended while a version was starting", file=sys.stderr)
        except IrkitError as error:
            print(json.dumps({"error": client.encode_error(error)}), flush=True)
        finally:
            supervisor.close()
            (home / client.SOCKET).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
