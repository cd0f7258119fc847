"""Actions carried out by your own deploy script."""

from __future__ import annotations

import builtins
import os
import re
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import msgspec
from pydantic import Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from irkit.config import Duration, IntegrationConfig
from irkit.errors import LookFailed
from irkit.http import said_by
from irkit.integrations._deployact import ACTIONS, check_act, impossible, is_word
from irkit.integrations._deploylog import deploys_of, lines_of, path_back
from irkit.integrations._json import UNREADABLE
from irkit.integrations._process import Finished, run
from irkit.model.action import Argument, BlastRadius, Change, Outcome, Plan, Undo
from irkit.model.deploy import Deploy
from irkit.ports import Survey

_PLACEHOLDERS = ("service", "version", "current", "key", "by", "reason")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_MAX_OUTPUT = 64 << 10
_SHORTEST_SECRET = 4

Argv = list[str]
T = TypeVar("T")


class _Planned(msgspec.Struct):
    """What the `plan` command prints."""

    current: str
    to: str
    change: str = ""
    instances: int = 1
    of: int = 1


class _Found(msgspec.Struct):
    """What the `lookup` command prints."""

    happened: bool
    text: str = ""


class Script(IntegrationConfig):
    """A deploy script, called without a shell; actions `rollback` and `deploy`.

    Both take `to`, a version; `rollback` also takes `previous` (and takes it by default), the
    version that ran before the current one and was not itself rolled back from.  A word of a
    command that is `{service}`, `{version}`, `{current}`, `{key}`, `{by}` or `{reason}` as a whole
    is replaced (in `plan` only the first two).  The script must do nothing when it is given a
    `{key}` a second time, and should refuse when another version than `{current}` runs.  Exit code
    0 of `apply` means that it was done.

    `plan` prints a JSON object with `current`, `to`, and optionally `change`, `instances`, `of`;
    `lookup` prints one with `happened` and optionally `text`, and exits with 0.
    """

    type: Literal["script"] = Field(description="Always `script`.")
    apply_command: Argv = Field(
        alias="apply", min_length=1, description="The command that deploys, as a list of words."
    )
    plan_command: Argv = Field(
        [], alias="plan", description="The command that says what would change, changing nothing."
    )
    lookup_command: Argv = Field(
        [], alias="lookup", description="The command that tells what came of an earlier key."
    )
    history: Path | None = Field(
        None, description="The deploy history (JSON lines) the script appends to after success."
    )
    folder: Path = Field(Path(), description="The folder the commands run in.")
    environment: list[str] = Field(
        [], description="Names of environment variables that the commands get, besides PATH."
    )
    time_limit: Duration = Field(
        timedelta(minutes=2), description="How long `apply` may take before it is stopped."
    )
    unsure_exit_codes: list[int] = Field(
        [], description="Exit codes of `apply` after which nobody knows whether it was done."
    )

    actions: ClassVar[tuple[str, ...]] = ACTIONS
    _one_at_a_time: Any = PrivateAttr(default_factory=threading.Lock)

    @field_validator("apply_command", "plan_command", "lookup_command")
    @classmethod
    def _check_words(cls, words: list[str], info: ValidationInfo) -> list[str]:
        known = _PLACEHOLDERS[:2] if info.field_name == "plan_command" else _PLACEHOLDERS
        for word in words:
            inside = re.findall(r"\{(\w+)\}", word)
            if "\0" in word:
                raise ValueError("a word holds a NUL")
            if inside and (word != f"{{{inside[0]}}}" or inside[0] not in known):
                named = ", ".join(f"{{{name}}}" for name in known)
                raise ValueError(f"{word!r}: a placeholder is a whole word, one of {named}")
        return words

    @model_validator(mode="after")
    def _check_lookup(self) -> Self:
        if self.history is None and not self.lookup_command:
            raise ValueError("give history or lookup, or nobody can tell what came of an act")
        if "{version}" not in self.apply_command or "{key}" not in self.apply_command:
            raise ValueError("apply must contain the words {version} and {key}")
        return self

    def anchored(self, base: Path) -> Self:
        """The same, with paths starting at `base`."""
        return self.model_copy(
            update={
                "folder": (base / self.folder).resolve(),
                "history": self.history and base / self.history,
            }
        )

    def survey(self, action: str, target: str, arguments: Mapping[str, Argument]) -> Survey:
        """What would change: read from the history and the `plan` command, nothing else.

        Raises:
            Refused: reason `impossible`, such as no earlier version, or an argument that is wrong.
            LookFailed: the history or the script does not answer.
        """
        to = check_act(action, target, arguments)
        path, deploys = self._path(target)
        wanted = _going_back(path) if action == "rollback" and to == "previous" else to
        planned = self._plan(target, wanted) if self.plan_command and wanted else None
        current = planned.current if planned else (path[-1] if path else "")
        if planned and path and current != path[-1] and to == "previous":
            # Something else was deployed past the history: go back from what really runs.
            path = path[: path.index(current) + 1] if current in path else [*path, current]
            wanted = _going_back(path)
            planned = self._plan(target, wanted) if wanted else None
        if not wanted:
            raise impossible("there is no earlier version to go back to", target)
        if not current:
            raise impossible("nobody knows what runs now", target)
        if action == "rollback" and wanted not in {d.version for d in deploys} | set(path):
            raise impossible(f"{wanted} never ran here, so nothing can go back to it", target)
        return Survey(
            change=Change(
                what=target,
                current=current,
                target=wanted,
                diff=(planned.change if planned else "") or _taken_away(deploys, current),
            ),
            blast=BlastRadius(
                instances=planned.instances if planned else 1, of=planned.of if planned else 1
            ),
            undo=Undo(how=f"deploy {current} again", action="deploy", arguments={"to": current}),
            already=current == wanted,
        )

    def apply(self, plan: Plan) -> Outcome:
        """Run the script once for the plan's key; what it already did is not done again."""
        with self._one_at_a_time:
            return self._apply(plan)

    def _apply(self, plan: Plan) -> Outcome:
        check_act(plan.action, plan.target, {"to": plan.change.target})
        version = plan.change.target
        ends: dict[str, Any] = {"before": plan.change.current, "after": version}
        try:
            earlier = self.lookup(plan)
        except LookFailed as why:
            return Outcome(status="failed", text=f"nothing was done: {why}", **ends)
        if earlier is not None:
            return msgspec.structs.replace(earlier, status="already")
        try:
            ended = self._run(
                self.apply_command, plan.target, plan=plan, seconds=self.time_limit.total_seconds()
            )
        except LookFailed as why:
            return Outcome(status="failed", text=f"nothing was done: {why}", **ends)
        ends["seconds"] = ended.seconds
        said = self._words(ended)
        if ended.code == 0:
            return Outcome(status="applied", text=said or f"{plan.target} {version}", **ends)
        how = (
            f"stopped after {self.time_limit.total_seconds():g} s"
            if ended.code is None
            else f"exit code {ended.code}"
        )
        unsure = ended.code is None or ended.code in self.unsure_exit_codes
        try:
            found = self.lookup(plan)
        except LookFailed:
            found, unsure = None, True
        how += f": {said}" if said else ""
        if found is not None:
            return msgspec.structs.replace(found, text=f"{found.text} ({how})")
        text = f"the deploy script: {how}"
        return Outcome(status="unknown" if unsure else "failed", text=text, **ends)

    def lookup(self, plan: Plan) -> Outcome | None:
        """What the `lookup` command, or the history, says about the plan's key.

        Raises:
            LookFailed: neither can tell.
        """
        ends: Any = {"before": plan.change.current, "after": plan.change.target}
        if self.lookup_command:
            ended = self._run(
                self.lookup_command, plan.target, plan=plan, seconds=self.timeout.total_seconds()
            )
            found = self._printed(ended, "lookup", _Found)
            said = found.text or f"{plan.target} {plan.change.target}"
            return Outcome(status="applied", text=said, **ends) if found.happened else None
        for deploy in self._deploys(plan.target):
            if deploy.key and deploy.key == plan.key:
                if deploy.version != plan.change.target:
                    raise LookFailed(
                        f"the key was used for {deploy.version}",
                        on=f"{plan.target}: {plan.key}",
                        next="look at the deploy history",
                    )
                text = f"{deploy.service} {deploy.version} was deployed at {deploy.time:%H:%M:%S}Z"
                return Outcome(status="applied", text=text, **ends)
        return None

    def probe(self) -> str:
        """See that the commands exist and that the history can be read; runs nothing.

        Raises:
            LookFailed: one is missing.
        """
        import shutil

        for words in (self.apply_command, self.plan_command, self.lookup_command):
            if words and not shutil.which(words[0]) and not (self.folder / words[0]).is_file():
                raise LookFailed(
                    "no such command", on=words[0], next="install it or correct the config"
                )
        count = len(lines_of(self.history)) if self.history and self.history.exists() else 0
        return f"{self.apply_command[0]} is there, {count} deploys so far"

    def _deploys(self, service: str) -> list[Deploy]:
        if self.history is None or not self.history.exists():
            return []  # nothing was deployed yet
        deploys, bad = deploys_of(lines_of(self.history))
        if bad:
            raise LookFailed(
                f"{bad} lines of the deploy history cannot be read",
                on=str(self.history),
                next="mend them; nothing is decided on half a history",
            )
        return [deploy for deploy in deploys if deploy.service == service]

    def _path(self, service: str) -> tuple[list[str], list[Deploy]]:
        deploys = self._deploys(service)
        return path_back(deploys), deploys

    def _plan(self, service: str, version: str) -> _Planned:
        ended = self._run(
            self.plan_command, service, version=version, seconds=self.timeout.total_seconds()
        )
        planned = self._printed(ended, "plan", _Planned)
        if planned.to != version:
            raise LookFailed(
                f"the script would deploy {said_by(planned.to.encode())}, not {version}",
                on=service,
                next="correct the `plan` command",
            )
        if not is_word(planned.current) or not 0 < planned.instances <= planned.of:
            raise LookFailed(
                "the script's plan makes no sense", on=service, next="correct the `plan` command"
            )
        return planned

    def _printed(self, ended: Finished, name: str, shape: builtins.type[T]) -> T:
        if ended.code is None:
            problem = f"did not end within {self.timeout.total_seconds():g} s"
        elif ended.code != 0:
            problem = f"exit code {ended.code}: {self._words(ended)}"
        else:
            try:
                return msgspec.json.decode(ended.out, type=shape)
            except UNREADABLE:
                problem = f"printed no such JSON: {self._words(ended)}"
        raise LookFailed(
            f"the deploy script's {name} command: {problem}",
            on=self.apply_command[0],
            next="run it by hand",
            retryable=ended.code is None,
        )

    def _run(
        self,
        words: Argv,
        service: str,
        *,
        seconds: float,
        version: str = "",
        plan: Plan | None = None,
    ) -> Finished:
        values = {"{service}": service, "{version}": version}
        if plan is not None:
            values |= {
                "{version}": plan.change.target,
                "{current}": plan.change.current,
                "{key}": plan.key,
                "{by}": plan.requester,
                # Free text: one line that cannot be taken for an option.
                "{reason}": _CONTROL.sub(" ", plan.reason).strip().lstrip("-")[:500],
            }
        return run(
            [values.get(word, word) for word in words],
            cwd=self.folder,
            environment=self._environment(),
            seconds=seconds,
            max_bytes=_MAX_OUTPUT,
        )

    def _environment(self) -> dict[str, str]:
        given = {name: os.environ[name] for name in self.environment if name in os.environ}
        return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC", **given}

    def _words(self, ended: Finished) -> str:
        """The last line that it printed, without what its environment holds."""
        secrets = [os.environ.get(name, "") for name in self.environment]
        shown = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        lines = (ended.out if ended.code == 0 else ended.err or ended.out).strip().split(b"\n")
        return said_by(lines[-1], secrets=shown)


def _going_back(path: list[str]) -> str:
    return path[-2] if len(path) > 1 else ""


def _taken_away(deploys: list[Deploy], version: str) -> str:
    """What the newest deploy of that version said it changed."""
    for deploy in reversed(deploys):
        if deploy.version == version:
            return " ".join(filter(None, [deploy.version, deploy.commit[:12], deploy.message]))
    return ""
