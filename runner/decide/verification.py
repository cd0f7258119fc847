"""Did it help? The verdict on an act, from samples of the signal that fired."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import isfinite

from irkit.model.action import Check
from irkit.model.base import Value

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

    Recovered: at least three samples within the last `hold_seconds`, all on the good side of the
    limit, and all taken after the act.  Otherwise it is pending until `within_seconds` have passed;
    then it has not recovered, or nobody can tell because there is no sample.
    """
    after = [(at, value) for at, value in samples if at > applied_at and isfinite(value)]
    held = [value for at, value in after if at > now - timedelta(seconds=check.hold_seconds)]
    value = after[-1][1] if after else None
    shown = "no sample" if value is None else f"{check.signal} is {value:.4g} {check.unit}".strip()
    side = "at most" if check.above else "at least"
    over = now - applied_at >= timedelta(seconds=check.within_seconds)
    long_enough = now - applied_at >= timedelta(seconds=check.hold_seconds)
    if long_enough and len(held) >= LEAST_SAMPLES and all(_good(v, check) for v in held):
        return Judgement(
            verdict="recovered", value=value,
            text=f"{shown}, {side} {check.limit:g} for {check.hold_seconds:g} s",
        )  # fmt: skip
    if not over:
        return Judgement(verdict="pending", value=value, text=f"{shown}; waiting")
    if value is None:
        return Judgement(
            verdict="unknown", value=None,
            text=f"no sample of {check.signal} within {check.within_seconds:g} s",
        )  # fmt: skip
    return Judgement(
        verdict="not_recovered", value=value,
        text=f"{shown}, not {side} {check.limit:g} within {check.within_seconds:g} s",
    )  # fmt: skip


def _good(value: float, check: Check) -> bool:
    return value <= check.limit if check.above else value >= check.limit
