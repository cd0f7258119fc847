"""Acts as a notebook names them: which action, on what, with which arguments; never how.

The runner computes the plan, decides or asks a person, applies and verifies.  Nothing here could.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from markupsafe import Markup

from irkit import display
from irkit.actions.shown import Outcome, Planned
from irkit.diagnosis.suspects import NothingStandsOut, TopSuspect
from irkit.errors import IrkitError, NeedsRunner, NotFound, Refused
from irkit.model.action import Argument
from irkit.model.incident import PlanState
from irkit.session import Ask, Proposal

if TYPE_CHECKING:
    from irkit.incident import Incident

WAIT_SECONDS = 30.0


class Actions(display.Shown):
    """The actions that the catalog allows on the affected services, by name.

    Example:
        fix = inc.actions.rollback(to="previous")
        fix.plan()
    """

    def __init__(self, incident: Incident) -> None:
        self._incident = incident

    def __getattr__(self, name: str) -> Callable[..., Act]:
        if name.startswith("_"):
            raise AttributeError(name)

        def action(*, service: str = "", reason: str = "", **arguments: Argument) -> Act:
            return self._incident.act(name, service=service, reason=reason, **arguments)

        action.__name__ = name
        action.__doc__ = f"The action {name!r} on the incident's service, or on `service`."
        return action

    def __dir__(self) -> list[str]:
        return sorted({name for _, name in self._allowed()})

    def _allowed(self) -> list[tuple[str, str]]:
        services = self._incident.catalog.services
        return [
            (s, name)
            for s in self._incident.affected
            if s in services
            for name in sorted(services[s].actions)
        ]

    def _sentence(self) -> str:
        names = ", ".join(dir(self))
        return f"actions: {names}" if names else "the catalog allows no action on these services"

    def _parts(self) -> Iterable[Markup]:
        yield display.heading(self._sentence())
        if self._allowed():
            yield display.table(("service", "action"), self._allowed(), what="actions")


class Act(display.Shown):
    """One act: an action on a service with its arguments, and the suspect that it is for.

    `plan()` only reads; `run()` proposes the act to the runner, which decides, applies and
    verifies; asking again for the same act returns the earlier outcome and applies nothing.
    """

    def __init__(
        self, incident: Incident, *, action: str, service: str, arguments: dict[str, Argument],
        reason: str = "",
    ) -> None:  # fmt: skip
        known = incident.catalog.services.get(service)
        if known is None or action not in known.actions:
            names = sorted(known.actions) if known else []
            close = get_close_matches(action, names, 1)
            hint = f"did you mean {close[0]!r}?" if close else (
                f"its actions: {', '.join(names) or 'none'}; add others to the catalog"
            )  # fmt: skip
            raise NotFound(
                "the catalog allows no such action",
                on=f"{action} on {service or 'no service'}",
                next=hint,
            )
        self.action, self.service, self.arguments = action, service, dict(arguments)
        self.reason = reason
        self._incident = incident

    def addresses(self, suspect: TopSuspect | NothingStandsOut) -> bool:
        """Whether this act takes away what the suspect names; false where nothing stands out.

        The service must be the suspect's own.  A rollback needs a suspected change, which must be
        the service's newest one, or else it would take back another; or the same act was made
        already in this incident.
        """
        if isinstance(suspect, NothingStandsOut) or suspect.service != self.service:
            return False
        if self.action != "rollback":
            return True
        named = self._incident.named
        newest = named.newest.get(self.service, "") if named else ""
        current = not newest or suspect.change.split()[-1:] == [newest]
        return bool(suspect.change) and (current or self._earlier() is not None)

    def plan(self) -> Planned:
        """What the act would change, how far it reaches, how it is undone; computed by the runner.

        Nothing is changed and nothing is proposed.
        """
        proposal, problem = self._propose(commit=False, wait=0.0)
        return Planned(proposal=proposal, problem=problem, title=self._title)

    def run(self, wait: float | None = None) -> Outcome:
        """Propose the act, and wait up to `wait` seconds (30) for an automatic decision.

        Returns what came of it, or that it is pending, with the link where a person decides.  The
        decision, the act and its verification go on without the notebook.
        """
        seconds = WAIT_SECONDS if wait is None else wait
        proposal, problem = self._propose(commit=True, wait=seconds)
        return Outcome(proposal=proposal, problem=problem, title=self._title)

    @property
    def _title(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return f"{self.action} of {self.service}" + (f" ({given})" if given else "")

    def _propose(self, *, commit: bool, wait: float) -> tuple[Proposal, str]:
        inc = self._incident
        top = inc.named.top if inc.named else NothingStandsOut(looks=0)
        for_it = self.addresses(top)
        ask = Ask(
            action=self.action, target=self.service, arguments=self.arguments, commit=commit,
            wait=wait, reason=self.reason,
            suspect=top.sentence if for_it else "", strength=top.strength if for_it else None,
            contrary=top.contrary if for_it else "", evidence=top.evidence if for_it else (),
            gaps=tuple(f"{g.what}: {g.why}" for g in inc.named.gaps) if inc.named else (),
        )  # fmt: skip
        try:
            return inc.session.propose(ask), ""
        except NeedsRunner as why:
            earlier = self._earlier()  # offline the ledger still tells what came of the same act
            plan = earlier.plan if earlier else None
            return Proposal(plan=plan, state=earlier, url=inc.session.briefing.url), str(why)
        except Refused as why:
            return Proposal(refused=why.reason, reason=str(why)), ""
        except IrkitError as why:
            return Proposal(), str(why)

    def _earlier(self) -> PlanState | None:
        """The same act in this incident's ledger, if it was ever proposed."""
        state = self._incident.state
        if state is None:
            return None
        return state.newest_plan(self.action, self.service, self.arguments)

    def _sentence(self) -> str:
        return f"{self._title}; .plan() shows what it would do, .run() proposes it"

    def _parts(self) -> Iterable[Markup]:
        yield display.line(
            display.word(self._title),
            "; ",
            display.code(".plan()"),
            " shows what it would do, ",
            display.code(".run()"),
            " proposes it",
        )


class NoAct(display.Shown):
    """Stands where an act would be: nothing is proposed, and why; false in an `if`."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __bool__(self) -> bool:
        return False

    def addresses(self, suspect: object) -> bool:
        """Never: it is no act."""
        return False

    def plan(self) -> NoAct:
        """There is nothing to plan."""
        return self

    def run(self, wait: float | None = None) -> NoAct:
        """There is nothing to run."""
        return self

    def _sentence(self) -> str:
        return f"nothing proposed: {self.why}"

    def _parts(self) -> Iterable[Markup]:
        yield display.line(display.word("Nothing proposed: ", "muted"), self.why)
