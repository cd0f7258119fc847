"""Alerts from Prometheus Alertmanager's webhook (payload version 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from irkit.config import IntegrationConfig, SecretField
from irkit.errors import BadAlert
from irkit.integrations._auth import check_basic, check_bearer
from irkit.integrations._json import items, mapping, moment, read_json, text, texts
from irkit.model.alert import Alert, fingerprint, severity_of

_MAX_ALERTS = 5000
_QUOTED = re.compile(r"\\([\\.+*?()|\[\]{}^$])")


class Alertmanager(IntegrationConfig):
    """Alertmanager delivers here; its `webhook_config` shows the token in `http_config`.

    Source: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
    """

    type: Literal["alertmanager"] = Field(description="Always `alertmanager`.")
    token: SecretField | None = Field(
        None, description="What Alertmanager shows as `Authorization: Bearer` (credentials_file)."
    )
    previous_token: SecretField | None = Field(
        None, description="The token before; accepted too, while it is being replaced."
    )
    username: str = Field("", description="For basic authentication, with `password`.")
    password: SecretField | None = Field(None, description="For basic authentication.")
    previous_password: SecretField | None = Field(
        None, description="The password before; accepted too, while it is being replaced."
    )
    insecure: bool = Field(
        False, description="Write true to accept alerts from anybody, without a secret."
    )
    receiver: str = Field(
        "", description="Take only deliveries of this Alertmanager receiver; empty: of every one."
    )
    service_labels: list[str] = Field(
        ["service", "job"], description="The labels that may name the service, first one first."
    )
    signal_label: str = Field("signal", description="The label that names the signal.")
    severity_label: str = Field("severity", description="The label that names the severity.")

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        if bool(self.username) != (self.password is not None):
            raise ValueError("give username and password together")
        if self.token and self.password:
            raise ValueError("give a token, or username and password, not both")
        if not (self.token or self.password or self.insecure):
            raise ValueError("needs a token (token: env:NAME), or insecure: true")
        if self.insecure and (self.token or self.password):
            raise ValueError("insecure: true and a secret contradict each other")
        if (self.previous_token and not self.token) or (
            self.previous_password and not self.password
        ):
            raise ValueError("a previous secret needs a current one")
        return self

    def authenticate(self, headers: Mapping[str, str], body: bytes) -> None:
        """Accept the delivery or not; Alertmanager signs nothing, so the body is not looked at.

        Raises:
            Refused: reason `unauthenticated`.
        """
        if self.token:
            check_bearer(headers, [s for s in (self.token, self.previous_token) if s])
        elif self.password:
            passwords = [s for s in (self.password, self.previous_password) if s]
            check_basic(headers, self.username, passwords)

    def alerts(self, name: str, body: bytes) -> tuple[Alert, ...]:
        """Read a delivery; pure.  Groups may be mixed: each alert fires or not for itself.

        Raises:
            BadAlert: not a version 4 payload; the mistake's place is named.
        """
        given = read_json(body)
        if not isinstance(given, dict) or given.get("version") != "4":
            version = given.get("version") if isinstance(given, dict) else None
            raise BadAlert(
                "not Alertmanager's payload, version 4",
                on=f"version: {version!r}"[:80],
                next="use webhook_configs without `payload`, or a hook of type webhook",
            )
        receiver = _QUOTED.sub(r"\1", text(given.get("receiver"), "receiver"))
        if self.receiver and receiver != self.receiver:
            raise BadAlert(
                "a delivery of another receiver",
                on=repr(receiver)[:80],
                next=f"only {self.receiver!r} is taken here",
            )
        group = given.get("status")
        found = items(given.get("alerts"), "alerts", most=_MAX_ALERTS)
        return tuple(self._alert(name, one, f"alerts[{at}]", group) for at, one in enumerate(found))

    def _alert(self, source: str, value: Any, path: str, group: Any) -> Alert:
        if not isinstance(value, dict):
            raise BadAlert("not an object", on=path, next="send what Alertmanager documents")
        given = mapping(value, path)
        status = given.get("status", group)  # old senders give it for the group alone
        if status not in ("firing", "resolved"):
            raise BadAlert(
                "neither firing nor resolved",
                on=f"{path}.status: {status!r}"[:80],
                next="send what Alertmanager documents",
            )
        starts_at = moment(given.get("startsAt"), f"{path}.startsAt")
        if starts_at is None:
            raise BadAlert(
                "an alert without a start", on=f"{path}.startsAt", next="send when it began"
            )
        labels = texts(given.get("labels"), f"{path}.labels")
        annotations = texts(given.get("annotations"), f"{path}.annotations")
        firing = status == "firing"
        ends_at = moment(given.get("endsAt"), f"{path}.endsAt")
        url = text(given.get("generatorURL"), f"{path}.generatorURL")
        alert_name = labels.get("alertname") or "unnamed alert"
        return Alert(
            source=source,
            fingerprint=text(given.get("fingerprint"), f"{path}.fingerprint")[:128]
            or fingerprint(labels),
            firing=firing,
            name=alert_name,
            starts_at=starts_at,
            ends_at=None if firing else ends_at,
            service=next((labels[n] for n in self.service_labels if labels.get(n)), ""),
            signal=labels.get(self.signal_label, ""),
            severity=severity_of(labels.get(self.severity_label, "")),
            summary=annotations.get("summary") or annotations.get("description") or alert_name,
            labels=labels,
            annotations=annotations,
            url=url if url.startswith(("http://", "https://")) else "",
        )
