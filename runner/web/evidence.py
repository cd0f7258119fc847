"""The one figure on an approval card: a recorded look that speaks for the plan, drawn."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path

import msgspec
from markupsafe import Markup

from irkit.errors import IrkitError
from irkit.model.base import Value
from irkit.model.finding import Finding
from irkit.model.incident import IncidentState, PlanState
from runner.web.card import finding, suspect_of

WIDE, NARROW = 640, 330


class Drawn(Value, frozen=True, kw_only=True):
    """A figure for a wide and for a narrow screen; or, in words, why there is none."""

    wide: str = ""
    narrow: str = ""
    caption: str = ""
    why: str = ""

    @property
    def markup(self) -> tuple[Markup, Markup]:
        """Both as markup: irkit drew them itself and escaped every text in them."""
        return Markup(self.wide), Markup(self.narrow)  # noqa: S704


def figure(known: PlanState, state: IncidentState, runs: Path) -> Drawn | None:
    """The first metrics look among the evidence, with the suspected change; None if there is none.

    `runs` is the folder of all runs; the look is read from the bundle of the run that asked.
    """
    suspect = suspect_of(known, state)
    findings = suspect.findings_for if suspect else ()
    named = [*known.plan.evidence, *(look for f in findings for look in f.evidence)]
    run = known.plan.requester.removeprefix("run:")
    if run not in {r.run for r in state.runs}:
        run = state.suspects_run
    folder = runs / run / "bundle"
    listed = folder / "looks.jsonl"
    if not run or not named or not listed.exists():
        return None
    about = {look: f for f in reversed(findings) for look in f.evidence}
    change = (suspect.change, suspect.change_at) if suspect and suspect.change_at else ("", None)
    try:
        return _drawn(
            folder, listed.stat().st_size, tuple(dict.fromkeys(named)), tuple(about.items()),
            *change,
        )  # fmt: skip
    except IrkitError as why:
        return Drawn(why=str(why))


@lru_cache(maxsize=64)
def _drawn(
    folder: Path,
    _size: int,
    named: tuple[str, ...],
    about: tuple[tuple[str, Finding], ...],
    change: str,
    change_at: datetime | None,
) -> Drawn | None:
    """Drawn once for as long as the bundle's list has the same size: a look never changes."""
    from irkit.evidence.bundle import Bundle
    from irkit.figures import Mark, ms
    from irkit.metrics.metrics import Metrics
    from irkit.registry import integration

    bundle = Bundle.open(folder)
    looks = {look.evidence: look for look in bundle.looks}
    found = (looks[name] for name in named if name in looks)
    look = next((k for k in found if k.request.op == "range" and not k.error), None)
    if look is None or look.request.window is None:
        return None
    matrix = integration(look.type).read(look.request, bundle.body(look))
    if matrix.frame.empty:
        return None
    said = dict(about).get(look.evidence)
    query = str(look.request.arguments.get("query", ""))
    metrics = Metrics(
        name=said.series if said and said.series else query, frame=matrix.frame,
        labels=matrix.labels, query=query, source=look.request.source, evidence=look.evidence,
        window=look.request.window, unit=said.unit if said else "",
    )  # fmt: skip
    drawn = metrics.plot(title=finding(said) if said else None)
    if change_at and change_at in look.request.window:
        mark = Mark(at=ms(change_at), kind="deploy", label=change)
        drawn = msgspec.structs.replace(drawn, marks=(mark,))
    return Drawn(
        wide=drawn.svg(width=WIDE),
        narrow=drawn.svg(width=NARROW),
        caption=f"{look.request.source}: {query}; look {look.evidence}",
    )
