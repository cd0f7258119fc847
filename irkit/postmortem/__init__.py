"""From an incident's events to its post-mortem: facts are folded, texts belong to people."""

from __future__ import annotations

from irkit.postmortem.cells import assemble, read_texts
from irkit.postmortem.fold import facts
from irkit.postmortem.values import Past, PostmortemFacts, Review, Seal, Text, Texts

__all__ = [
    "Past",
    "PostmortemFacts",
    "Review",
    "Seal",
    "Text",
    "Texts",
    "assemble",
    "facts",
    "read_texts",
]
