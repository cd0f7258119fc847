"""The four questions a notebook asks of a source, and their answers read into results.

Each asks through the session, which records the raw reply; what is read here is that recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from irkit.errors import BadQuery, LookFailed, NotFound
from irkit.model.catalog import Service, Signal
from irkit.model.finding import Gap
from irkit.model.look import Reply, Request, Scalar
from irkit.model.window import Window
from irkit.text import one_line

if TYPE_CHECKING:
    from irkit.deploys.deploys import Deploys
    from irkit.logs.logs import Logs
    from irkit.looks.health import HttpReply
    from irkit.metrics.metrics import Metrics
    from irkit.session import Briefing, Session

POINTS: Final = 1200
_OF_THE_PAST: Final = ("range", "search", "history")
_ROUND: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
# An axis has little room for its unit.
_SHORT: Final = {"seconds": "s", "milliseconds": "ms", "requests/s": "req/s"}
Values = Mapping[str, str | int | float]


class Once:
    """A session that asks the same question about the past only once.

    Windows end at the frozen now, so the answer would be the same; a failed look is asked again,
    and so is what is about this moment (`instant`, `get`).
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._replies: dict[str, Reply] = {}
        self.propose, self.say, self.note = session.propose, session.say, session.note
        self.events = session.events

    @property
    def briefing(self) -> Briefing:
        """What the session was told at the start."""
        return self._session.briefing

    def look(self, request: Request) -> Reply:
        """Ask, or give the reply that is known already."""
        if request.op not in _OF_THE_PAST:
            return self._session.look(request)
        key = request.key(self.briefing.now)
        known = self._replies.get(key)
        if known is None:
            known = self._session.look(request)
            if not known.error:
                self._replies[key] = known
        return known


def ask(session: Session, request: Request) -> tuple[Any, Reply]:
    """Ask a source; returns what its integration reads out of the reply, and the reply.

    Raises:
        LookFailed: the source did not answer or answered nonsense; says what, on what, what next.
        NotFound: no source of that name is configured.
    """
    from irkit.registry import integration

    reply = session.look(request)
    if reply.error:
        raise LookFailed(reply.error, on=request.source, next=reply.next, retryable=reply.retryable)
    return integration(reply.type).read(request, reply.body), reply


def ask_metrics(
    session: Session, query: str, *, source: str, values: Values, window: Window,
    step: str | float | None = None, instant: bool = False, name: str = "",
    signal: Signal | None = None,
) -> Metrics:  # fmt: skip
    """Ask a metrics source; `$name` in the query is quoted for its language.

    Raises:
        BadQuery: the query has an unknown `$name`, or a value does not fit its place.
        LookFailed, NotFound: see `ask`.
    """
    from irkit.metrics.metrics import Metrics
    from irkit.metrics.query import render
    from irkit.registry import integration

    types = session.briefing.types
    if source not in types:
        known = ", ".join(sorted(types)) or "none is configured"
        raise NotFound("no such source", on=repr(source), next=f"sources: {known}")
    quote = getattr(integration(types[source]), "quote", None)
    if quote is None:
        raise BadQuery("this source has no metrics", on=source, next="name a metrics source")
    full = render(query, values, quote)
    arguments: dict[str, Scalar] = {"query": full}
    if not instant:
        arguments["step"] = step if step is not None else _step(window)
    request = Request(
        source=source, op="instant" if instant else "range", arguments=arguments, window=window
    )
    matrix, reply = ask(session, request)
    return Metrics(
        name=name or one_line(full, 80), frame=matrix.frame, labels=matrix.labels, query=full,
        source=source, evidence=reply.evidence, window=window, instant=instant,
        unit=_SHORT.get(signal.unit, signal.unit) if signal else "",
        limit=signal.limit if signal else None,
        above=signal.above if signal else True, warnings=(*matrix.warnings, *matrix.infos),
    )  # fmt: skip


def ask_signal(
    session: Session, service: Service, name: str, window: Window,
    alerted: datetime | None = None,
) -> Metrics:  # fmt: skip
    """Ask one of a service's named signals; `alerted` is when the incident's first alert fired.

    Raises:
        NotFound: the catalog has no such signal for this service.
        LookFailed: see `ask`.
    """
    from difflib import get_close_matches

    signal = service.signals.get(name)
    if signal is None:
        close = get_close_matches(name, service.signals, 1)
        known = ", ".join(sorted(service.signals)) or "it has none"
        hint = f"did you mean {close[0]!r}?" if close else f"its signals: {known}"
        raise NotFound("the catalog has no such signal", on=f"{name} of {service.name}", next=hint)
    found = ask_metrics(
        session, signal.query, source=signal.source, values={"service": service.name},
        window=window, name=f"{name} of {service.name}", signal=signal,
    )  # fmt: skip
    return replace(found, alerted=alerted)


def ask_logs(
    session: Session, service: Service, match: str, window: Window, *, limit: int,
    onset: tuple[datetime | None, str] = (None, ""),
) -> Logs:  # fmt: skip
    """Ask the source that has a service's logs; `match` narrows to some of its lines.

    Raises:
        NotFound: the catalog names no logs for this service.
        BadQuery: `match` cannot be read.
        LookFailed: see `ask`.
    """
    import re

    from irkit.logs.logs import Logs
    from irkit.model.matchers import Matcher, parse_matchers

    if not service.logs:
        raise NotFound(
            "the catalog names no logs for this service", on=service.name,
            next="add `logs: SOURCE` to it",
        )  # fmt: skip
    wanted = []
    for one in (*parse_matchers(service.logs_match), *parse_matchers(match)):
        pattern = one.op in ("=~", "!~")
        value = one.value.replace("$service", re.escape(service.name) if pattern else service.name)
        wanted.append(Matcher(name=one.name, op=one.op, value=value))
    text = ", ".join(map(str, wanted))
    arguments: dict[str, Scalar] = {"match": text, "limit": limit}
    request = Request(source=service.logs, op="search", arguments=arguments, window=window)
    table, reply = ask(session, request)
    truncated = table.truncated or "truncated" in reply.media
    first = table.frame["time"].min()
    cut = truncated and first == first  # the newest lines are kept; NaT is not equal to itself
    return Logs(
        name=service.name, frame=table.frame, bad=table.bad, truncated=truncated, match=text,
        whole_from=max(first.to_pydatetime(), window.start) if cut else window.start,
        source=service.logs, evidence=reply.evidence, window=window, onset=onset[0],
        onset_why=onset[1],
    )  # fmt: skip


def ask_deploys(session: Session, services: tuple[Service, ...], window: Window) -> Deploys:
    """Ask every deploy source of some services; a source that fails is a gap in the answer."""
    from irkit.deploys.deploys import Deploys
    from irkit.errors import IrkitError
    from irkit.model.deploy import Deploy

    found: dict[tuple[datetime, str, str], Deploy] = {}
    gaps: list[Gap] = []
    evidence: list[str] = []
    for service in services:
        if not service.deploys:
            gaps.append(Gap(
                what=f"deploys of {service.name}", why="the catalog names no deploy source",
                cannot_say=f"whether {service.name} was changed",
            ))  # fmt: skip
        for source in service.deploys:
            request = Request(
                source=source, op="history", arguments={"service": service.name}, window=window
            )
            try:
                deploys, reply = ask(session, request)
            except IrkitError as why:
                gaps.append(gap_of(
                    f"deploys of {service.name}", why, f"whether {service.name} was changed"
                ))  # fmt: skip
                continue
            evidence.append(reply.evidence)
            found.update({(d.time, d.service, d.version): d for d in deploys})
    return Deploys(
        deploys=tuple(found[key] for key in sorted(found)), window=window, gaps=tuple(gaps),
        services=tuple(s.name for s in services), evidence=tuple(evidence),
    )  # fmt: skip


def ask_http(session: Session, source: str, path: str) -> HttpReply:
    """Ask a plain HTTP source for one path below its base address.

    Raises:
        LookFailed, NotFound: see `ask`.
    """
    from irkit.looks.health import HttpReply

    request = Request(source=source, op="get", arguments={"path": path})
    answer, reply = ask(session, request)
    return HttpReply(
        source=source, path=path, status=answer.status, seconds=answer.seconds, body=answer.body,
        evidence=reply.evidence,
    )  # fmt: skip


def gap_of(what: str, why: Exception, cannot_say: str) -> Gap:
    """A failed look as the gap it leaves."""
    return Gap(what=what, why=one_line(str(why)), cannot_say=cannot_say)


def _step(window: Window) -> int:
    """A round step, in seconds, that gives about 1,200 points: fine enough for a short incident."""
    about = window.length.total_seconds() / POINTS
    return next((step for step in _ROUND if step >= about), 86400)
