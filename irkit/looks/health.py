"""A reply to a plain HTTP look, such as a health endpoint's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from irkit import display
from irkit.model.finding import Gap


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


@dataclass(frozen=True, repr=False, kw_only=True)
class Healths(display.Shown):
    """What several services' health endpoints say; those that did not answer are gaps."""

    replies: tuple[tuple[str, HttpReply], ...]
    gaps: tuple[Gap, ...] = ()

    def _sentence(self) -> str:
        gaps = f"; {len(self.gaps)} could not be asked" if self.gaps else ""
        told = ", ".join(f"{name} {_word(reply.ok)}" for name, reply in self.replies)
        return f"health: {told or 'no answer'}{gaps}"

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(self._sentence())
        for gap in self.gaps:
            yield display.gap_box(gap)
        rows = [
            (
                name, display.word(_word(r.ok), "ok" if r.ok else "sev1"), r.status,
                f"{r.seconds * 1000:.0f} ms", str(r.body)[:200], r.evidence,
            )
            for name, r in self.replies
        ]  # fmt: skip
        if rows:
            head = ("service", "health", "status", "took", "said", "evidence")
            yield display.table(head, rows, right=(2, 3), what="services")


def _word(ok: bool) -> str:
    return "healthy" if ok else "ill"
