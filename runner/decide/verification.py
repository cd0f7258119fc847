"""Did it help? The verdict on an act, from samples of the signal that fired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import isfinite

from irkit.model.action import Check
from irkit.model.base import Value
from irkit.model.units import reading

LEAST_SAMPLES = 3


class Judgement(Value, frozen=True, kw_only=True):
    """`pending`, `recovered`, `not_recovered` or `unknown`; the value it rests on; a sentence."""

    verdict: str
    value: float | None
    text: str


def judge(
    samples: Sequence[tuple[datetime, float]], check: Check, *, applied_at: datetime, now: datetime
) -> Judgement:
    """Judge samples (time, value) taken after an act.

    Recovered: at least three samples of the last `hold_seconds` (or, from a source that has fewer,
    its last three) are all on the good side of the limit.  Otherwise it is pending until
    `within_seconds` have passed; then one bad sample among them means that it has not recovered,
    and without one nobody can tell.
    """
    after = [(at, value) for at, value in samples if at > applied_at and isfinite(value)]
    recent = _recent(after, timedelta(seconds=check.hold_seconds), now)
    value = after[-1][1] if after else None
    shown = "no sample" if value is None else f"{check.signal} is {reading(value, check.unit)}"
    side = f"{'at most' if check.above else 'at least'} {reading(check.limit, check.unit)}"
    over = now - applied_at >= timedelta(seconds=check.within_seconds)
    long_enough = now - applied_at >= timedelta(seconds=check.hold_seconds)
    good = all(_good(v, check) for v in recent)
    if long_enough and len(recent) >= LEAST_SAMPLES and good:
        return Judgement(
            verdict="recovered", value=value,
            text=f"{shown}, {side} for {check.hold_seconds:g} s",
        )  # fmt: skip
    if not over:
        return Judgement(verdict="pending", value=value, text=f"{shown}; waiting")
    if good:
        few = f"{len(recent)} samples" if recent else "no sample"
        return Judgement(
            verdict="unknown", value=value,
            text=f"{few} of {check.signal} within {check.within_seconds:g} s, too few to tell",
        )  # fmt: skip
    return Judgement(
        verdict="not_recovered", value=value,
        text=f"{shown}, not {side} within {check.within_seconds:g} s",
    )  # fmt: skip


def _recent(after: Sequence[tuple[datetime, float]], hold: timedelta, now: datetime) -> list[float]:
    """The values that the verdict rests on; none of a source that has fallen silent."""
    held = [value for at, value in after if at > now - hold]
    last = after[-LEAST_SAMPLES:]
    if len(held) >= LEAST_SAMPLES or len(last) < LEAST_SAMPLES:
        return held
    between = (last[-1][0] - last[0][0]) / (LEAST_SAMPLES - 1)
    return [value for _, value in last] if now - last[-1][0] <= max(hold, 2 * between) else held


def _good(value: float, check: Check) -> bool:
    return value <= check.limit if check.above else value >= check.limit
