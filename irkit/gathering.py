"""Looking at everything that an incident may involve; each look that fails leaves a gap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from irkit.errors import IrkitError
from irkit.model.finding import Gap
from irkit.model.window import Window
from irkit.questions import ask_deploys, ask_logs, ask_signal, gap_of

if TYPE_CHECKING:
    from irkit.deploys.deploys import Deploys
    from irkit.health import Healths
    from irkit.incident import Incident
    from irkit.logs.logs import Logs
    from irkit.logs.patterns import Patterns
    from irkit.metrics.metrics import Marked, Metrics
    from irkit.signals import Signals

MOST_SERIES = 20
LOG_LINES = 20_000


def signals_of(
    inc: Incident, services: tuple[str, ...], names: tuple[str, ...], window: Window,
    mark: Marked | Iterable[Marked] = (),
) -> Signals:  # fmt: skip
    """Some signals of some services, by default all; one that fails is a gap."""
    from irkit.metrics.metrics import Marked
    from irkit.signals import Signals

    found: list[Metrics] = []
    gaps: list[Gap] = []
    for service in services:
        known = inc.catalog.services.get(service)
        if known is None or not (known.signals or names):
            gaps.append(_unknown("signals", service, known is None))
            continue
        for name in names or tuple(sorted(known.signals)):
            try:
                found.append(ask_signal(inc.session, known, name, window))
            except IrkitError as why:
                gaps.append(gap_of(f"{name} of {service}", why, f"whether {name} moved"))
    marks = (mark,) if isinstance(mark, Marked) else tuple(mark)
    return Signals(found=tuple(found), gaps=tuple(gaps), mark=marks)


def logs_of(
    inc: Incident, services: tuple[str, ...], match: str, window: Window
) -> tuple[list[Logs], list[Gap]]:
    """The log lines of some services, and a gap for each whose logs cannot be searched."""
    found: list[Logs] = []
    gaps: list[Gap] = []
    for service in services:
        known = inc.catalog.services.get(service)
        if known is None:
            gaps.append(_unknown("logs", service, True))
            continue
        try:
            found.append(
                ask_logs(inc.session, known, match, window, limit=LOG_LINES, onset=inc.onset)
            )
        except IrkitError as why:
            gaps.append(gap_of(f"logs of {service}", why, f"what {service} logged"))
    return found, gaps


def patterns_of(inc: Incident, services: tuple[str, ...], match: str, window: Window) -> Patterns:
    """The patterns of the log lines of some services taken together."""
    import pandas as pd

    from irkit.logs.patterns import Patterns

    found, gaps = logs_of(inc, services, match, window)
    if not found:
        return Patterns(rows=(), lines=0, split=inc.now, why="no logs", gaps=tuple(gaps))
    together = replace(found[0], frame=pd.concat([f.frame for f in found], ignore_index=True))
    evidence = tuple(f.evidence for f in found)
    return replace(together.patterns(), gaps=tuple(gaps), evidence=evidence)


def healths_of(inc: Incident) -> Healths:
    """What the health endpoints of all affected services say."""
    from irkit.health import Healths

    replies, gaps = [], []
    for service in inc.affected:
        try:
            replies.append((service, inc.health(service)))
        except IrkitError as why:
            gaps.append(gap_of(f"health of {service}", why, f"whether {service} is up"))
    return Healths(replies=tuple(replies), gaps=tuple(gaps))


def deploys_of(inc: Incident, names: tuple[str, ...], window: Window) -> Deploys:
    """The deploys of some services; what is not in the catalog is a gap."""
    known = tuple(inc.catalog.services[n] for n in names if n in inc.catalog.services)
    found = ask_deploys(inc.session, known, window)
    missing = tuple(_unknown("deploys", n, True) for n in names if n not in inc.catalog.services)
    return replace(found, services=names, gaps=(*found.gaps, *missing))


def _unknown(what: str, service: str, missing: bool) -> Gap:
    why = "the catalog does not have this service" if missing else "the catalog names none"
    return Gap(
        what=f"{what} of {service or 'an unknown service'}",
        why=why if service else "no service is known here",
        cannot_say=f"how {service or 'it'} is doing",
    )
