"""Findings as a tired person reads them: one sentence each, with the numbers in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import exp

from irkit.diagnosis.changes import ScoredChange
from irkit.diagnosis.features import Signs
from irkit.diagnosis.kinds import unit_of
from irkit.diagnosis.spans import SpanEvidence
from irkit.diagnosis.words import Pattern
from irkit.model.finding import Finding
from irkit.text import clock, one_line


def number(value: float, unit: str = "") -> str:
    """A number with three digits that matter, and its unit.

    Example:
        >>> number(0.01234, "s"), number(1234567)
        ('0.0123 s', '1.23M')
    """
    size = abs(value)
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= factor:
            scale = 1e3 if letter == "k" else factor
            return f"{value / scale:.3g}{letter}{' ' + unit if unit else ''}"
    return f"{value:.3g}{' ' + unit if unit else ''}"


def moved(
    signs: Signs, column: int, began: datetime, evidence: tuple[str, ...], unit: str = ""
) -> Finding:
    """A series that left its level."""
    service, metric = signs.columns[column]
    moves = signs.moves
    before, after = float(moves.before[column]), float(moves.after[column])
    sigmas = float(moves.sigmas[column])
    unit = unit or unit_of(metric)
    how = "rose" if sigmas > 0 else "fell"
    return Finding(
        kind="moved",
        sentence=(
            f"{metric} of {service} {how} from {number(before, unit)} to {number(after, unit)} "
            f"({sigmas:+.1f} sigma) at {clock(began)}"
        ),
        service=service,
        series=metric,
        onset=began,
        before=before,
        after=after,
        unit=unit,
        sigmas=round(sigmas, 2),
        evidence=evidence,
    )


def follows(service: str, metric: str, target: str, evidence: tuple[str, ...]) -> Finding:
    """A series that moves together with the alerting one."""
    return Finding(
        kind="follows",
        sentence=f"{metric} of {service} moves together with {target}, which alerted",
        service=service,
        series=metric,
        evidence=evidence,
    )


def span(service: str, one: SpanEvidence, sign: str, evidence: tuple[str, ...]) -> Finding:
    """What the traces say of a service."""
    if sign == "gap":
        return Finding(
            kind="span_gap",
            sentence=(
                f"calls to {service} wait {number(one.gap_after_ms, 'ms')} before it answers, "
                f"before {number(one.gap_before_ms, 'ms')}: network or a full queue"
            ),
            service=service,
            before=one.gap_before_ms,
            after=one.gap_after_ms,
            unit="ms",
            evidence=evidence,
        )
    if sign == "waits":
        text = f"calls from {service} to everything it calls wait longer: {service} itself is slow"
    elif sign == "own":
        text = f"a request takes {number(one.own_ms, 'ms')} longer inside {service} itself"
    else:
        change = "stopped" if one.ratio < -2 else "became rarer" if one.ratio < 0 else "multiplied"
        text = (
            f"{one_line(one.operation, 120)} inside {service} {change} "
            f"({number(exp(one.ratio))} times as often per request)"
        )
    kind = {"waits": "slow_calls", "own": "slow_inside", "flow": "calls_changed"}[sign]
    return Finding(kind=kind, sentence=text, service=service, evidence=evidence)


def lines(one: Pattern, evidence: tuple[str, ...]) -> Finding:
    """Log lines that are new, gone, or more frequent."""
    text = one_line(one.example or one.template, 160)
    if one.ratio < 0:
        what = "no longer logs" if one.after == 0 else "rarely logs now"
        sentence = f"{one.service} {what}: {text} (before {one.before:.0f}, since {one.after:.0f})"
    elif one.before == 0:
        sentence = f"{one.service} logs something new, {one.after:.0f} times: {text}"
    else:
        sentence = (
            f"{one.service} logs {number(exp(one.ratio))} times as often: {text} "
            f"(before {one.before:.0f}, since {one.after:.0f})"
        )
    kind = "lost_lines" if one.ratio < 0 else "new_lines" if one.before == 0 else "more_lines"
    return Finding(
        kind=kind,
        sentence=sentence,
        service=one.service,
        series=one_line(one.template, 200),
        before=one.before,
        after=one.after,
        unit="lines",
        evidence=evidence,
    )


def change(one: ScoredChange, name: str, began: datetime, evidence: tuple[str, ...]) -> Finding:
    """A change that went live shortly before the onset."""
    gap = (began - one.time.to_pydatetime(warn=False)).total_seconds()
    when = f"{gap:.0f} s before" if 0 <= gap < 120 else f"{gap / 60:.0f} min before"
    if gap < 0:
        when = "at the time of"
    shared = f"; it shares {', '.join(one.matches)} with the evidence" if one.matches else ""
    return Finding(
        kind="change",
        sentence=f"{name} went live at {clock(one.time)}, {when} the onset{shared}",
        service=one.service,
        onset=one.time.to_pydatetime(warn=False),
        evidence=evidence,
    )


def path(service: str, target: str, callees: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The shortest way of calls from the alerting service down to `service`, or nothing."""
    ways: list[tuple[str, ...]] = [(target,)]
    seen = {target}
    while ways:
        way = ways.pop(0)
        if way[-1] == service:
            return way
        for callee in sorted(callees.get(way[-1], ())):
            if callee not in seen:
                seen.add(callee)
                ways.append((*way, callee))
    return ()
