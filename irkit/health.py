"""A reply to a plain HTTP look, such as a health endpoint's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from irkit import display


@dataclass(frozen=True, repr=False, kw_only=True)
class HttpReply(display.Shown):
    """What an HTTP source answered; a 5xx is an answer too: it says that the service is ill.

    `seconds` is how long it took, `body` its JSON as plain values, or its text; both are foreign.
    """

    source: str
    path: str
    status: int
    seconds: float
    body: Any
    evidence: str

    @property
    def ok(self) -> bool:
        """Whether the status is in 200 to 299."""
        return 200 <= self.status < 300

    def _sentence(self) -> str:
        took = f"{self.seconds * 1000:.0f} ms"
        return f"{self.source}{self.path}: {self.status} in {took} ({_word(self.ok)})"

    def _parts(self) -> Iterable[Markup]:
        role = "ok" if self.ok else "sev1"
        yield display.line(display.word(f"{self.status} {_word(self.ok)} ", role), self._sentence())
        if isinstance(self.body, dict):
            yield display.pairs((str(k), str(v)[:500]) for k, v in list(self.body.items())[:20])
        elif self.body:
            yield display.line(display.code(str(self.body)[:2000]))
        yield display.meta(self.evidence)


def _word(ok: bool) -> str:
    return "healthy" if ok else "ill"
