"""The run's socket: the runner does a notebook's looks and hears what it proposes, says and notes.

`docs/adr/0003-session.md` has the verbs and the reasons.  Everything that arrives is foreign: each
request is bounded, typed, and answered by a value or a named error; none ends the server.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import struct
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from irkit.errors import BadInput, IrkitError, Refused
from irkit.evidence import wire
from irkit.evidence.bundle import UNREADABLE
from irkit.evidence.looks import Looks
from irkit.evidence.recorder import Recorder
from irkit.model.base import Value
from irkit.model.event import Event
from irkit.model.look import Reply, Request
from irkit.ports import Source
from irkit.session import Ask, Briefing, Note, Proposal

_log = logging.getLogger("runner.session")
_PAUSE = 0.1  # seconds until the next try when there are no file descriptors left
_LONGEST_FOLDER = 60  # a socket's path has at most 107 characters


class ServerLimits(Value, frozen=True, kw_only=True):
    """What one run may ask of its socket; looks have limits of their own, in the recorder.

    `words` counts proposals, messages and notes; `gaps` how many failed looks become events.
    """

    request_bytes: int = wire.REQUEST_BYTES
    connections: int = 16
    words: int = 500
    gaps: int = 100
    handshake_seconds: float = 5.0


class SessionServer:
    """Serves one run's session on a Unix socket while the `with` block lasts.

    `session_file` names the socket and the token; only its owner can read it, only processes of
    `peer` (by default this process's user) are heard, and only with the token.

    Args:
        run: the run's id, for the log.
        briefing: what the notebook is told.
        recorder: records every look; the caller seals it after the block.
        sources: the sources that may be asked, by name; a replay needs none.
        propose, say, note: called with what the notebook wants; an `IrkitError` that they raise
            is raised in the notebook as the same class.  May be called from several threads.
        gap: called for a look that failed.
        events: the incident's ledger as it stands.
        limits: what one run may ask.
        peer: the numeric user id of the run's process, as seen from here.

    Example:
        >>> with SessionServer("IR-1-r1", ...) as server:      # doctest: +SKIP
        ...     launch(RunSpec(session=server.session_file, ...))
    """

    def __init__(
        self,
        run: str,
        *,
        briefing: Callable[[], Briefing],
        recorder: Recorder,
        sources: Mapping[str, Source],
        propose: Callable[[Ask], Proposal],
        say: Callable[[str], None],
        note: Callable[[Note], None],
        gap: Callable[[Request, Reply], None],
        events: Callable[[], tuple[Event, ...]],
        limits: ServerLimits | None = None,
        peer: int | None = None,
    ) -> None:
        self.run, self.limits = run, limits or ServerLimits()
        self._briefing, self._events = briefing, events
        self._propose, self._say, self._note, self._gap = propose, say, note, gap
        self._recorder, self._looks = recorder, Looks(recorder, sources)
        self._peer = os.geteuid() if peer is None else peer
        self._token = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self._words = self._gaps = 0
        self._closing = False
        self._ended = threading.Event()
        self.session_file = ""

    def __enter__(self) -> Self:
        base = tempfile.gettempdir()
        self._folder = Path(
            tempfile.mkdtemp(prefix="irkit-", dir=base if len(base) < _LONGEST_FOLDER else "/tmp")  # noqa: S108 - mkdtemp makes an unguessable folder of mode 0700
        )
        where = wire.SessionFile(socket=str(self._folder / "s"), token=self._token)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(where.socket)
        os.chmod(where.socket, 0o600)
        if os.geteuid() == 0 and self._peer != 0:
            os.chown(where.socket, self._peer, -1)  # a run that steps down connects as another user
        self._listener.listen(self.limits.connections)
        file = self._folder / "session.json"
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as out:
            out.write(msgspec.json.encode(where))
        self.session_file = str(file)
        self._acceptor = threading.Thread(
            target=self._accept, name=f"session {self.run}", daemon=True
        )
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on everybody and remove the socket; calls under way are waited for 5 s."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._ended.set()
            threads = list(self._open)
            for one in (self._listener, *self._open.values()):
                _hang_up(one)
        self._acceptor.join(5)
        self._listener.close()
        for thread in threads:
            thread.join(5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError as why:
                if self._closing:
                    return
                _log.warning("session %s cannot accept a connection: %s", self.run, why.strerror)
                self._ended.wait(_PAUSE)
                continue
            thread = threading.Thread(
                target=self._serve, args=(sock,), name=f"session {self.run}", daemon=True
            )
            with self._lock:
                if self._closing or len(self._open) >= self.limits.connections:
                    sock.close()
                    continue
                self._open[thread] = sock
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            # EOFError, OSError: the client is gone, properly or in the middle of a frame.
            with sock, suppress(EOFError, OSError), Connection(os.dup(sock.fileno())) as connection:
                if self._welcome(sock, connection):
                    while self._exchange(connection):
                        continue
        finally:
            with self._lock:
                del self._open[threading.current_thread()]

    def _welcome(self, sock: socket.socket, connection: Connection) -> bool:
        """Whether it is the run's own user and knows the token; both sides prove the token."""
        _, uid, _ = struct.unpack(
            "3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        )
        if uid != self._peer:
            _log.warning("session %s: refused a process of user %s", self.run, uid)
            return False
        seconds, rest = divmod(self.limits.handshake_seconds, 1)
        limit = struct.pack("ll", int(seconds), int(rest * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        try:
            deliver_challenge(connection, self._token.encode())
            answer_challenge(connection, self._token.encode())
        except (AuthenticationError, AssertionError, ValueError):
            _log.warning("session %s: refused a wrong token", self.run)
            return False
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 0))
        return True

    def _exchange(self, connection: Connection) -> bool:
        """Answer one request; whether another may follow."""
        try:
            frame = connection.recv_bytes(self.limits.request_bytes)
        except OSError:
            if connection.readable:
                raise
            too_long = BadInput(
                "the request is too long",
                on=f"run {self.run}",
                next=f"send at most {self.limits.request_bytes} bytes",
            )
            self._send(connection, wire.Answer(fault=wire.fault_of(too_long)))
            return False
        body: bytes | None = None
        try:
            value = self._do(_read(frame))
            if isinstance(value, Reply):
                value, body = replace(value, body=b""), value.body
            answer = wire.Answer(value=msgspec.Raw(msgspec.json.encode(value)))
        except IrkitError as why:
            answer = wire.Answer(fault=self._clean(wire.fault_of(why)))
        except Exception:  # noqa: BLE001 - boundary: our own defect is told, and ends nothing
            _log.error("session %s\n%s", self.run, self._text(traceback.format_exc()))
            answer = wire.Answer(
                fault=wire.Fault(
                    error="IrkitError",
                    what="internal error in the runner",
                    on=f"run {self.run}",
                    next="the runner's log has the details",
                )
            )
        self._send(connection, answer)
        if body is not None:
            connection.send_bytes(body)
        return True

    def _do(self, call: wire.AnyCall) -> Any:
        match call:
            case wire.Brief():
                return self._briefing()
            case wire.Look(request=request):
                return self._look(request)
            case wire.ReadEvents():
                return self._events()
            case wire.Propose(ask=ask):
                self._speak()
                return self._propose(ask)
            case wire.Say(text=text):
                self._speak()
                return self._say(self._text(text))
            case wire.WriteNote(note=note):
                self._speak()
                return self._note(replace(note, text=self._text(note.text)))

    def _look(self, request: Request) -> Reply:
        reply = self._looks.look(request)
        if reply.error:
            with self._lock:
                self._gaps += 1
                told = self._gaps <= self.limits.gaps
            if told:
                self._gap(request, reply)
        return reply

    def _speak(self) -> None:
        """Before others see what a run makes of its looks, the looks are safe."""
        with self._lock:
            self._words += 1
            if self._words > self.limits.words:
                raise Refused(
                    "this run has said too much",
                    reason="too_many_words",
                    on=f"run {self.run}",
                    next=f"propose, say and note at most {self.limits.words} times in a run",
                )
        self._recorder.flush()

    def _send(self, connection: Connection, answer: wire.Answer) -> None:
        connection.send_bytes(msgspec.json.encode(answer))

    def _text(self, text: str) -> str:
        return self._recorder.redactor.text(text)

    def _clean(self, fault: wire.Fault) -> wire.Fault:
        return replace(
            fault,
            what=self._text(fault.what),
            on=self._text(fault.on),
            next=self._text(fault.next),
        )


def _read(frame: bytes) -> wire.AnyCall:
    try:
        return wire.CALLS.decode(frame)
    except UNREADABLE as why:
        raise BadInput(
            f"not a request ({why})"[:300],
            on="the run's socket",
            next="use irkit.incident() and its methods",
        ) from None


def _hang_up(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError as why:
        _log.debug("already hung up (%s)", why.strerror)
