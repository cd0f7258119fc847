"""Alerts as any JSON, from whatever can post it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from irkit.clock import Clock, SystemClock
from irkit.config import IntegrationConfig, SecretField, Section
from irkit.errors import BadAlert
from irkit.integrations._auth import check_bearer, check_hmac, header
from irkit.integrations._json import items, moment, plain, read_json, text, texts
from irkit.model.alert import Alert, fingerprint, severity_of

_MAX_ALERTS = 1000
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_EPOCH_MS = 1e11  # a number beyond it counts milliseconds: as seconds it would be the year 5138


class FieldPaths(Section):
    """Where in the body each thing stands: names and list positions joined by dots."""

    alerts: str = Field(
        "", description="The list of alerts; empty: the body itself, a list or one alert."
    )
    name: str = Field("name", description="The alert's name; it must be there.")
    status: str = Field("status", description="Firing or resolved; empty or missing: firing.")
    starts_at: str = Field(
        "starts_at",
        description="When it began: RFC 3339, or Unix seconds or milliseconds. It must be there, "
        "for it tells a repetition from a new alert.",
    )
    ends_at: str = Field("ends_at", description="When it ended.")
    fingerprint: str = Field(
        "fingerprint", description="What is the same while it is the same alert."
    )
    service: str = Field("service", description="The service's name in the catalog.")
    signal: str = Field("signal", description="The signal's name in the catalog.")
    severity: str = Field("severity", description="A word or number for the severity.")
    summary: str = Field("summary", description="One sentence.")
    url: str = Field("url", description="Where to read more.")
    labels: str = Field("labels", description="An object of further texts.")


class Webhook(IntegrationConfig):
    """Anything that can post JSON delivers here: its own field names, one of two ways to sign in.

    `auth: bearer` compares `Authorization: Bearer`.  `auth: hmac` wants the hex HMAC-SHA256 over
    `TIMESTAMP.BODY` in one header and the timestamp (Unix seconds, at most 300 s off) in another.
    """

    type: Literal["webhook"] = Field(description="Always `webhook`.")
    auth: Literal["bearer", "hmac", "none"] = Field(
        "bearer", description="`bearer`, `hmac`, or `none` together with `insecure: true`."
    )
    token: SecretField | None = Field(None, description="The bearer token, or the HMAC's key.")
    previous_token: SecretField | None = Field(
        None, description="The one before; accepted too, while it is being replaced."
    )
    insecure: bool = Field(False, description="Write true to accept alerts from anybody.")
    signature_header: str = Field("X-Irkit-Signature", description="Carries the HMAC.")
    timestamp_header: str = Field("X-Irkit-Timestamp", description="Carries the timestamp.")
    fields: FieldPaths = Field(
        default_factory=lambda: FieldPaths.model_validate({}),
        description="Where in the body each thing stands.",
    )
    firing: list[str] = Field(
        ["firing", "triggered", "alerting", "open", "problem"],
        description="The status words that mean that it fires; case does not matter.",
    )
    resolved: list[str] = Field(
        ["resolved", "ok", "closed", "recovered", "normal"],
        description="The status words that mean that it is over.",
    )

    _clock: Clock = PrivateAttr(default_factory=SystemClock)

    @field_validator("signature_header", "timestamp_header")
    @classmethod
    def _check_header(cls, value: str) -> str:
        if not _HEADER.fullmatch(value):
            raise ValueError("not a header name")
        return value

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        if self.auth == "none" and not self.insecure:
            raise ValueError("auth: none also needs insecure: true")
        if self.auth != "none" and self.insecure:
            raise ValueError("insecure: true needs auth: none")
        if self.auth != "none" and self.token is None:
            raise ValueError("needs a token (token: env:NAME), or auth: none and insecure: true")
        if self.auth == "none" and (self.token or self.previous_token):
            raise ValueError("auth: none and a token contradict each other")
        return self

    def at(self, clock: Clock) -> Self:
        """The same, with another clock; for tests."""
        copy = self.model_copy()
        copy._clock = clock
        return copy

    def authenticate(self, headers: Mapping[str, str], body: bytes) -> None:
        """Accept the raw bytes or not.

        Raises:
            Refused: reason `unauthenticated`.
        """
        secrets = [one for one in (self.token, self.previous_token) if one]
        if self.auth == "bearer":
            check_bearer(headers, secrets)
        elif self.auth == "hmac":
            check_hmac(
                body,
                signature=header(headers, self.signature_header),
                timestamp=header(headers, self.timestamp_header),
                secrets=secrets,
                now=self._clock.now(),
            )

    def alerts(self, name: str, body: bytes) -> tuple[Alert, ...]:
        """Read a delivery; pure.

        Raises:
            BadAlert: a field that must be there is missing, or one is of the wrong kind.
        """
        found = _at(read_json(body), self.fields.alerts)
        if isinstance(found, dict):
            return (self._alert(name, found, self.fields.alerts or "the body"),)
        where = self.fields.alerts or "alerts"
        listed = items(found, where, most=_MAX_ALERTS)
        return tuple(self._alert(name, one, f"{where}[{at}]") for at, one in enumerate(listed))

    def _alert(self, source: str, value: Any, path: str) -> Alert:
        if not isinstance(value, dict):
            raise BadAlert("not an object", on=path, next="correct fields.alerts in the config")

        def field(name: str) -> Any:
            where = getattr(self.fields, name)
            return _at(value, where) if where else None

        def words(name: str) -> str:
            return plain(field(name), f"{path}.{getattr(self.fields, name)}")

        alert_name, firing = words("name"), self._fires(words("status"), path)
        starts_at = _time(field("starts_at"), f"{path}.{self.fields.starts_at}")
        if not alert_name or starts_at is None:
            missing = "name" if not alert_name else "starts_at"
            raise BadAlert(
                f"an alert without {missing}",
                on=f"{path}.{getattr(self.fields, missing)}",
                next=f"send it, or correct fields.{missing} in the config",
            )
        ends_at = _time(field("ends_at"), f"{path}.{self.fields.ends_at}")
        service, url = words("service"), words("url")
        labels = texts(field("labels"), f"{path}.{self.fields.labels}")
        labels = {"alertname": alert_name, **({"service": service} if service else {}), **labels}
        return Alert(
            source=source,
            fingerprint=words("fingerprint")[:128] or fingerprint(labels),
            firing=firing,
            name=alert_name,
            starts_at=starts_at,
            ends_at=None if firing else ends_at,
            service=service,
            signal=words("signal"),
            severity=severity_of(words("severity")),
            summary=words("summary") or alert_name,
            labels=labels,
            url=url if url.startswith(("http://", "https://")) else "",
        )

    def _fires(self, status: str, path: str) -> bool:
        word = status.strip().lower()
        if not word or word in {one.lower() for one in self.firing}:
            return True
        if word in {one.lower() for one in self.resolved}:
            return False
        raise BadAlert(
            "a status that means neither firing nor resolved",
            on=f"{path}.{self.fields.status}: {text(status, path)[:60]!r}",
            next="add it to `firing` or `resolved` in the config",
        )


def _at(value: Any, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for step in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isascii() and step.isdigit():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


def _time(value: Any, path: str) -> datetime | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value / 1000 if value > _EPOCH_MS else value, UTC)
        except (ValueError, OverflowError, OSError):
            raise BadAlert(
                "not a time", on=f"{path}: {str(value)[:40]}", next="send RFC 3339 or Unix seconds"
            ) from None
    return moment(value, path)
