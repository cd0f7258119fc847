"""The incident's events as sentences, lanes and a figure: one telling for every face.

Everything here is plain text without markup; whoever renders it escapes it.
"""

from irkit.timeline.entries import LANES, Entry, entries, folded
from irkit.timeline.sentence import sentence
from irkit.timeline.shown import Timeline

__all__ = ["LANES", "Entry", "Timeline", "entries", "folded", "sentence"]
