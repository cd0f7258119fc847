"""The session of a run: every verb goes to the runner over the run's socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import TypeVar

import msgspec

from irkit.errors import BadInput, NeedsRunner
from irkit.evidence import wire
from irkit.evidence.bundle import UNREADABLE
from irkit.model.base import decode
from irkit.model.event import Event
from irkit.model.look import Reply, Request
from irkit.session import Ask, Briefing, Note, Proposal

T = TypeVar("T")
_AT_ONCE = 4


class RemoteSession:
    """Speaks to the runner over the socket that a session file names.

    May be used from several threads: up to four calls are under way at once.

    Raises:
        NeedsRunner: there is no such file, or the runner does not answer or refuses the token.
    """

    def __init__(self, session_file: str | Path) -> None:
        self._file = Path(session_file)
        try:
            self._where = decode(self._file.read_bytes(), wire.SessionFile)
        except (OSError, *UNREADABLE) as why:
            raise _gone(self._file, type(why).__name__) from None
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(_AT_ONCE)

    @cached_property
    def briefing(self) -> Briefing:
        """What the run was told at its start."""
        return self._call(wire.Brief(), Briefing)

    def look(self, request: Request) -> Reply:
        """Ask a source through the runner.

        Raises:
            NotFound: the source is not configured.
            BadQuery: the source cannot do that.
            NeedsRunner: the runner is gone.
        """
        with self._connection() as connection:
            reply = self._exchange(connection, wire.Look(request=request), Reply)
            return msgspec.structs.replace(reply, body=connection.recv_bytes())

    def propose(self, ask: Ask) -> Proposal:
        """Ask the runner for an act's plan, or propose the act."""
        return self._call(wire.Propose(ask=ask), Proposal)

    def say(self, text: str) -> None:
        """Say something to the incident's channel."""
        self._call(wire.Say(text=text), None)

    def note(self, note: Note) -> None:
        """Write something into the record."""
        self._call(wire.WriteNote(note=note), None)

    def events(self) -> tuple[Event, ...]:
        """The incident's ledger as it stands now."""
        return self._call(wire.ReadEvents(), tuple[Event, ...])

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _call(self, call: wire.Call, type: type[T] | None) -> T:
        with self._connection() as connection:
            return self._exchange(connection, call, type)

    def _exchange(self, connection: Connection, call: wire.Call, type: type[T] | None) -> T:
        frame = msgspec.json.encode(call)
        if len(frame) > wire.REQUEST_BYTES:
            raise BadInput(
                f"too long for the runner ({len(frame) >> 10} kB)",
                on=str(call.__struct_config__.tag),
                next=f"say it in less than {wire.REQUEST_BYTES >> 10} kB",
            )
        connection.send_bytes(frame)
        answer = decode(connection.recv_bytes(), wire.Answer)
        if answer.fault is not None:
            raise _Answered(answer.fault)
        return msgspec.json.decode(answer.value, type=type)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._room:
            try:
                connection = self._take()
                try:
                    yield connection
                except (_Answered, BadInput):
                    self._give(connection)
                    raise
                except BaseException:  # an interrupted exchange leaves half an answer behind
                    connection.close()
                    raise
                self._give(connection)
            except _Answered as why:
                raise wire.error_of(why.fault) from None
            except (OSError, EOFError, AuthenticationError, msgspec.DecodeError) as why:
                raise _gone(self._file, type(why).__name__) from None

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Client(self._where.socket, "AF_UNIX", authkey=self._where.token.encode())

    def _give(self, connection: Connection) -> None:
        with self._lock:
            self._idle.append(connection)

    def __repr__(self) -> str:
        return "<session with the runner>"


class _Answered(Exception):
    """An error that came in whole: the connection stays good."""

    def __init__(self, fault: wire.Fault) -> None:
        self.fault = fault


def _gone(file: Path, why: str) -> NeedsRunner:
    return NeedsRunner(
        f"the runner does not answer ({why})",
        on=str(file),
        next="start the run again; without a runner, unset IRKIT_SESSION",
    )
