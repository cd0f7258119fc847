"""Every look is recorded: sessions, bundles, replay."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from irkit.session import Session


def connect() -> Session:
    """The session of this notebook.

    In a run it is the runner's (`IRKIT_SESSION` names the session file); with `IRKIT_REPLAY` a
    recorded bundle answers and nothing else is needed; otherwise the sources of irkit.yaml are
    asked from here.

    Raises:
        NeedsRunner: the run's runner does not answer.
        NotFound: there is no bundle where `IRKIT_REPLAY` points.
        ConfigError: irkit.yaml cannot be read.
    """
    import os

    if session := os.environ.get("IRKIT_SESSION"):
        return _remote(session)
    from irkit.evidence.local import LocalSession

    if replay := os.environ.get("IRKIT_REPLAY"):
        from irkit.evidence.bundle import Bundle

        return LocalSession(replay=Bundle.open(replay))
    from irkit import config

    return LocalSession(config.load())


@lru_cache
def _remote(file: str) -> Session:
    """One session per run and process: the runner allows a run only so many connections."""
    from irkit.evidence.remote import RemoteSession

    return RemoteSession(file)
