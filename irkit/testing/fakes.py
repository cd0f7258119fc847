"""In-memory sources and targets that refuse what the real ones refuse."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec

from irkit.errors import LookFailed
from irkit.integrations._deployact import ACTIONS, check_act, impossible
from irkit.integrations._json import UNREADABLE
from irkit.integrations._request import check_op
from irkit.model.action import Argument, BlastRadius, Change, Outcome, Plan, Undo
from irkit.model.look import Request
from irkit.ports import Raw, Survey


class FakeSource:
    """Answers looks from functions, one for each op; each reply is the JSON of what it returns.

    `down` makes every look fail, as a server does that is not there.

    Example:
        >>> source = FakeSource(get=lambda request: {"status": "ok"})
        >>> source.fetch(Request(source="shop", op="get")).body
        b'{"status":"ok"}'
    """

    def __init__(
        self,
        *,
        takes: tuple[str, ...] = ("query", "service", "match", "path", "limit", "step"),
        down: bool = False,
        **answers: Callable[[Request], Any],
    ) -> None:
        self.ops = tuple(answers)
        self.asked: list[Request] = []
        self._takes, self._down, self._answers = takes, down, answers

    def fetch(self, request: Request) -> Raw:
        """Answer, and keep the request in `asked`.

        Raises:
            LookFailed: it is down, or does not know the op or an argument.
        """
        check_op(request, self.ops, self._takes)
        self.asked.append(request)
        if self._down:
            raise LookFailed(
                "cannot connect (it is down)", on=request.source, next="start it", retryable=True
            )
        return Raw(body=msgspec.json.encode(self._answers[request.op](request)))

    @staticmethod
    def read(request: Request, body: bytes) -> Any:
        """The JSON value; pure.

        Raises:
            LookFailed: the reply is not JSON.
        """
        try:
            return msgspec.json.decode(body)
        except UNREADABLE:
            raise LookFailed("not JSON", on=request.source, next="look again") from None

    def probe(self) -> str:
        """Say that it is there.

        Raises:
            LookFailed: it is down.
        """
        if self._down:
            raise LookFailed("cannot connect", on="the fake", next="start it", retryable=True)
        return "a fake answers"


class FakeTarget:
    """Services that run versions, in memory; actions `rollback` and `deploy`, as `script` has them.

    `runs` maps each service to the versions that ran, the current one last.  `fail` makes the next
    act end with that status (`failed` or `unknown`); an unknown one was done all the same.

    Example:
        >>> target = FakeTarget({"checkout": ["1.4.1", "1.4.2"]})
        >>> target.survey("rollback", "checkout", {}).change.target
        '1.4.1'
    """

    actions: ClassVar[tuple[str, ...]] = ACTIONS

    def __init__(self, runs: Mapping[str, list[str]], *, fail: str = "") -> None:
        self.runs = {service: list(versions) for service, versions in runs.items()}
        self.applied: list[Plan] = []
        self.fail = fail
        self._lock = threading.Lock()

    def survey(self, action: str, target: str, arguments: Mapping[str, Argument]) -> Survey:
        """What would change; changes nothing.

        Raises:
            Refused: reason `impossible`.
        """
        to = check_act(action, target, arguments)
        versions = self.runs.get(target)
        if not versions:
            raise impossible("nobody knows what runs now", target)
        if to == "previous" and action == "rollback":
            if len(versions) < 2:
                raise impossible("there is no earlier version to go back to", target)
            to = versions[-2]
        elif action == "rollback" and to not in versions:
            raise impossible(f"{to} never ran here", target)
        return Survey(
            change=Change(what=target, current=versions[-1], target=to),
            blast=BlastRadius(instances=1, of=1),
            undo=Undo(
                how=f"deploy {versions[-1]} again",
                action="deploy",
                arguments={"to": versions[-1]},
            ),
            already=versions[-1] == to,
        )

    def apply(self, plan: Plan) -> Outcome:
        """Do it once for each key."""
        check_act(plan.action, plan.target, plan.arguments)
        with self._lock:
            if self.lookup(plan) is not None:
                return _outcome(plan, "already")
            status, self.fail = self.fail or "applied", ""
            if status == "failed":
                return _outcome(plan, status)
            versions = self.runs[plan.target]
            if plan.change.target in versions:
                del versions[versions.index(plan.change.target) + 1 :]
            else:
                versions.append(plan.change.target)
            self.applied.append(plan)
            return _outcome(plan, status)

    def lookup(self, plan: Plan) -> Outcome | None:
        """What came of an earlier act under the plan's key."""
        done = any(one.key == plan.key for one in self.applied)
        return _outcome(plan, "applied") if done else None


def _outcome(plan: Plan, status: str) -> Outcome:
    return Outcome(
        status=status,
        text=f"{plan.target}: {plan.change.target} {status}",
        before=plan.change.current,
        after=plan.change.target,
    )
