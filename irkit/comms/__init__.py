"""What a notebook says to the channel and writes into the record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from irkit import display
from irkit.text import one_line


@dataclass(frozen=True, repr=False)
class Told(display.Shown):
    """The receipt for a text that was handed to the runner: what, and where it goes."""

    text: str
    where: str

    def _sentence(self) -> str:
        return f"{self.where}: {one_line(self.text, 200)}"

    def _parts(self) -> Iterable[Markup]:
        yield display.line(display.word(f"{self.where}: ", "muted"), self.text[:2000])
