"""What logs say: lines that are new, lines that are gone, errors that grew."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from irkit.diagnosis.counts import bin_width, rate_change, split_rows

if TYPE_CHECKING:
    import pandas as pd

_BAD_LEVELS = {"error", "err", "fatal", "critical", "crit", "alert", "emerg", "panic", "severe"}
_GOOD_LEVELS = {"info", "debug", "trace", "notice", "information"}
_BAD_WORDS = re.compile(
    r"\b(error|err|fatal|panic|severe|critical|exception|traceback|fail(ed|ure|s)?|refused|denied"
    r"|timed? ?out|timeout|unavailable|abort(ed)?|reject(ed)?|deadlock|exhausted|overflow|corrupt"
    r"|cannot|could not|unable)\b|[a-z]Exception\b|[a-z]Error\b",
    re.IGNORECASE,
)
_MASKS = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.I), "<id>"),
    (re.compile(r"\b\d+\.\d+\.\d+\.\d+(:\d+)?\b"), "<ip>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}\b", re.I), "<hex>"),
    (re.compile(r"(?<![A-Za-z])[-+]?\d+(\.\d+)?"), "<n>"),
)


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One log template of one service: how its rate changed (`counts.rate_change`)."""

    service: str
    template: str
    bad: bool
    before: float
    after: float
    strength: float
    ratio: float
    example: str = ""


def read_words(logs: pd.DataFrame, first: pd.Timestamp) -> list[Pattern]:
    """Templates whose rate changed, strongest first.

    `logs` has either `template` and `count` (already mined), or one line per row with `message`
    (or `body`) and, where known, `level` (or `severity`).  Rates are per line of the same service,
    so that more load alone changes nothing.
    """
    import numpy as np
    import pandas as pd

    table = table_of_lines(logs)
    if table.empty:
        return []
    before, after = split_rows(table, first, bin_width(table["time"]))
    keys = ["service", "template", "bad"]
    counts = pd.concat(
        [before.groupby(keys)["count"].sum(), after.groupby(keys)["count"].sum()],
        axis=1,
        keys=["before", "after"],
    ).fillna(0.0)
    if counts.empty or not counts["before"].sum() or not counts["after"].sum():
        return []
    examples = after.drop_duplicates(keys).set_index(keys)["example"]
    patterns = []
    for (service,), rows in counts.groupby(level=["service"]):
        n_before, n_after = rows["before"].to_numpy(), rows["after"].to_numpy()
        lines_after, lines_before = max(n_after.sum(), 0.5), max(n_before.sum(), 0.5)
        strength, ratio = rate_change(
            n_after, n_before, np.full(len(rows), lines_after), np.full(len(rows), lines_before)
        )
        for place, (_, template, bad) in enumerate(rows.index):
            patterns.append(
                Pattern(
                    service=str(service),
                    template=str(template),
                    bad=bool(bad),
                    before=float(n_before[place]),
                    after=float(n_after[place]),
                    strength=float(strength[place]),
                    ratio=float(ratio[place]),
                    example=str(examples.get(rows.index[place], "")),
                )
            )
    return sorted(patterns, key=lambda one: (-one.strength, one.service, one.template))


def table_of_lines(logs: pd.DataFrame) -> pd.DataFrame:
    """Columns time, service, template, bad, level, count, example; one row per line or count."""
    import pandas as pd

    message = next((name for name in ("template", "message", "body", "msg") if name in logs), None)
    if message is None or "service" not in logs or "time" not in logs:
        return pd.DataFrame(
            columns=["time", "service", "template", "bad", "level", "count", "example"]
        )
    text = logs[message].fillna("").astype(str)
    distinct = pd.Series(text.unique())
    masked = distinct if message == "template" else distinct.map(mask).astype(object)
    template = text.map(dict(zip(distinct, masked, strict=True)))
    level = next((name for name in ("level", "severity") if name in logs), None)
    bad = text.map({one: _reads_bad(one) for one in distinct}).astype(bool)
    words = text.str.slice(0, 20).str.extract(r"^\W*(\w+)", expand=False).fillna("").str.lower()
    if level is not None:
        words = logs[level].fillna("").astype(str).str.lower()
        bad = words.isin(_BAD_LEVELS) | (bad & ~words.isin(_GOOD_LEVELS))
    table = pd.DataFrame(
        {
            "time": logs["time"],
            "service": logs["service"],
            "template": template,
            "bad": bad,
            "level": words.replace("warning", "warn"),
            "count": logs["count"].astype(float) if "count" in logs else 1.0,
            "example": text,
        }
    )
    if "phase" in logs:
        table["phase"] = logs["phase"]
    return table[table["time"].notna() & table["service"].notna() & (table["template"] != "")]


def _reads_bad(message: str) -> bool:
    """Whether a line without a level field tells of an error; a level at its start decides."""
    level = message[:20].split(maxsplit=1)[0].strip("[]:").lower() if message.strip() else ""
    if level in _BAD_LEVELS or level in _GOOD_LEVELS:
        return level in _BAD_LEVELS
    return bool(_BAD_WORDS.search(message))


def mask(message: str) -> str:
    """A line with its numbers, ids and addresses replaced, so that alike lines are counted as one.

    Example:
        >>> mask("order 4711 took 3.5 ms on 10.0.0.7:80")
        'order <n> took <n> ms on <ip>'
    """
    for pattern, word in _MASKS:
        message = pattern.sub(word, message[:500])
    return message
