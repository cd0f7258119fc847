"""A session for one notebook without a runner: looks are made and recorded, nothing is applied."""

from __future__ import annotations

import contextlib
import tempfile
from datetime import datetime
from pathlib import Path
from types import TracebackType

from irkit.clock import Clock, SystemClock
from irkit.config import Config
from irkit.errors import NeedsRunner, NotFound
from irkit.evidence.bundle import Bundle, write_briefing
from irkit.evidence.recorder import Recorder
from irkit.evidence.redact import Redactor
from irkit.model.event import Event
from irkit.session import Ask, Briefing, Note, Proposal
from runner.outside import Integrations
from runner.runs.session_server import SessionServer


class Solo:
    """Serves a session for a notebook that is run by hand, or opened in JupyterLab.

    With `replay` the bundle of an earlier run answers, at that run's frozen now, and no source is
    asked.  With `resume` that bundle answers until the first look that it does not hold; from there
    on the sources do.  `now` is what windows end at; by default the bundle's, or else the present.
    `folder` is where the new bundle goes; None keeps it in a temporary folder.
    """

    def __init__(
        self,
        config: Config,
        *,
        events: tuple[Event, ...] = (),
        folder: Path | None,
        replay: Path | None = None,
        resume: Path | None = None,
        now: datetime | None = None,
        clock: Clock | None = None,
        peer: int | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        folder = folder or Path(self._temporary.name if self._temporary else "") / "bundle"
        integrations = Integrations(config.integrations)
        bundle = replay or resume
        recorded = Bundle.open(bundle) if bundle else None
        then = None
        if recorded and replay:
            with contextlib.suppress(NotFound):
                then = recorded.briefing()
        now = now or (recorded.now if recorded else clock.now())
        redactor = Redactor.of(config)
        self._recorder = Recorder(
            folder, now=now, clock=clock, recorded=recorded,
            mode="replay" if replay else "resume" if resume else "live", redactor=redactor,
            repeat=resume is not None,
        )  # fmt: skip
        briefing = then or Briefing(
            principal="person:local",
            run=f"local-{now:%Y%m%d-%H%M%S}",
            now=now,
            events=events,
            catalog=config.services,
            types=integrations.types(),
            live=False,
        )
        write_briefing(folder, briefing, redactor)

        def propose(_ask: Ask) -> Proposal:
            raise NeedsRunner(
                "acts need the runner", next="start it with `irkit serve`, or decide on its page"
            )

        self._server = SessionServer(
            run=briefing.run,
            briefing=lambda: briefing,
            recorder=self._recorder,
            sources=integrations.sources(),
            propose=propose,
            say=lambda _text: None,
            note=_keep,
            gap=lambda _request, _reply: None,
            events=lambda: briefing.events,
            peer=peer,
        )

    @property
    def session_file(self) -> Path:
        """What IRKIT_SESSION names."""
        return Path(self._server.session_file)

    def seal(self) -> str:
        """End the recording; returns the root hash of the evidence."""
        return self._recorder.seal()

    def __enter__(self) -> Solo:
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.__exit__(kind, error, trace)
        self._recorder.close()
        if self._temporary:
            self._temporary.cleanup()


def _keep(_note: Note) -> None:
    """Notes of a run by hand stay in its notebook: there is no record to write them into."""
