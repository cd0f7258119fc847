"""Reading a change: what its diff really changes, and which words it shares with the evidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\d+(?:\.\d+)?")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")
_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_IDLE_FILES = re.compile(
    r"(^|/)(docs?|documentation|examples?|testdata|tests?|__tests__|fixtures|\.github|\.circleci)/"
    r"|(_test|\.test|\.spec)\.\w+$|\.(md|rst|txt|css|scss|less|svg|png|jpg)$"
    r"|(^|/)(README|CHANGELOG|CODEOWNERS|LICENSE|OWNERS|\.golangci\.yml|\.gitignore)[^/]*$",
    re.IGNORECASE,
)
_PARTS_FILES = re.compile(
    r"(^|/)(go\.(mod|sum)|package(-lock)?\.json|yarn\.lock|requirements[^/]*\.txt|poetry\.lock"
    r"|Cargo\.(toml|lock)|Gemfile(\.lock)?|pom\.xml|[^/]*\.lock)$"
)
_LOGGING = re.compile(
    r"^\s*(//|#|\*|/\*)|\b(log|logger|logging|slog|zap|console)\b|\bLOG_[A-Z]+\b|\bprintf?\(",
)
# What incidents are made of: guards that vanish, limits that shrink, work that multiplies.
_GUARDS = re.compile(
    r"lock|mutex|sync|timeout|deadline|retry|retries|backoff|limit|batch|chunk|pool|cache|index"
    r"|register|validate|check|guard|close|transaction|attempts|delay|buffer|queue|quota|max",
    re.IGNORECASE,
)
_COMMON = frozenset(
    _WORD.findall("""
        a an and any are as async at await be bool by byte case catch class client const context
        ctx def default defer delete do double else enum err error errors export extends false
        field file float for from func function get go handle handler handlers http if import in
        int interface into is it json len let list main make map message method model module name
        new nil none not null number object of ok on or out package param params path pkg post
        private public put range read ref request req resp response res return returned returns
        self server service services set src static status str string struct switch test the then
        this time to true try type types use used using util utils val value values var void was
        while with write you data id ids key add fix feat chore refactor tidy simplify update bump
        docs style perf ci
    """)
)
_HTTP_CODES = frozenset(
    _WORD.findall("""
        200 201 202 204 301 302 304 400 401 403 404 405 409 410 422 429 500 501 502 503 504
    """)
)


def words_of(text: str) -> Counter[str]:
    """The words of a text in lower case, identifiers whole and split, common words left out.

    Example:
        >>> sorted(words_of("registerPredefinedAgents(db_pool)"))
        ['agents', 'db', 'db_pool', 'pool', 'predefined', 'register', 'registerpredefinedagents']
    """
    found: Counter[str] = Counter()
    for whole in _WORD.findall(text):
        parts = [part.lower() for part in _PARTS.findall(whole)]
        for word in {whole.lower(), *parts}:
            useful = len(word) > 1 if word.isalpha() else len(word) > 2 or float_like(word)
            if useful and word not in _COMMON and word not in _HTTP_CODES:
                found[word] += 1
    return found


def float_like(word: str) -> bool:
    """Whether the word is a number of at least two digits, such as a limit or a timeout."""
    return word.replace(".", "", 1).isdigit() and len(word) >= 2


class ChangeText:
    """What a change is made of, read from its diff, files and message.

    `removed` and `added` are the words whose number really changed (a line that moved, or was only
    wrapped otherwise, leaves nothing); `around` are the other words of the diff; `idle` says that
    nothing of it runs (documentation, tests, styles); `parts` that it only moves versions of
    dependencies; `risk` is from 0 (tidying, logging) to 2 (a guard removed, a limit changed).
    """

    def __init__(self, change: Mapping[str, Any]) -> None:
        diff = str(change.get("diff") or "")
        files = [str(one) for one in change.get("files") or ()]
        gone = [line[1:] for line in diff.splitlines() if re.match(r"-(?!--)", line)]
        came = [line[1:] for line in diff.splitlines() if re.match(r"\+(?!\+\+)", line)]
        before, after = words_of("\n".join(gone)), words_of("\n".join(came))
        self.removed, self.added = before - after, after - before
        self.message = words_of(str(change.get("message") or ""))
        self.files = words_of(" ".join(re.sub(r"\.\w+$", "", one) for one in files))
        self.names = frozenset(one.rsplit("/", 1)[-1].lower() for one in files)
        self.around = words_of(diff) - self.removed - self.added
        self.idle = bool(files) and all(_IDLE_FILES.search(one) for one in files)
        self.parts = bool(files) and all(_PARTS_FILES.search(one) for one in files)
        self.known = bool(diff)
        self.risk = 0.0 if not diff or self.idle else _risk(gone, came, self.removed, self.added)


def _risk(gone: list[str], came: list[str], removed: Counter[str], added: Counter[str]) -> float:
    """How much of the change alters what runs: 0 tidying, 1 other logic, 2 a guard or a limit."""
    real = [line for line in gone + came if line.strip() and not _LOGGING.search(line)]
    if not real:
        return 0.0
    if _only_extended(gone, came):
        return 0.2
    guards_gone = {word for word in removed if _GUARDS.search(word)}
    old, new = (Counter(_NUMBER.findall("\n".join(lines))) for lines in (gone, came))
    limits = bool(old - new) and bool(new - old)
    queries = {"select", "query", "from", "insert", "update"} & set(added)
    loops = any(re.search(r"\bfor\b", line) for line in came)
    if limits or (queries and loops) or (guards_gone and len(removed) >= len(added) / 2):
        return 2.0
    if not came or (removed and not added):
        return 1.8  # something was taken away and nothing came for it
    shared = sum((words_of("\n".join(gone)) & words_of("\n".join(came))).values())
    kept = shared / max(sum(words_of("\n".join(gone)).values()), 1)
    return 0.3 if gone and kept > 0.6 else 1.0


def _only_extended(gone: list[str], came: list[str]) -> bool:
    """Whether each removed line comes back with something added, and no other line came."""
    old = [" ".join(_WORD.findall(line)) for line in gone if line.strip()]
    new = [" ".join(_WORD.findall(line)) for line in came if line.strip()]
    return (
        bool(old)
        and len(old) == len(new)
        and all(set(a.split()) <= set(b.split()) for a, b in zip(old, new, strict=True))
    )


def moment(value: Any) -> pd.Timestamp:
    """A time in UTC from epoch seconds, text or any datetime (without a zone: UTC)."""
    import pandas as pd

    if isinstance(value, int | float):
        return pd.Timestamp(value, unit="s", tz="UTC")
    stamp = pd.Timestamp(value)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
