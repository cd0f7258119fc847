"""The sections of irkit.yaml; `docs/configuration.md` is generated from these models."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from irkit.config.fields import Duration, Matchers, Name, SecretField, Section, Share
from irkit.model.catalog import ActionTarget, Catalog, Service, Signal
from irkit.model.policy import ActionPolicy, Policy
from irkit.model.route import Route


class IntegrationConfig(Section):
    """What every integration's config has; the rest depends on its `type`."""

    type: str = Field(description="Which integration this is; a wrong one gets the list.")
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
        "general-triage", description="A runbook in `runs.notebooks`, or a shipped one's name."
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
    disk_mb: int = Field(1024, ge=32, description="What one run may have on the disk at once.")
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
