"""irkit.yaml: one file, checked on reading; every mistake names file, path, value and cure.

The models below are the reference: `docs/configuration.md` is generated from them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    field_validator,
)

from irkit.errors import BadQuery, ConfigError
from irkit.model.catalog import ActionTarget, Catalog, Service, Signal
from irkit.model.matchers import Matcher, parse_matchers
from irkit.model.policy import ActionPolicy, Policy
from irkit.model.route import Route
from irkit.model.window import format_duration, parse_duration
from irkit.registry import integration
from irkit.secret import Secret


def _read_duration(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except BadQuery as why:
            raise ValueError(f"{why.what}; {why.next}") from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("a duration needs a unit, such as 15m or 30s")
    return value


def _read_secret(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return Secret(value)
        except ConfigError as why:
            raise ValueError(f"{why.what}; {why.next}") from None
    return value


def _read_matchers(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return parse_matchers(value)
        except BadQuery as why:
            raise ValueError(str(why)) from None
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(format_duration, return_type=str),
]
"""A span of time such as `15m`, `1h30m` or `30s`."""

SecretField = Annotated[
    Secret,
    BeforeValidator(_read_secret),
    PlainSerializer(lambda s: s.reference, return_type=str),
]
"""A reference to a secret: `env:NAME` or `file:PATH`."""

Matchers = Annotated[
    tuple[Matcher, ...],
    BeforeValidator(_read_matchers),
    PlainSerializer(lambda ms: ", ".join(map(str, ms)), return_type=str),
]
"""Conditions on labels as Alertmanager writes them: `severity="page", service=~"shop|pay"`."""

Share = Annotated[float, Field(gt=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class Section(BaseModel):
    """A part of the config: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class IntegrationConfig(Section):
    """What every integration's config has; the rest depends on its `type`."""

    type: str = Field(description="Which integration this is; `irkit check` lists the types.")
    timeout: Duration = Field(
        timedelta(seconds=10), description="How long one call may take before it counts as failed."
    )


class SignalConfig(Section):
    """A named question about a service, in its backend's query language."""

    source: Name = Field(description="The integration that answers it.")
    query: str = Field(
        description="The query. `$service` becomes the service's name, quoted for the language."
    )
    unit: str = Field("", description="`ratio`, `seconds`, `requests/s` or any other unit.")
    limit: float | None = Field(
        None, description="Divides good from bad; verification after an action uses it."
    )
    above: bool = Field(True, description="Whether values above the limit are the bad ones.")
    alerts: list[str] = Field([], description="Names of the alerts that fire on this signal.")


class ActionTargetConfig(Section):
    """Where an action on this service is carried out."""

    integration: Name = Field(description="The integration that carries it out.")
    name: str = Field("", description="The service's name there, if it differs.")


class ServiceConfig(Section):
    """One service of the catalog."""

    owner: str = Field("", description="The team that owns it.")
    tier: int = Field(3, ge=1, le=4, description="1 is the most important.")
    environment: str = Field("", description="Where it runs, such as `prod-eu`.")
    depends_on: list[Name] = Field([], description="The services that it calls.")
    signals: dict[Name, SignalConfig] = Field({}, description="Named questions about it.")
    logs: str = Field("", description="The integration that has its logs.")
    logs_match: Matchers = Field((), description="Which of those log lines are its own.")
    deploys: list[Name] = Field([], description="The integrations that know its deploys.")
    health: str = Field("", description="`INTEGRATION/PATH` of its health endpoint.")
    actions: dict[Name, ActionTargetConfig] = Field({}, description="What may be done to it.")
    links: dict[str, str] = Field({}, description="Dashboards and the like, name to address.")


class CatalogConfig(Section):
    """The services, their dependencies and signals."""

    services: dict[Name, ServiceConfig] = Field({}, description="Each service, by name.")


class RouteConfig(Section):
    """Which runbook answers which alerts; the first route that matches is taken."""

    name: str = Field("", description="What the route is called in explanations.")
    match: Matchers = Field((), description="Conditions on the alert's labels; empty matches all.")
    runbook: str = Field(
        "general-triage", description="A shipped runbook's name, or a path beside the config."
    )
    parameters: dict[str, str | int | float | bool] = Field(
        {}, description="Parameters for the runbook."
    )
    group_by: list[str] = Field(
        ["alertname", "service"],
        description="Alerts with the same values of these labels form one incident.",
    )


class ActionConfig(Section):
    """The rules for one kind of action. An action without rules is forbidden."""

    policy: str = Field("approve", description="`auto`, `approve` or `forbid`.")
    approvers: list[Name] = Field([], description="Who may approve; empty: any other person.")
    approvals: int = Field(1, ge=1, le=3, description="How many people must approve.")
    expires: Duration = Field(timedelta(minutes=15), description="How long an approval may wait.")
    max_per_hour: int = Field(3, ge=1, description="How often per target and hour.")
    cooldown: Duration = Field(timedelta(minutes=5), description="Pause between two on one target.")
    max_share: Share = Field(1.0, description="The largest share of instances one act may touch.")
    verify_hold: Duration = Field(
        timedelta(seconds=20), description="How long the signal must stay good to count as helped."
    )
    verify_within: Duration = Field(
        timedelta(minutes=5), description="When it is not good by then, the act did not help."
    )
    verify_every: Duration = Field(
        timedelta(seconds=5), description="Pause between two looks at the signal."
    )
    undo: str = Field(
        "tell", description="When verification fails: `auto` undoes, `tell` tells a person."
    )

    @field_validator("policy")
    @classmethod
    def _policy(cls, value: str) -> str:
        if value not in ("auto", "approve", "forbid"):
            raise ValueError("write auto, approve or forbid")
        return value

    @field_validator("undo")
    @classmethod
    def _undo(cls, value: str) -> str:
        if value not in ("auto", "tell"):
            raise ValueError("write auto or tell")
        return value


class PersonConfig(Section):
    """Somebody who may log in and decide."""

    token: SecretField = Field(description="What they log in and approve with.")


class StorageConfig(Section):
    """Where incidents are kept."""

    path: str = Field(".irkit", description="The folder, relative to the config file.")


class RunsConfig(Section):
    """Bounds on the execution of runbooks."""

    time_limit: Duration = Field(timedelta(minutes=10), description="Wall time of one run.")
    memory_mb: int = Field(2048, ge=128, description="Memory of one run.")
    at_once: int = Field(2, ge=1, description="How many runs execute at the same time.")
    per_incident: int = Field(6, ge=1, description="How many runs one incident may start.")
    notebooks: str = Field("notebooks", description="The folder of your own runbooks.")


class ServerConfig(Section):
    """Where the runner listens."""

    listen: str = Field("127.0.0.1:8400", description="Address and port.")
    url: str = Field("", description="How people reach it, for links; default: from `listen`.")
    max_body_kb: int = Field(5120, ge=16, description="Largest webhook body that is read.")


class SafetyConfig(Section):
    """Switches that stop or widen what runs by itself."""

    freeze: bool = Field(False, description="No action is applied while this is true.")
    allow_unconfined: list[Name] = Field(
        [], description="Actions that stay automatic where runs cannot be confined."
    )
    resolve_after: Duration = Field(
        timedelta(0), description="Quiet time after the last alert before an incident is resolved."
    )


class Config(Section):
    """The whole of irkit.yaml."""

    integrations: dict[Name, Any] = Field({}, description="Each system irkit speaks to, by name.")
    catalog: CatalogConfig = CatalogConfig()
    routes: list[RouteConfig] = Field([], description="Matchers to runbooks, first match wins.")
    actions: dict[Name, ActionConfig] = Field({}, description="Rules for each kind of action.")
    people: dict[Name, PersonConfig] = Field({}, description="Who may log in and decide.")
    storage: StorageConfig = StorageConfig()
    runs: RunsConfig = RunsConfig()
    server: ServerConfig = ServerConfig()
    safety: SafetyConfig = SafetyConfig()
    file: Path = Field(Path("irkit.yaml"), exclude=True, description="Set when the file is read.")

    @property
    def home(self) -> Path:
        """The folder that relative paths in the config start from."""
        return self.file.resolve().parent

    @property
    def storage_path(self) -> Path:
        """The folder of the ledger, the runs and the post-mortems."""
        return (self.home / self.storage.path).resolve()

    @cached_property
    def services(self) -> Catalog:
        """The catalog as model values."""
        return Catalog(
            services={
                name: Service(
                    name=name,
                    owner=s.owner,
                    tier=s.tier,
                    environment=s.environment,
                    depends_on=tuple(s.depends_on),
                    signals={
                        n: Signal(
                            name=n,
                            source=g.source,
                            query=g.query,
                            unit=g.unit,
                            limit=g.limit,
                            above=g.above,
                            alerts=tuple(g.alerts),
                        )
                        for n, g in s.signals.items()
                    },
                    logs=s.logs,
                    logs_match=", ".join(map(str, s.logs_match)),
                    deploys=tuple(s.deploys),
                    health=s.health,
                    actions={
                        n: ActionTarget(integration=a.integration, name=a.name or name)
                        for n, a in s.actions.items()
                    },
                    links=s.links,
                )
                for name, s in self.catalog.services.items()
            }
        )

    @cached_property
    def routing(self) -> tuple[Route, ...]:
        """The routes as model values, in order."""
        return tuple(
            Route(
                name=r.name,
                match=r.match,
                runbook=r.runbook,
                parameters=r.parameters,
                group_by=tuple(r.group_by),
            )
            for r in self.routes
        )

    @cached_property
    def policy(self) -> Policy:
        """The rules as model values."""
        return Policy(
            actions={
                name: ActionPolicy(
                    mode=a.policy,
                    approvers=tuple(a.approvers),
                    approvals_needed=a.approvals,
                    expires_seconds=a.expires.total_seconds(),
                    max_per_hour=a.max_per_hour,
                    cooldown_seconds=a.cooldown.total_seconds(),
                    max_share=a.max_share,
                    hold_seconds=a.verify_hold.total_seconds(),
                    within_seconds=a.verify_within.total_seconds(),
                    every_seconds=a.verify_every.total_seconds(),
                    undo=a.undo,
                )
                for name, a in self.actions.items()
            },
            freeze=self.safety.freeze,
            allow_unconfined=tuple(self.safety.allow_unconfined),
            max_runs=self.runs.per_incident,
            resolve_after_seconds=self.safety.resolve_after.total_seconds(),
        )


def load(path: str | Path | None = None) -> Config:
    """Read the config from `path`, else `IRKIT_CONFIG`, else `irkit.yaml` here; none is a default.

    Raises:
        ConfigError: the file cannot be read or a value is wrong; one line for each mistake, with
            file, path, value and cure.
    """
    named = path or os.environ.get("IRKIT_CONFIG")
    file = Path(named or "irkit.yaml")
    if not named and not file.exists():
        return Config(file=file.resolve())
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise ConfigError(
            f"cannot read the config ({type(why).__name__})",
            on=str(file),
            next="name it with --config or IRKIT_CONFIG, or write one with: irkit init DIR",
        ) from None
    return parse(text, file=file.resolve())


def parse(text: str, *, file: Path) -> Config:
    """Read a config from its text; `file` is named in errors and anchors relative paths."""
    try:
        raw = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader, see below
    except yaml.YAMLError as why:
        mark = getattr(why, "problem_mark", None)
        where = f"{file.name}:{mark.line + 1}:{mark.column + 1}" if mark else file.name
        problem = getattr(why, "problem", None) or str(why)
        raise ConfigError(f"not YAML ({problem})", on=where, next="correct the line") from None
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ConfigError(
            "the config must be a mapping", on=file.name, next="see docs/configuration.md"
        )
    raw = dict(raw)
    mistakes: list[str] = []
    given = raw.get("integrations") or {}
    made: dict[str, Any] = {}
    if isinstance(given, Mapping):
        for name, one in given.items():
            made[str(name)] = _make_integration(str(name), one, file, mistakes)
        raw["integrations"] = made
    try:
        config = Config(**raw, file=file)
    except ValidationError as why:
        mistakes.extend(_mistakes(why, file, (), Config))
        raise ConfigError("\n".join(mistakes)) from None
    mistakes.extend(f"{file.name}: {m}" for m in _dangling(config))
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def _make_integration(name: str, given: Any, file: Path, mistakes: list[str]) -> Any:
    where = f"integrations.{name}"
    if not isinstance(given, Mapping) or not isinstance(given.get("type"), str):
        mistakes.append(f"{file.name}: {where}: needs a `type`, such as `type: prometheus`")
        return None
    try:
        cls = integration(given["type"])
    except ConfigError as why:
        mistakes.append(f"{file.name}: {where}.type: {why}")
        return None
    try:
        made = cls(**given)
    except ValidationError as why:
        mistakes.extend(_mistakes(why, file, ("integrations", name), cls))
        return None
    anchor = getattr(made, "anchored", None)
    return anchor(file.parent) if anchor else made


def _mistakes(
    why: ValidationError, file: Path, prefix: tuple[str, ...], model: type[BaseModel]
) -> Iterator[str]:
    for error in why.errors(include_url=False):
        parts = [*prefix, *map(str, error["loc"])]
        path = ".".join(parts)
        secret = any(word in parts[-1].lower() for word in ("token", "secret", "password", "key"))
        # An integration's texts may hold a password, in an address or a header.
        secret = secret or (prefix[:1] == ("integrations",) and not _is_number(error.get("input")))
        value = "(not shown)" if secret else _short(error.get("input"))
        if error["type"] == "extra_forbidden":
            known = _fields_at(model, error["loc"][:-1])
            close = get_close_matches(parts[-1], known, 1)
            cure = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
            yield f"{file.name}: {path}: unknown key. {cure}"
        elif error["type"] == "missing":
            yield f"{file.name}: {path}: is missing. Add it"
        else:
            message = error["msg"].removeprefix("Value error, ")
            yield f"{file.name}: {path}: {value}: {message}"


def _fields_at(model: Any, loc: tuple[Any, ...]) -> list[str]:
    """The field names a section has, found by walking the models along an error's path."""
    for step in loc:
        fields = getattr(model, "model_fields", {})
        if step in fields:
            model = fields[step].annotation
        args = [a for a in getattr(model, "__args__", ()) if getattr(a, "model_fields", None)]
        if not hasattr(model, "model_fields") and args:
            model = args[0]
    fields = getattr(model, "model_fields", {})
    return sorted(field.alias or name for name, field in fields.items() if name != "file")


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _dangling(config: Config) -> Iterator[str]:
    """References to integrations, services or people that are not configured."""
    known = set(config.integrations)
    for name, service in config.catalog.services.items():
        at = f"catalog.services.{name}"
        for other in service.depends_on:
            if other not in config.catalog.services:
                yield f"{at}.depends_on: {other!r}: no such service. Add it to the catalog"
        wanted = [(f"{at}.signals.{n}.source", s.source) for n, s in service.signals.items()]
        wanted += [(f"{at}.actions.{n}", a.integration) for n, a in service.actions.items()]
        wanted += [(f"{at}.deploys", d) for d in service.deploys]
        wanted += [(f"{at}.logs", service.logs)] if service.logs else []
        wanted += [(f"{at}.health", service.health.split("/")[0])] if service.health else []
        for path, used in wanted:
            if used not in known:
                yield f"{path}: {used!r}: no such integration. Add it under integrations"
        for action in service.actions:
            if action not in config.actions:
                yield f"{at}.actions.{action}: no rules for it. Add it under actions"
    for action, rules in config.actions.items():
        for person in rules.approvers:
            if person not in config.people:
                yield f"actions.{action}.approvers: {person!r}: nobody of that name under people"


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML without objects, in which a key given twice is a mistake and not a silent choice."""


def _unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key!r} is given twice", key_node.start_mark
            )
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
