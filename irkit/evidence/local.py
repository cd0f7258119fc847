"""The session without a runner: the engineer's own credentials, or a recording."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from irkit.clock import Clock, SystemClock
from irkit.errors import BadInput, NeedsRunner
from irkit.evidence.bundle import Bundle, write_briefing
from irkit.evidence.looks import Looks, sources_in, types_of
from irkit.evidence.recorder import Recorder
from irkit.evidence.redact import Redactor
from irkit.model.event import Event
from irkit.model.look import Reply, Request
from irkit.session import Ask, Briefing, Note, Proposal

if TYPE_CHECKING:
    from irkit.config import Config

_numbers = count(1)


class LocalSession:
    """Looks from this process and records, where there is no runner; nothing is ever applied.

    Args:
        config: where the sources are; None only with `replay`.
        incident: the incident it is about, if any.
        events: that incident's ledger so far.
        clock: tells the frozen now, once, and the time of each look.
        folder: the bundle to write; by default a new folder under the storage's `local`, or a
            temporary one where there is no irkit.yaml.
        replay: a bundle that answers instead of the sources; then nothing is written.

    Raises:
        BadInput: neither a config nor a bundle is given.
        NotFound: the bundle has no briefing.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        incident: str = "",
        events: tuple[Event, ...] = (),
        clock: Clock | None = None,
        folder: str | Path | None = None,
        replay: Bundle | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.said: list[str] = []
        self.notes: list[Note] = []
        if replay is not None:
            recorded = replay.briefing()
            self._briefing = Briefing(
                principal=recorded.principal,
                run=recorded.run,
                now=recorded.now,
                events=recorded.events,
                catalog=recorded.catalog,
                types=recorded.types,
                live=False,
            )
            recorder = Recorder(
                None, now=recorded.now, clock=clock, recorded=replay, mode="replay", repeat=True
            )
            self._looks = Looks(recorder, {})
            return
        if config is None:
            raise BadInput("a session needs a config or a bundle", next="pass irkit.config.load()")
        now = clock.now()
        redactor = Redactor.of(config)
        self._briefing = Briefing(
            principal="person:local",
            run=incident and f"local-{incident}",
            now=now,
            events=events,
            catalog=config.services,
            types=types_of(config.integrations),
            url=config.server.url,
        )
        folder = Path(folder) if folder is not None else _fresh(config, now)
        recorder = Recorder(folder, now=now, clock=clock, redactor=redactor)
        self._looks = Looks(recorder, sources_in(config.integrations))
        self.folder, self._redactor = folder, redactor
        self._briefed = False

    @property
    def briefing(self) -> Briefing:
        """What it was told: the frozen now, the catalog, the incident's events."""
        return self._briefing

    def look(self, request: Request) -> Reply:
        """Ask a source, or the recording; recorded first.

        Raises:
            NotFound: no source of that name is configured.
            BadQuery: the source cannot do that.
        """
        if self._briefing.live and not self._briefed:
            write_briefing(self.folder, self._briefing, self._redactor)
            self._briefed = True
        return self._looks.look(request)

    def propose(self, ask: Ask) -> Proposal:
        """Refused: acts need a runner."""
        raise NeedsRunner(
            "only a runner can plan or apply an action",
            on=f"{ask.action} on {ask.target}",
            next="open this notebook from a run of `irkit serve`, or do it by hand",
        )

    def say(self, text: str) -> None:
        """Keep the text here, for there is no runner that could post it."""
        self.said.append(text)
        print(f"Not posted, for there is no runner: {text}")

    def note(self, note: Note) -> None:
        """Keep the note here, for there is no runner that could store it."""
        self.notes.append(note)
        if note.text:
            print(f"Kept in this notebook only, for there is no runner: {note.text}")

    def events(self) -> tuple[Event, ...]:
        """The incident's events that it was given."""
        return self._briefing.events

    def seal(self) -> str:
        """End the recording; returns the bundle's root hash (empty in a replay)."""
        return self._looks.recorder.seal()

    def __repr__(self) -> str:
        return "<session without a runner>" if self._briefing.live else "<session on a recording>"


def _fresh(config: Config, now: datetime) -> Path:
    """A folder that nobody else records into."""
    name = f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}-{next(_numbers)}"
    if config.file.is_file():
        return config.storage_path / "local" / name
    return Path(tempfile.mkdtemp(prefix="irkit-")) / name
