"""The configured integrations as the runner uses them: asked by name, every reply recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from irkit.clock import Clock
from irkit.errors import ConfigError, IrkitError, LookFailed, Refused
from irkit.evidence.recorder import Recorder
from irkit.model.action import Argument, Check, Outcome, Plan
from irkit.model.base import canonical
from irkit.model.catalog import ActionTarget, Catalog, Signal
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.ports import Raw, Survey, Target

T = TypeVar("T")
_BEFORE_THE_ACT = timedelta(minutes=1)


class Integrations:
    """All integrations by name.  `ask` does the I/O of a look; `target` gives one that acts."""

    def __init__(self, made: Mapping[str, Any]) -> None:
        self._made = dict(made)

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            raise ConfigError(
                "no such integration", on=name, next="add it under integrations in irkit.yaml"
            )
        return self._made[name]

    def types(self) -> dict[str, str]:
        """Each integration's type, by name."""
        return {name: str(one.type) for name, one in self._made.items()}

    def sources(self) -> dict[str, Any]:
        """Those that answer looks."""
        return {name: one for name, one in self._made.items() if hasattr(one, "fetch")}

    def hooks(self) -> dict[str, Any]:
        """Those that receive alerts."""
        return {name: one for name, one in self._made.items() if hasattr(one, "authenticate")}

    def ask(self, request: Request) -> Raw:
        """Ask the source a request names.

        Raises:
            LookFailed: it cannot answer this kind of question, or did not answer.
        """
        source = self[request.source]
        if request.op not in getattr(source, "ops", ()):
            raise LookFailed(
                f"{source.type} does not answer {request.op!r}",
                on=request.source,
                next=f"it answers: {', '.join(getattr(source, 'ops', ())) or 'no looks'}",
            )
        raw: Raw = source.fetch(request)
        return raw

    def target(self, name: str) -> Target:
        """The integration of that name, if it carries out actions."""
        one = self[name]
        if not isinstance(one, Target):
            raise ConfigError(
                f"{one.type} carries out no actions", on=name, next="name one that does"
            )
        return one


def signal_of(catalog: Catalog, service: str, signal: str) -> Signal | None:
    """The catalog's entry for a signal, or None."""
    known = catalog.services.get(service)
    return known.signals.get(signal) if known else None


class Outside:
    """All that the runner itself asks and does outside, recorded per incident so that it replays.

    `recorder` gives the recorder of an incident's own looks, those that no run makes.
    """

    def __init__(
        self, integrations: Integrations, clock: Clock, recorder: Callable[[str], Recorder]
    ) -> None:
        self.integrations, self.clock, self._recorder = integrations, clock, recorder

    def survey(
        self, incident: str, where: ActionTarget, action: str, arguments: Mapping[str, Argument]
    ) -> Survey:
        """What an act would do at its target.

        Raises:
            Refused: the target cannot do it.
            LookFailed: the target cannot be asked.
        """
        target = self.integrations.target(where.integration)
        request = Request(
            source=where.integration,
            op="survey",
            arguments={"action": action, "target": where.name, **arguments},
        )
        return self._call(
            incident, request, lambda: target.survey(action, where.name, arguments), Survey
        )

    def apply(self, plan: Plan, name: str, *, by: str) -> Outcome:
        """Do what the plan says, under its key; the target's own record names `by`, who allowed it.

        Raises:
            LookFailed: the target cannot be reached.
        """
        target = self.integrations.target(plan.integration)
        why = plan.reason or plan.suspect or plan.title
        there = msgspec.structs.replace(
            plan, target=name, requester=by, reason=f"{plan.incident}: {why}"
        )
        return self._call(
            plan.incident, self._keyed(plan, "apply"), lambda: target.apply(there), Outcome
        )

    def lookup(self, plan: Plan, name: str) -> Outcome | None:
        """What came of an earlier `apply` of the same key; None: it never happened.

        Raises:
            LookFailed: the target cannot tell.
        """
        target = self.integrations.target(plan.integration)
        there = msgspec.structs.replace(plan, target=name)
        return self._call(
            plan.incident, self._keyed(plan, "lookup"), lambda: target.lookup(there), Outcome | None
        )

    def samples(
        self, incident: str, catalog: Catalog, check: Check, *, now: datetime
    ) -> tuple[list[tuple[datetime, float]], str]:
        """The signal's values up to `now`, from before the act on, and why there are none.

        The window has one length at every check, so that a recording finds each look again.
        """
        from irkit.metrics.query import render
        from irkit.registry import integration

        signal = signal_of(catalog, check.service, check.signal)
        if signal is None:
            return [], f"{check.signal} is no longer in the catalog"
        kind = str(self.integrations[signal.source].type)
        reader = integration(kind)
        request = Request(
            source=signal.source,
            op="range",
            arguments={
                "query": render(signal.query, {"service": check.service}, reader.quote),
                "step": max(0.1, check.hold_seconds / 10),
            },
            window=Window.before(now, timedelta(seconds=check.within_seconds) + _BEFORE_THE_ACT),
        )
        reply = self._recorder(incident).look(request, self.integrations.ask, kind, now=now)
        if reply.error:
            return [], reply.error
        try:
            frame = reader.read(request, reply.body).frame
        except IrkitError as why:  # nonsense for an answer is no answer
            return [], str(why)
        if frame.shape[1] == 0:
            return [], "the source has no data"
        column = frame.max(axis=1) if check.above else frame.min(axis=1)
        return [(at.to_pydatetime(), float(value)) for at, value in column.items()], ""

    @staticmethod
    def _keyed(plan: Plan, op: str) -> Request:
        return Request(source=plan.integration, op=op, arguments={"key": plan.key})

    def _call(self, incident: str, request: Request, call: Callable[[], T], type: Any) -> T:
        """Call a target through the recorder; a refusal is an answer and is recorded as one."""

        def ask(_request: Request) -> Raw:
            try:
                return Raw(body=canonical({"answer": call()}))
            except Refused as why:
                return Raw(body=canonical({"refused": [why.what, why.reason, why.on, why.next]}))

        kind = self.integrations.types()[request.source]
        reply = self._recorder(incident).look(request, ask, kind, now=self.clock.now())
        if reply.error:
            raise LookFailed(
                reply.error, on=request.source, next=reply.next, retryable=reply.retryable
            )
        answer = msgspec.json.decode(reply.body)
        if "refused" in answer:
            what, reason, on, cure = answer["refused"]
            raise Refused(what, reason=reason, on=on, next=cure)
        result: T = msgspec.convert(answer["answer"], type=type)
        return result
