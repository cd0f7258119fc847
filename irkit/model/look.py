"""A look: one question to a source, and the raw reply as it came."""

from __future__ import annotations

from datetime import datetime

from irkit.model.base import Value, digest
from irkit.model.window import Window

Scalar = str | int | float | bool | None


class Request(Value, frozen=True, kw_only=True):
    """One question to a configured source.

    `source` is the integration's name in the config, `op` one of `range`, `instant` (metrics),
    `search` (logs), `history` (deploys), `get` (plain HTTP).  `window` is resolved already.
    """

    source: str
    op: str
    arguments: dict[str, Scalar] = {}
    window: Window | None = None

    def key(self, now: datetime) -> str:
        """The name under which a recording finds the reply: 16 hex digits.

        Windows enter as distances from the run's frozen `now`, so that the same run replayed
        later asks for the same keys; the nth look of the same key is answered by the nth reply.
        """
        window = self.window and [
            round((self.window.start - now).total_seconds() * 1000),
            round((self.window.end - now).total_seconds() * 1000),
        ]
        return digest([self.source, self.op, self.arguments, window])[:16]


class Reply(Value, frozen=True, kw_only=True):
    """What came back: the raw bytes, or why there are none.

    `evidence` names the look within its run (`L1`, `L2`, ...); `sha256` is over `body`;
    `recorded` says that a recording answered and no source was asked; `type` is the integration's
    type, which knows how to read `body`.
    """

    evidence: str
    type: str
    at: datetime
    body: bytes = b""
    media: str = "application/json"
    sha256: str = ""
    seconds: float = 0.0
    error: str = ""
    next: str = ""
    retryable: bool = False
    recorded: bool = False


class LookRecord(Value, frozen=True, kw_only=True):
    """A look as the bundle lists it: the question, when, how long, and the hash of the reply."""

    evidence: str
    key: str
    nth: int
    request: Request
    type: str
    at: datetime
    seconds: float
    bytes: int
    sha256: str
    media: str = "application/json"
    error: str = ""
    next: str = ""
    retryable: bool = False
