"""One ranking, turned into sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import structs

from irkit.diagnosis import sentences
from irkit.diagnosis.changes import NEEDED, ScoredChange, span
from irkit.diagnosis.features import FEATURES
from irkit.diagnosis.inputs import Inputs, Series
from irkit.diagnosis.kinds import kind_of
from irkit.diagnosis.ranking import Ranking
from irkit.diagnosis.together import WORSE
from irkit.model.base import Value
from irkit.model.finding import Finding, Gap, RuledOut, Suspect
from irkit.text import clock, one_line

_SHOWN = 5  # suspects, at the most
_LEAST = 0.03  # the chance from which a suspect is shown
_SPEAKS = 0.35  # log-odds from which a sign is worth a sentence
_UNLIKELY = 0.05  # the chance below which a service's change needs another reason
_CLEARLY = 4.0  # sigmas from which a movement may explain another service's
_LONG = 30.0  # minutes before the onset from which that alone is worth a word


class Sketch(Value, frozen=True, kw_only=True):
    """What is needed to draw a finding's series: its points, its normal band, when it moved.

    `times` are UTC, `values` in `unit` (NaN is a gap); the band is the level before, two spreads
    wide on either side.
    """

    service: str
    series: str
    unit: str = ""
    times: tuple[datetime, ...] = ()
    values: tuple[float, ...] = ()
    low: float
    high: float
    onset: datetime | None = None


class Diagnosis(Value, frozen=True, kw_only=True):
    """What probably broke; no suspects means that nothing moved beyond its usual bounds.

    `onset` is when the first suspect's trouble began, `confidence` the chance that it is the cause,
    `method` one line on how that was found, `sketches` the series that the findings speak of.
    """

    suspects: tuple[Suspect, ...] = ()
    ruled_out: tuple[RuledOut, ...] = ()
    gaps: tuple[Gap, ...] = ()
    onset: datetime | None = None
    confidence: float = 0.0
    method: str = ""
    sketches: tuple[Sketch, ...] = ()


class Writer:
    """Turns one ranking into sentences."""

    def __init__(
        self,
        given: Inputs,
        ranking: Ranking,
        changes: list[ScoredChange],
        listed: Sequence[Mapping[str, Any]],
        *,
        units: Mapping[Series, str],
        metric_evidence: Mapping[Series, str],
        log_evidence: Mapping[str, str],
        trace_evidence: tuple[str, ...],
        deploy_evidence: tuple[str, ...],
    ) -> None:
        self.given, self.ranking, self.changes = given, ranking, changes
        self.signs = ranking.signs
        self.listed = {str(one["id"]): one for one in listed}
        self.units, self.metric_evidence = units, metric_evidence
        self.log_evidence, self.trace_evidence = log_evidence, trace_evidence
        self.deploy_evidence = deploy_evidence

    def diagnosis(self) -> Diagnosis:
        gaps = self._gaps()
        method = self._method()
        if self.ranking.silent or self.ranking.still:
            return Diagnosis(gaps=gaps, method=method, ruled_out=self._ruled_out((), None))
        chances = self.ranking.chances()
        shown = [
            place
            for position, place in enumerate(self.ranking.order[:_SHOWN])
            if position == 0 or chances[place] >= _LEAST
        ]
        onset = self._began(shown[0])
        suspects = tuple(
            self._suspect(position + 1, place, chances[place])
            for position, place in enumerate(shown)
        )
        return Diagnosis(
            suspects=suspects,
            ruled_out=self._ruled_out(tuple(one.service for one in suspects), onset),
            gaps=gaps,
            onset=onset,
            confidence=round(self.ranking.confidence, 3),
            method=method,
            sketches=self._sketches(suspects),
        )

    def _suspect(self, rank: int, place: int, chance: float) -> Suspect:
        service = self.signs.services[place]
        began = self._began(place)
        speaking, against = self._findings(place, began)
        cause = next((c for c in self.changes if c.service == service and c.score >= NEEDED), None)
        name = ""
        if cause is not None:
            name = _name(self.listed[cause.id])
            told = f"{'deploy' if cause.kind == 'deploy' else cause.kind} {name} of {service}"
            onset = min(began, self.given.start.to_pydatetime(warn=False))
            speaking.insert(0, sentences.change(cause, told, onset, self.deploy_evidence))
        reason = speaking[0].sentence if speaking else "nothing of its own moved clearly"
        sentence = f"{service}: {reason}"
        if cause is not None:
            sentence = f"{service}, since {name or cause.message} at {clock(cause.time)}"
        return Suspect(
            rank=rank,
            service=service,
            strength=round(chance, 3),
            sentence=one_line(sentence),
            change=name,
            change_at=cause.time.to_pydatetime(warn=False) if cause is not None else None,
            findings_for=tuple(speaking),
            findings_against=tuple(against),
        )

    def _findings(self, place: int, began: datetime) -> tuple[list[Finding], list[Finding]]:
        """What speaks for a service, strongest sign first, and what against it."""
        service = self.signs.services[place]
        parts = dict(zip(FEATURES, self.ranking.parts[place], strict=True))
        found: list[tuple[float, Finding]] = []
        for column in self._strongest_series(service):
            weight = float(self.signs.weighted[column])
            found.append((weight, self._moved(column)))
        if self.given.target and parts["follows"] > 2 and service != self.given.target[0]:
            column = max(self._columns(service), key=lambda c: self.signs.follows[c])
            metric = self.signs.columns[column][1]
            alert = f"{self.given.target[1]} of {self.given.target[0]}"
            evidence = self._metric_look(column)
            found.append((parts["follows"], sentences.follows(service, metric, alert, evidence)))
        one = self.signs.spans.get(service)
        if one is not None:
            found += [
                (parts[sign], sentences.span(service, one, sign, self.trace_evidence))
                for sign in ("gap", "waits", "own", "flow")
                if parts[sign] > _SPEAKS
            ]
        mine = [p for p in self.signs.patterns if p.service == service and p.strength > 1]
        looks = tuple(filter(None, [self.log_evidence.get(service, "")]))
        loud = [p for p in mine if p.bad and p.ratio > 0][:2] or mine[:1]
        found += [(2 * p.strength, sentences.lines(p, looks)) for p in loud]
        way = self._way(service)
        if way:
            found.append((0.0, way))
        found.sort(key=lambda pair: -pair[0])
        return [finding for _, finding in found][:6], self._against(place, parts)

    def _against(self, place: int, parts: Mapping[str, float]) -> list[Finding]:
        service = self.signs.services[place]
        against: list[Finding] = []
        explained = -sum(part for name, part in parts.items() if name.endswith("_below"))
        callees = self.signs.callees.get(service, frozenset())
        own = max((float(self.signs.weighted[c]) for c in self._columns(service)), default=0.0)
        worse = [
            c for callee in callees for c in self._strongest_series(callee)
            if self._worse(c) and self.signs.weighted[c] >= own / 2
        ]  # fmt: skip
        if explained > _SPEAKS and worse:
            told = self._moved(max(worse, key=lambda c: self.signs.weighted[c]))
            sentence = f"{told.sentence}, and {service} calls {told.service}"
            against.append(
                structs.replace(told, kind="callee", sentence=sentence, before=None, after=None)
            )
        if not self._strongest_series(service) and self._columns(service):
            against.append(
                Finding(kind="still", sentence=f"no series of {service} left its usual bounds",
                        service=service)
            )  # fmt: skip
        return against

    def _ruled_out(self, suspects: tuple[str, ...], onset: datetime | None) -> tuple[RuledOut, ...]:
        """Changes that do not fit, and services that moved no more than their callees."""
        ruled: list[RuledOut] = []
        near = [c for c in self.changes if c.score < NEEDED]
        for one in near[:8]:
            name = _name(self.listed[one.id]) or one.message or one.id
            why, looks = self._why_not(one, suspects)
            ruled.append(
                RuledOut(
                    what=one_line(f"{one.kind} {name} of {one.service or 'unknown'}", 120),
                    why=why,
                    evidence=(*self.deploy_evidence, *looks),
                )
            )
        quiet = [
            service
            for service in self.signs.services
            if service not in suspects
            and self._columns(service)
            and not self._strongest_series(service)
        ]
        if quiet:
            named = ", ".join(quiet[:6]) + (f" and {len(quiet) - 6} more" if len(quiet) > 6 else "")
            ruled.append(
                RuledOut(
                    what=named,
                    why="none of its series left its usual bounds",
                    evidence=tuple(
                        dict.fromkeys(
                            look for s in quiet for c in self._columns(s)
                            for look in self._metric_look(c)
                        )
                    )[:6],
                )
            )  # fmt: skip
        return tuple(dict.fromkeys(ruled))

    def _why_not(self, one: ScoredChange, suspects: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The facts that speak against a change, and the looks that show them."""
        reasons, looks = [one.why_not] if one.why_not else [], []
        if one.early > _LONG:
            reasons.append(f"it went live {span(one.early)} before the onset")
        mine = self._columns(one.service)
        if one.suspicion < _UNLIKELY and mine:
            loudest = max(mine, key=lambda c: self.signs.weighted[c])
            moved = self._moved(loudest)
            still = not self._strongest_series(one.service)
            reasons.append(
                f"none of {one.service}'s series left its usual bounds" if still
                else f"{suspects[0]} moved more; {moved.sentence}" if suspects
                else moved.sentence
            )  # fmt: skip
            looks += [look for c in (mine if still else [loudest]) for look in self._metric_look(c)]
        elif one.suspicion < _UNLIKELY:
            reasons.append(f"no series of {one.service or 'its service'} was there to show it")
        if not reasons:
            reasons.append(
                f"it went live {span(max(one.early, 0.0))} before the onset, and shares nothing "
                "with the lines or series that changed"
                if not one.matches
                else f"it shares only {', '.join(one.matches)} with what changed at the onset"
            )
        return one_line("; ".join(reasons)), tuple(dict.fromkeys(looks))[:6]

    def _worse(self, column: int) -> bool:
        """Whether a series clearly moved to its bad side: the catalog's, else what its name tells.

        Which side of a resource or of traffic is the bad one cannot be told.
        """
        side = self.given.bad_sides[column] if self.given.bad_sides else 0
        side = side or WORSE.get(kind_of(self.signs.columns[column][1]), 0)
        return side * float(self.signs.moves.sigmas[column]) >= _CLEARLY

    def _gaps(self) -> tuple[Gap, ...]:
        """What could not be checked with what was given."""
        given, gaps = self.given, []
        for missing, what, cannot in (
            (given.metrics.empty, "metrics", "how any service was doing"),
            (given.logs is None, "logs", "which errors the services reported"),
            (given.traces is None, "traces", "whether time is lost on the network or inside"),
            (not self.signs.callees, "the call graph", "which services only suffer from others"),
            (not self.changes, "changes", "whether a deploy did it"),
        ):
            if missing:
                gaps.append(Gap(what=what, why="none were given", cannot_say=cannot))
        before = self.signs.moves.start
        if not given.metrics.empty and before < 20:
            gaps.append(
                Gap(
                    what="the time before",
                    why=f"only {before} samples before {clock(given.start)}",
                    cannot_say="how much the series usually vary",
                )
            )
        silent = sorted({s for s in given.services if not self._columns(s)})
        if silent and not given.metrics.empty:
            gaps.append(
                Gap(
                    what=f"metrics of {', '.join(silent[:8])}",
                    why="none were given",
                    cannot_say="how they were doing",
                )
            )
        return tuple(gaps)

    def _sketches(self, suspects: tuple[Suspect, ...]) -> tuple[Sketch, ...]:
        wanted = {
            (finding.service, finding.series)
            for suspect in suspects
            for finding in suspect.findings_for
            if finding.kind in ("moved", "follows")
        }
        if self.given.target is not None:
            wanted.add(self.given.target)
        moves = self.signs.moves
        times = tuple(t.to_pydatetime(warn=False) for t in self.given.metrics.index)
        return tuple(
            Sketch(
                service=service,
                series=metric,
                unit=self.units.get((service, metric), ""),
                times=times,
                values=tuple(float(v) for v in moves.values[:, column]),
                low=float(moves.before[column] - 2 * moves.spread[column]),
                high=float(moves.before[column] + 2 * moves.spread[column]),
                onset=self._when(column),
            )
            for column, (service, metric) in enumerate(self.signs.columns)
            if (service, metric) in wanted
        )

    def _method(self) -> str:
        used = [f"{len(self.signs.columns)} series of {len(self.signs.services)} services"]
        used += ["log patterns"] if self.signs.patterns else []
        used += ["spans"] if self.signs.spans else []
        used += ["the call graph"] if self.signs.callees else []
        used += [f"{len(self.changes)} changes"] if self.changes else []
        return f"compared {', '.join(used)} before and after {clock(self.given.start)}"

    def _strongest_series(self, service: str) -> list[int]:
        mine = [c for c in self._columns(service) if self.signs.weighted[c] > 1.0]
        return sorted(mine, key=lambda c: -self.signs.weighted[c])[:3]

    def _columns(self, service: str) -> list[int]:
        return self.signs.layout.columns.get(service, [])

    def _moved(self, column: int) -> Finding:
        unit = self.units.get(self.signs.columns[column], "")
        return sentences.moved(
            self.signs, column, self._when(column), self._metric_look(column), unit
        )

    def _metric_look(self, column: int) -> tuple[str, ...]:
        look = self.metric_evidence.get(self.signs.columns[column], "")
        return (look,) if look else ()

    def _when(self, column: int) -> datetime:
        place = int(self.signs.moves.onset[column])
        moment: datetime = self.given.metrics.index[place].to_pydatetime(warn=False)
        return moment

    def _began(self, place: int) -> datetime:
        """When a service's own trouble began: its strongest series' onset, else the alert."""
        strongest = self._strongest_series(self.signs.services[place])
        if not strongest:
            start: datetime = self.given.start.to_pydatetime(warn=False)
            return start
        return min(self._when(column) for column in strongest)

    def _way(self, service: str) -> Finding | None:
        if self.given.target is None or service == self.given.target[0]:
            return None
        way = sentences.path(service, self.given.target[0], self.signs.callees)
        if not way:
            return None
        return Finding(
            kind="path",
            sentence=f"the alerting service calls it: {' -> '.join(way)}",
            service=service,
        )


def _name(change: Mapping[str, Any]) -> str:
    """A change's short name: `1.4.1 -> 1.4.2`, or its version, or its id."""
    version, previous = str(change.get("version") or ""), str(change.get("previous") or "")
    if version:
        return one_line(f"{previous} -> {version}" if previous else version, 80)
    return one_line(str(change.get("id") or ""), 80)
