"""What probably broke, as a notebook shows it: for, against, ruled out, and what is not known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from markupsafe import Markup

from irkit import display
from irkit.model.finding import Finding, Gap, RuledOut, Suspect
from irkit.text import clock, one_line

if TYPE_CHECKING:
    import pandas as pd

STRENGTHS: Final = {
    "confirmed": "an act on it was verified: the signal recovered after it",
    "supported": "two or more independent looks point to it",
    "consistent": "one look points to it",
    "untested": "nothing that was looked at points to it",
}


@dataclass(frozen=True, repr=False, kw_only=True)
class TopSuspect(display.Shown):
    """The suspect ranked first (or another one), with how sure that is, in a fixed word.

    `word` is `confirmed`, `supported`, `consistent` or `untested`; `strength` the ranker's own
    number, 0 to 1; `change` reads like `1.4.1 -> 1.4.2` and is empty where no change fits.
    """

    suspect: Suspect
    confirmed: bool = False

    @property
    def service(self) -> str:
        """The service that is suspected."""
        return self.suspect.service

    @property
    def change(self) -> str:
        """The change that is suspected, or empty."""
        return self.suspect.change

    @property
    def strength(self) -> float | None:
        """The ranker's number, 0 to 1."""
        return self.suspect.strength

    @property
    def sentence(self) -> str:
        """The suspicion in one sentence."""
        return self.suspect.sentence

    @property
    def contrary(self) -> str:
        """The strongest fact that speaks against it, or empty."""
        against = self.suspect.findings_against
        return against[0].sentence if against else ""

    @property
    def evidence(self) -> tuple[str, ...]:
        """The looks that point to it."""
        return self.suspect.looks

    @property
    def word(self) -> str:
        """How sure that is: `confirmed`, `supported`, `consistent` or `untested`."""
        if self.confirmed:
            return "confirmed"
        looks = len(self.evidence) or len({f.kind for f in self.suspect.findings_for})
        return "supported" if looks > 1 else "consistent" if looks else "untested"

    def explain(self) -> TopSuspect:
        """Itself, shown with everything that speaks for and against it."""
        return self

    def _sentence(self) -> str:
        return f"{self.sentence} ({self.word}: {STRENGTHS[self.word]})"

    def _parts(self) -> Iterable[Markup]:
        yield suspect_card(self)


@dataclass(frozen=True, repr=False, kw_only=True)
class NothingStandsOut(display.Shown):
    """No suspect: nothing was looked at, or it moved no more than usual.  False in an `if`."""

    looks: int
    service = ""
    change = ""
    strength: ClassVar[None] = None
    sentence = "Nothing stands out."
    contrary = ""
    word = "untested"
    evidence: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return False

    def explain(self) -> NothingStandsOut:
        """Itself: there is nothing to explain."""
        return self

    def _sentence(self) -> str:
        if not self.looks:
            return "nothing stands out, for nothing was looked at"
        return "nothing stands out: what was looked at moved no more than usual"

    def _parts(self) -> Iterable[Markup]:
        yield display.line(self._sentence())


@dataclass(frozen=True, repr=False, kw_only=True)
class Suspects(display.Shown):
    """What probably broke, most suspect first, with what was ruled out and what is missing.

    `top` is the first, or an object that is false and says that nothing stands out.  `newest` is
    the version of each service's last deploy, as far as the deploy sources know.
    """

    suspects: tuple[Suspect, ...]
    ruled_out: tuple[RuledOut, ...] = ()
    gaps: tuple[Gap, ...] = ()
    onset: datetime | None = None
    method: str = ""
    looks: int = 0
    confirmed: frozenset[str] = frozenset()
    newest: Mapping[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[TopSuspect]:
        for one in self.suspects:
            yield TopSuspect(suspect=one, confirmed=one.service in self.confirmed)

    def __len__(self) -> int:
        return len(self.suspects)

    @property
    def top(self) -> TopSuspect | NothingStandsOut:
        """The first suspect, or what says that nothing stands out."""
        return next(iter(self), NothingStandsOut(looks=self.looks))

    @property
    def df(self) -> pd.DataFrame:
        """One row for each suspect: rank, service, change, strength, word, sentence."""
        import pandas as pd

        rows = [(s.suspect.rank, s.service, s.change, s.strength, s.word, s.sentence) for s in self]
        names = ("rank", "service", "change", "strength", "word", "sentence")
        return pd.DataFrame(rows, columns=names)

    def explain(self) -> TopSuspect | NothingStandsOut:
        """What speaks for and against the first."""
        return self.top.explain()

    def _sentence(self) -> str:
        gaps = f"; {len(self.gaps)} gap{'s' * (len(self.gaps) != 1)}" if self.gaps else ""
        since = f" since {clock(self.onset)}" if self.onset else ""
        if not self.suspects:
            if not self.looks:
                return f"nothing was looked at, so nothing is suspected or ruled out{gaps}"
            return f"nothing stands out in {self.looks} looks{gaps}"
        return f"{self.top.sentence} ({self.top.word}){since}{gaps}"

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(one_line(self._sentence()))
        for one in self:
            yield suspect_card(one)
        if self.ruled_out:
            yield display.line(display.word("Ruled out"))
            yield display.bullets(f"{r.what}: {r.why}{_looks(r.evidence)}" for r in self.ruled_out)
        for gap in self.gaps:
            yield display.gap_box(gap)
        if self.method:
            yield display.meta(f"{self.method} · {self.looks} looks")


def suspect_card(one: TopSuspect) -> Markup:
    """One suspect: rank, sentence, the word for its strength, what is for and against it."""
    suspect = one.suspect
    role = "sev1" if suspect.rank == 1 else "control"
    parts = [
        display.line(display.word(f"{suspect.rank}. {suspect.sentence}", role)),
        display.line(display.word(one.word), f": {STRENGTHS[one.word]}"),
    ]
    if suspect.change:
        when = f" at {clock(suspect.change_at)}" if suspect.change_at else ""
        parts.append(display.line("Change: ", display.code(suspect.change), when))
    parts.append(display.line(display.word("For")))
    parts.append(display.bullets(map(_finding, suspect.findings_for)))
    against = suspect.findings_against
    silence = ": nothing found" if one.evidence else ": nothing was looked at"
    parts.append(display.line(display.word("Against"), "" if against else silence))
    parts.append(display.bullets(map(_finding, against)))
    return display.card(role, *parts)


def _finding(finding: Finding) -> str:
    return f"{finding.sentence}{_looks(finding.evidence)}"


def _looks(evidence: tuple[str, ...]) -> str:
    return f" [{', '.join(evidence)}]" if evidence else ""
