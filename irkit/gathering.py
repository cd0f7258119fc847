"""Looking at everything that an incident may involve; each look that fails leaves a gap."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from irkit.errors import IrkitError
from irkit.model.finding import Gap
from irkit.model.window import Window
from irkit.questions import ask_deploys, ask_signal, gap_of

if TYPE_CHECKING:

    from irkit.deploys.deploys import Deploys
    from irkit.incident import Incident
    from irkit.metrics.metrics import Metrics
    from irkit.signals import Signals

MOST_SERIES = 20
LOG_LINES = 20_000


def signals_of(
    inc: Incident, service: str, names: tuple[str, ...], window: Window
) -> Signals:
    """Some signals of a service, by default all; one that fails is a gap."""
    from irkit.signals import Signals

    known = inc.catalog.services.get(service)
    if known is None:
        gap = Gap(
            what=f"signals of {service or 'an unknown service'}",
            why="the catalog does not have this service" if service else "no service is known here",
            cannot_say="how it is doing",
        )  # fmt: skip
        return Signals(found=(), gaps=(gap,))
    found: list[Metrics] = []
    gaps: list[Gap] = []
    if not known.signals and not names:
        gaps.append(Gap(
            what=f"signals of {service}", why="the catalog names none",
            cannot_say=f"how {service} is doing",
        ))  # fmt: skip
    for name in names or tuple(sorted(known.signals)):
        try:
            found.append(ask_signal(inc.session, known, name, window))
        except IrkitError as why:
            gaps.append(gap_of(f"{name} of {service}", why, f"whether {name} moved"))
    return Signals(found=tuple(found), gaps=tuple(gaps))


def deploys_of(inc: Incident, names: tuple[str, ...], window: Window) -> Deploys:
    """The deploys of some services; what is not in the catalog is a gap."""
    known = tuple(inc.catalog.services[n] for n in names if n in inc.catalog.services)
    found = ask_deploys(inc.session, known, window)
    missing = tuple(
        Gap(what=f"deploys of {n}", why="the catalog does not have this service",
            cannot_say=f"whether {n} was changed")
        for n in names if n not in inc.catalog.services
    )  # fmt: skip
    return replace(found, services=names, gaps=(*found.gaps, *missing))
