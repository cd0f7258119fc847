"""The incident as a notebook holds it: one object from which everything is asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from irkit.errors import BadInput, NotFound
from irkit.looks.ask import Once
from irkit.model.catalog import Catalog, Service
from irkit.model.event import Event
from irkit.model.incident import IncidentState, fold
from irkit.model.window import Window, parse_time

if TYPE_CHECKING:
    from irkit.actions.actions import Act, Actions, NoAct
    from irkit.actions.shown import Acts
    from irkit.comms import Told
    from irkit.deploys.deploys import Deploys
    from irkit.diagnosis.suspects import NothingStandsOut, Suspects, TopSuspect
    from irkit.logs.logs import Logs
    from irkit.logs.patterns import Patterns
    from irkit.looks.before_after import BeforeAfter
    from irkit.looks.health import Healths, HttpReply
    from irkit.metrics.metrics import Marked, Metrics
    from irkit.metrics.signals import Signals
    from irkit.model.action import Argument
    from irkit.session import Session
    from irkit.timeline import Timeline

DEPLOYS_BACK = timedelta(hours=24)
LOG_LINES = 20_000
Span = str | Window | None


def incident(
    id: str = "",
    *,
    service: str | None = None,
    since: str = "90m",
    session: Session | None = None,
) -> Incident:
    """The incident this notebook is about: from here everything is asked.

    In a run it is the run's own incident; an empty `id` means that, or no incident at all.
    `service` defaults to the incident's; `since` is how far back windows reach from the frozen
    `now`: an age such as `90m`, or an RFC 3339 time.

    Raises:
        NotFound: `id` is not the incident of this session, or the catalog has no such service.
        BadQuery: `since` is neither an age nor a time.

    Example:
        inc = irkit.incident(service="checkout", since="90m")
    """
    if session is None:
        from irkit.evidence import connect

        session = connect()
    return Incident(session, id=id, service=service or "", since=since)


class Incident:
    """One incident: its service, window and state, and every question a runbook asks.

    `now` is frozen when the run starts, and every window ends there unless told otherwise.  Where
    there is no incident, `id` is empty and `state` None; looking works all the same.
    """

    def __init__(self, session: Session, *, id: str, service: str, since: str) -> None:
        self.session: Session = Once(session)
        briefing = session.briefing
        self.catalog: Catalog = briefing.catalog
        self.now: datetime = briefing.now
        events = briefing.events
        self._known: IncidentState | None = fold(events) if events else None
        if id and (self._known is None or self._known.id != id):
            has = f"it is about {self._known.id}" if self._known else "it is about no incident"
            raise NotFound(
                "this session is not about that incident",
                on=repr(id),
                next=f"{has}; leave the id empty, or open that incident with: irkit lab {id}",
            )
        self.id = self._known.id if self._known else ""
        self.service: str = service or (self._known.service if self._known else "")
        if service and service not in self.catalog.services and not self._known:
            self.catalog.service(service)  # raises, with the closest name
        start = parse_time(since, now=self.now)
        if start >= self.now:
            raise BadInput("the window is empty", on=f"since={since!r}", next="write it like 90m")
        self.window: Window = Window(start=start, end=self.now)
        self.named: Suspects | None = None
        self._looked: list[Metrics] = []

    @property
    def events(self) -> tuple[Event, ...]:
        """The incident's ledger as it stands now."""
        return self.session.events()

    @property
    def state(self) -> IncidentState | None:
        """The incident as it stands now; None where there is none."""
        events = self.events
        return fold(events) if events else None

    @property
    def affected(self) -> tuple[str, ...]:
        """The services it may involve, its own first: what they call, and what calls them."""
        own = (self.service,) if self.service else ()
        triaged = self._known.services if self._known else ()
        return tuple(dict.fromkeys((*own, *(triaged or self.catalog.affected(self.service)))))

    @property
    def onset(self) -> tuple[datetime | None, str]:
        """When the symptom began, as far as is known, and how that is known."""
        if self.named and self.named.onset:
            return self.named.onset, "the onset found here"
        if self._known and self._known.onset:
            return self._known.onset, "the onset an earlier run found"
        moved = [o for o in (m.onset() for m in self._looked) if o]
        if moved:
            most = max(moved, key=lambda o: abs(o.sigmas))
            return most.earliest or most.time, f"the onset of {most.series}"
        return (self.alerted, "the first alert's start") if self.alerted else (None, "")

    @property
    def alerted(self) -> datetime | None:
        """When the first alert fired; None without one."""
        starts = [a.alert.starts_at for a in self._known.alerts.values()] if self._known else []
        return min(starts, default=None)

    def signal(self, name: str, service: str | None = None, window: Span = None) -> Metrics:
        """One of a service's named signals, whatever the backend.

        Raises:
            NotFound: the catalog has no such signal or service; the closest name is suggested.
            LookFailed: the source did not answer; use `signals` for a gap instead.
        """
        from irkit.looks.ask import ask_signal

        known = self._service(service)
        found = ask_signal(self.session, known, name, self._window(window), self.alerted)
        self._looked.append(found)
        return found

    def signals(
        self, *names: str, service: str | tuple[str, ...] = (), window: Span = None,
        mark: Marked | Iterable[Marked] = (),
    ) -> Signals:  # fmt: skip
        """Several signals, by default all, of a service or several; one that fails is a gap.

        `mark` draws deploys and acts into the figure.

        Example:
            inc.signals("error_rate", service=inc.affected, mark=inc.deploys())
        """
        from irkit.looks.gather import signals_of

        found = signals_of(self, self._several(service), names, self._window(window), mark)
        self._looked.extend(found)
        return found

    def metrics(
        self, query: str, *, source: str | None = None, window: Span = None,
        step: str | float | None = None, service: str | None = None, instant: bool = False,
        **names: str | int | float,
    ) -> Metrics:  # fmt: skip
        """Any query of a metrics source; `$service`, and each `$name` given here, is quoted for it.

        `source` defaults to the one that has the service's signals.

        Raises:
            BadQuery: the query has a `$name` that was not given.
            LookFailed: the source did not answer, or refused the query; says why.

        Example:
            inc.metrics('sum by (route)(rate(http_requests_total{service="$service"}[1m]))')
        """
        from irkit.looks.ask import ask_metrics

        at = service or self.service
        return ask_metrics(
            self.session, query, source=source or self._metrics_source(at), step=step,
            values={"service": at, **names}, window=self._window(window), instant=instant,
        )  # fmt: skip

    def logs(
        self, match: str = "", *, service: str | None = None, window: Span = None,
        limit: int = LOG_LINES,
    ) -> Logs:  # fmt: skip
        """The service's log lines; `match` narrows them, as in `level="error"`.

        Raises:
            NotFound: the catalog names no logs for this service.
            BadQuery: `match` cannot be read.
            LookFailed: the source did not answer.
        """
        from irkit.looks.ask import ask_logs

        return ask_logs(
            self.session, self._service(service), match, self._window(window), limit=limit,
            onset=self.onset,
        )  # fmt: skip

    def patterns(
        self, match: str = "", *, service: str | tuple[str, ...] = (), window: Span = None
    ) -> Patterns:
        """The kinds of log messages of a service or several; logs that fail are a gap.

        Like `logs(match).patterns()`, which raises where there are no logs.
        """
        from irkit.looks.gather import patterns_of

        return patterns_of(self, self._several(service), match, self._window(window))

    def deploys(self, service: str | None = None, window: Span = None) -> Deploys:
        """The deploys of a service, or of all affected ones, over the last 24 hours at least.

        A source that fails is a gap in the result, not an error.
        """
        from irkit.looks.gather import deploys_of

        back = Window(start=min(self.window.start, self.now - DEPLOYS_BACK), end=self.now)
        names = (service,) if service else self.affected
        return deploys_of(self, names, back if window is None else self._window(window))

    def http(self, source: str, path: str) -> HttpReply:
        """GET a path of a configured plain HTTP source.

        Raises:
            LookFailed: no answer (a 5xx is an answer); NotFound: no such source.
        """
        from irkit.looks.ask import ask_http

        return ask_http(self.session, source, path)

    def health(self, service: str | None = None) -> HttpReply:
        """What the service's health endpoint says.

        Raises:
            NotFound: the catalog names none.
            LookFailed: no answer at all.
        """
        known = self._service(service)
        source, slash, path = known.health.partition("/")
        if not source:
            raise NotFound(
                "the catalog names no health endpoint", on=known.name,
                next="add `health: SOURCE/PATH` to the service",
            )  # fmt: skip
        return self.http(source, slash + path)

    def healths(self) -> Healths:
        """What the health endpoints of all affected services say; no answer is a gap."""
        from irkit.looks.gather import healths_of

        return healths_of(self)

    def suspects(self) -> Suspects:
        """What probably broke: looks at every affected service, ranks, and notes the result.

        Each look that fails is a gap in the result.  `top` is false where nothing stands out.
        """
        from irkit.looks.gather import suspects_of

        self.named = suspects_of(self)
        return self.named

    @property
    def actions(self) -> Actions:
        """The actions by name: `inc.actions.rollback(to="previous")`."""
        from irkit.actions.actions import Actions

        return Actions(self)

    def act(
        self, action: str, *, service: str = "", reason: str = "", **arguments: Argument
    ) -> Act:
        """One act on the incident's service, or on `service`.

        Raises:
            NotFound: the catalog allows no such action there; the closest name is suggested.
        """
        from irkit.actions.actions import Act

        return Act(
            self, action=action, service=service or self.service, arguments=arguments, reason=reason
        )

    def fix(self, suspect: TopSuspect | NothingStandsOut) -> Act | NoAct:
        """The bounded act that takes the suspect's change back, where the catalog allows one.

        A suspected change is answered by a rollback of that service.  Otherwise the result is
        false, says why, and its `plan()` and `run()` do nothing.
        """
        from irkit.actions.actions import NoAct

        if not suspect:
            return NoAct("nothing stands out")
        if not suspect.change:
            return NoAct(f"no change of {suspect.service} is suspected, so none can be taken back")
        state = self.state
        done = {p.plan.target for p in state.plans if p.status == "recovered"} if state else set()
        if done and suspect.service not in done:
            return NoAct(
                f"an act on {', '.join(sorted(done))} was verified already; look again first"
            )
        try:
            act = self.act("rollback", service=suspect.service, to="previous")
        except NotFound as why:
            return NoAct(str(why))
        if not act.addresses(suspect):
            return NoAct(f"{suspect.change} is no longer the newest change of {suspect.service}")
        return act

    @property
    def acts(self) -> Acts:
        """The acts of this incident so far; `plot(mark=inc.acts)` draws them."""
        from irkit.actions.shown import Acts

        state = self.state
        return Acts(plans=state.plans if state else ())

    def before_after(self, name: str = "", service: str | None = None) -> BeforeAfter:
        """The signal before and after the last applied act: same query, same length of window.

        `name` defaults to the signal that fired.  Without an applied act the result says so.
        """
        from irkit.looks.before_after import compare

        return compare(self, name, service)

    def say(self, text: str) -> Told:
        """Say something to the incident's channel."""
        from irkit.comms import Told

        self.session.say(text)
        return Told(text, "To the channel")

    def note(self, text: str) -> Told:
        """Write a remark into the incident's record."""
        from irkit.comms import Told
        from irkit.session import Note

        self.session.note(Note(text=text))
        return Told(text, "Into the record")

    @property
    def timeline(self) -> Timeline:
        """What has happened so far, as a figure and a table."""
        from irkit.timeline import Timeline

        return Timeline(self.events)

    def __repr__(self) -> str:
        from irkit.incident_card import sentence

        return sentence(self)

    def _repr_html_(self) -> str:
        from irkit.incident_card import card

        return card(self)

    def _service(self, name: str | None) -> Service:
        wanted = name or self.service
        if not wanted:
            raise NotFound(
                "no service is known here",
                next="name one: service=..., or irkit.incident(service=...)",
            )
        return self.catalog.service(wanted)

    def _several(self, given: str | tuple[str, ...]) -> tuple[str, ...]:
        return (given,) if isinstance(given, str) and given else tuple(given) or (self.service,)

    def _metrics_source(self, service: str) -> str:
        """The source of the service's signals, or the only one that anything's signals have."""
        known: Any = self.catalog.services.get(service)
        own = sorted({s.source for s in known.signals.values()}) if known else []
        every = {s.source for one in self.catalog.services.values() for s in one.signals.values()}
        choice = own or sorted(every)
        if len(choice) != 1:
            names = ", ".join(choice) or "none is configured"
            raise NotFound("which metrics source?", on=names, next="name it: source=...")
        return choice[0]

    def _window(self, given: Span) -> Window:
        if given is None:
            return self.window
        if isinstance(given, Window):
            return given
        return Window(start=parse_time(given, now=self.now), end=self.now)
