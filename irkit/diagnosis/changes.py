"""Which change did it, if one did: live before the onset, at the right place, and to the point."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, log1p
from typing import TYPE_CHECKING, Any

from irkit.diagnosis.difftext import ChangeText, moment, words_of
from irkit.text import clock

if TYPE_CHECKING:
    import pandas as pd

NONE = "none"
_KINDS = {"deploy": 0.0, "release": 0.0, "rollout": 0.0, "config": -0.2, "flag": -0.8}
_UNDEPLOYED = -3.0  # a commit that no deploy carried is not running
_SURVIVED = -3.0  # the service was well with it, after trouble of earlier and before the onset
NEEDED = 2.2  # the score below which no change is named
# What needs no change to break: certificates, other people's services, the machines underneath.
_OUTSIDE = re.compile(
    r"certificate.{0,20}expired|certificate is not yet valid|\bcert\w* expir"
    r"|no space left|disk quota|read-only file system|(node|host|disk|memory|pid)[ _-]?pressure"
    r"|noisy neighbou?r|cpu contended|runqueue|oom[- ]?kill|evicted|node .{0,30}(not ready|lost)"
    r"|could not resolve|name resolution|no such host|network is unreachable"
    r"|(quota|rate limit) exceeded for",
    re.IGNORECASE,
)
_FOREIGN = re.compile(r"https?://([a-z0-9.-]+\.(?:com|net|org|io|dev|cloud|co))(?:[:/ ]|$)", re.I)
_OWN_HOST = re.compile(r"\.(svc|local|internal|cluster)\b|localhost")


@dataclass(frozen=True, kw_only=True)
class ScoredChange:
    """One change: what speaks for it (log-odds), its chance to be the cause, what matches.

    `suspicion` is the chance that its service is the cause (1 where it names none), `early` how
    many minutes before the onset it went live.
    """

    id: str
    service: str
    kind: str
    message: str
    time: pd.Timestamp
    score: float
    probability: float
    matches: tuple[str, ...]
    suspicion: float
    early: float
    why_not: str = ""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """What the lines that tell what went wrong are about, and when they began."""

    words: Mapping[str, float]
    files: frozenset[str]
    began: pd.Timestamp | None
    outside: str
    versions: Mapping[str, Mapping[str, float]]


def score_changes(
    changes: Sequence[Mapping[str, Any]],
    *,
    onset: pd.Timestamp,
    suspects: Mapping[str, float],
    lines: Lines,
    moved: Sequence[str],
    calm_since: pd.Timestamp | None = None,
) -> list[ScoredChange]:
    """Score each change, best first; `suspects` are services with their chance to be the cause.

    For a change speak: it went live shortly before the onset, on a suspect service; the words that
    its diff adds or removes stand in the lines that are new or gone, or in the names of the series
    that moved; it takes away a guard or changes a limit; only its own version fails.  Against it:
    it came after the onset, was live while all was well again (`calm_since`), was never deployed,
    touches nothing that runs, or the lines name a cause outside of any change.  An onset is an
    estimate, so a change shortly after it may still be the cause, but not before an earlier one.
    """
    texts = {str(change["id"]): ChangeText(change) for change in changes}
    frequency: Counter[str] = Counter()
    for text in texts.values():
        frequency.update({*text.removed, *text.added, *text.around, *text.files, *text.message})
    evidence = dict(lines.words)
    for metric in moved:
        for word in words_of(metric):
            evidence[word] = max(evidence.get(word, 0.0), 0.5)
    deployed = {str(one.get("kind", "deploy")).lower() for one in changes} - {"commit"}
    scored = [
        _score(change, texts[str(change["id"])], onset, suspects, lines, evidence, frequency,
               len(texts), bool(deployed), calm_since)
        for change in changes
    ]  # fmt: skip
    earlier = max((one.score for one in scored if one.early >= 0), default=0.0)
    if earlier >= NEEDED:
        scored = [
            one if one.early >= 0 else replace(one, score=min(one.score, earlier - 0.1))
            for one in scored
        ]
    odds = [2.718281828 ** min(one.score, 30.0) for one in scored]
    total = sum(odds) + 2.718281828**NEEDED
    scored = [replace(one, probability=odd / total) for one, odd in zip(scored, odds, strict=True)]
    return sorted(scored, key=lambda one: (-one.score, one.time, one.id))


def _score(
    change: Mapping[str, Any],
    text: ChangeText,
    onset: pd.Timestamp,
    suspects: Mapping[str, float],
    lines: Lines,
    evidence: Mapping[str, float],
    frequency: Counter[str],
    documents: int,
    deploys_known: bool,
    calm_since: pd.Timestamp | None,
) -> ScoredChange:
    kind = str(change.get("kind") or "deploy").lower()
    service = str(change.get("service") or "")
    time = moment(change["time"])
    early = (onset - time).total_seconds() / 60
    reasons: list[str] = []
    score = _KINDS.get(kind, 0.0)
    if kind == "commit" and deploys_known:
        score += _UNDEPLOYED
        reasons.append("it was not deployed")
    if early >= -0.5:
        score += 1.5 - 0.6 * log1p(max(early, 0.0) / 5)
    else:
        score -= 2.0 + min(-early, 60.0) / 10
        reasons.append(f"it came {span(-early)} after the onset")
    if calm_since is not None and time < calm_since:
        score += _SURVIVED
        reasons.append(f"{service or 'all'} was well again after it, from {clock(calm_since)} on")
    chance = suspects.get(service, 0.0) if service else 1.0
    if service:
        score += 1.6 + max(log(max(chance, 1e-3)), -3.0)
    if text.idle:
        score -= 4.0
        reasons.append("nothing in it runs")
    elif text.parts:
        score -= 1.5
        reasons.append("it only moves dependencies")
    elif text.known:
        score += 1.2 * (text.risk - 1.0)
        if text.risk < 0.5:
            score -= 0.8
            reasons.append("it changes no behaviour")
    matched, matches = _matches(text, evidence, lines.files, frequency, documents)
    score += 1.5 * log1p(matched)
    score += _contrast(change, service, lines)
    if lines.outside:
        score -= 2.5
        reasons.append(f"the lines name a cause outside: {lines.outside}")
    return ScoredChange(
        id=str(change["id"]),
        service=service,
        kind=kind,
        message=str(change.get("message") or ""),
        time=time,
        score=score,
        probability=0.0,
        matches=matches,
        suspicion=chance,
        early=early,
        why_not="; ".join(reasons),
    )


def span(minutes: float) -> str:
    """A length of time in the unit that fits.

    Example:
        >>> span(0.5), span(12), span(200)
        ('30 s', '12 min', '3 h')
    """
    if minutes < 2:
        return f"{minutes * 60:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"


def _matches(
    text: ChangeText,
    evidence: Mapping[str, float],
    files: frozenset[str],
    frequency: Counter[str],
    documents: int,
) -> tuple[float, tuple[str, ...]]:
    """The weight of the words that a change shares with the evidence, and the weightiest."""
    weights: dict[str, float] = {}
    for words, share in ((text.removed, 1.0), (text.added, 1.0), (text.files, 0.4),
                         (text.message, 0.3), (text.around, 0.15)):  # fmt: skip
        for word in words:
            if word in evidence:
                rare = log((documents + 1) / frequency[word]) / log(documents + 1)
                weight = share * evidence[word] * max(rare, 0.0)
                weights[word] = max(weights.get(word, 0.0), weight)
    for name in text.names & files:
        weights[name] = 3.0  # a stack trace goes through this file
    strongest = sorted(weights, key=lambda word: (-weights[word], word))
    return sum(weights[word] for word in strongest[:8]), tuple(strongest[:4])


def _contrast(change: Mapping[str, Any], service: str, lines: Lines) -> float:
    """Old against new: +2 if only the change's version fails, -2 if others fail too."""
    version = str(change.get("version") or "")
    failing = lines.versions.get(service, {})
    if not version or version not in failing or len(failing) < 2:
        return 0.0
    others = max(share for name, share in failing.items() if name != version)
    return 2.0 if failing[version] > 0.05 and others < failing[version] / 5 else -2.0


def read_lines(logs: pd.DataFrame | None, start: pd.Timestamp) -> Lines:
    """What the log lines that are new (or gone) around `start` are about.

    A template is new when it is absent from the first part of the log before `start`.
    """
    import pandas as pd

    from irkit.diagnosis.words import table_of_lines

    empty = Lines(words={}, files=frozenset(), began=None, outside="", versions={})
    if logs is None:
        return empty
    table = table_of_lines(logs)
    if table.empty:
        return empty
    begin = table["time"].min()
    quiet_until = begin + (start - begin) * 0.5
    if "phase" in table:
        early = table["phase"] == "normal"
        late = ~early
    else:
        early, late = table["time"] < quiet_until, table["time"] >= quiet_until
    seen = set(zip(table.loc[early, "service"], table.loc[early, "template"], strict=True))
    keys = pd.Series(list(zip(table["service"], table["template"], strict=True)), index=table.index)
    new = late & ~keys.isin(seen)
    ended = set(keys[late & (table["time"] >= start)])
    lost = early & ~keys.isin(ended)
    words: dict[str, float] = {}
    files: set[str] = set()
    fields = logs.get("fields")
    for rows, weight in ((table[new & table["bad"]], 1.0), (table[new & ~table["bad"]], 0.7),
                         (table[lost & ~table["bad"]], 0.3)):  # fmt: skip
        for place, example in _distinct(rows):
            text = example if fields is None else f"{example} {_values(fields.get(place))}"
            files.update(one.lower() for one in re.findall(r"[\w-]+\.[a-z]{1,4}(?=:\d+)", text))
            for word in words_of(text):
                words[word] = max(words.get(word, 0.0), weight)
    troubled = table[new & (table["bad"] | (table["level"] == "warn"))]
    return Lines(
        words=words,
        files=frozenset(files),
        began=troubled["time"].min() if len(troubled) else None,
        outside=_outside(table[new], set(table["service"].astype(str))),
        versions=_by_version(table, logs, start),
    )


def _distinct(rows: pd.DataFrame) -> list[tuple[Any, str]]:
    """A few examples of each template, with their places in the log."""
    few = rows.groupby(["service", "template"], sort=True).head(4)
    return [(place, str(text)) for place, text in few["example"].items()][:400]


def _values(field: Any) -> str:
    """The text of a line's structured fields."""
    if isinstance(field, str):
        try:
            field = json.loads(field)
        except ValueError:
            return field
    return (
        " ".join(f"{key} {value}" for key, value in field.items())
        if isinstance(field, dict)
        else ""
    )


def _outside(new: pd.DataFrame, services: set[str]) -> str:
    """A line that names a cause which no change of ours made, if a good part of the new ones do."""

    texts = new["example"].astype(str)
    named = texts.map(lambda text: bool(_OUTSIDE.search(text)) or _foreign(text, services)).astype(
        bool
    )
    bad = new["bad"] | (new["level"] == "warn")
    if (
        not (named & bad).any()
        or new.loc[named & bad, "count"].sum() < 0.2 * new.loc[bad, "count"].sum()
    ):
        return ""
    return str(texts[named & bad].iloc[0])[:120]


def _foreign(text: str, services: set[str]) -> bool:
    host = _FOREIGN.search(text)
    if host is None or _OWN_HOST.search(host.group(1)):
        return False
    return not any(part in services for part in host.group(1).split("."))


def _by_version(
    table: pd.DataFrame, logs: pd.DataFrame, start: pd.Timestamp
) -> dict[str, dict[str, float]]:
    """Per service and version, the share of bad lines since `start`."""
    if "version" not in logs:
        return {}
    recent = table.assign(version=logs["version"])[table["time"] >= start]
    recent = recent[recent["version"].notna()]
    shares: dict[str, dict[str, float]] = {}
    for (service, version), rows in recent.groupby(["service", "version"]):
        share = float(rows.loc[rows["bad"], "count"].sum() / rows["count"].sum())
        shares.setdefault(str(service), {})[str(version)] = share
    return shares
