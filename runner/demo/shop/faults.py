"""How a release misbehaves: one function per kind of fault.

A fault is called in the middle of a request, after the service has done its own work and before it
calls the next one, so that what breaks breaks as it would: a request that raises is short, and
the service behind it is asked less.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from runner.demo.shop.releases import Fault


class Broken(Exception):
    """The release raised while it served a request; the text is what the log says."""


def _raise(fault: Fault, random: Random) -> None:
    raise Broken(fault.error)


FAULTS: dict[str, Callable[[Fault, Random], None]] = {"raise": _raise}
"""Fault kind -> what happens to a request it hits."""


def strike(faults: tuple[Fault, ...], route: str, random: Random) -> None:
    """Let each fault of a release hit its share of the requests on its route."""
    for fault in faults:
        if fault.route in ("", route) and random.random() < fault.share:
            FAULTS[fault.kind](fault, random)
