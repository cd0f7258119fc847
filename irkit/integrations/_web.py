"""What every integration that asks over HTTP has in common: address, credential, headers."""

from __future__ import annotations

import base64
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, field_validator, model_validator

from irkit.config import IntegrationConfig, SecretField
from irkit.errors import ConfigError, LookFailed
from irkit.http import Answer, Caller

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class WebConfig(IntegrationConfig):
    """An HTTP server that is asked: where it is, and what it is shown."""

    url: str = Field(description="Its address, such as `https://prometheus.example.org`.")
    token: SecretField | None = Field(None, description="Sent as `Authorization: Bearer`.")
    username: str = Field("", description="For basic authentication, with `password`.")
    password: SecretField | None = Field(None, description="For basic authentication.")
    headers: dict[str, str] = Field(
        {}, description="Further headers, such as a tenant: `X-Scope-OrgID: shop`."
    )
    secret_headers: dict[str, SecretField] = Field(
        {}, description="Further headers whose values are secrets."
    )
    ca: str = Field("", description="A file of certificates to trust instead of the public ones.")

    _transport: Any = PrivateAttr(None)

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            parts.port  # noqa: B018 - reading it is what checks it
        except ValueError:
            raise ValueError("not an address; write it like https://host:port/path") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an address; write it like https://host:port/path")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError(
                "an address holds no name, password or query; use token, or username and password"
            )
        return value.rstrip("/")

    @field_validator("headers", "secret_headers")
    @classmethod
    def _check_headers(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, text in value.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"{name!r} is no header name")
            if isinstance(text, str) and not re.fullmatch(r"[\x20-\x7e]*", text):
                raise ValueError(f"the value of {name} is not plain text")
            if isinstance(text, str) and name.lower() in ("authorization", "cookie"):
                raise ValueError(f"{name} is a secret; use token, password or secret_headers")
        return value

    @model_validator(mode="after")
    def _check_credential(self) -> Self:
        if bool(self.username) != (self.password is not None):
            raise ValueError("give username and password together")
        if self.token and self.username:
            raise ValueError("give a token, or username and password, not both")
        return self

    def anchored(self, base: Path) -> Self:
        """The same, with relative paths starting at `base`."""
        return self.model_copy(update={"ca": str(base / self.ca)}) if self.ca else self

    def over(self, transport: Any) -> Self:
        """The same, asking an httpx transport instead of the network; for tests."""
        copy = self.model_copy()
        copy._transport = transport
        return copy

    def secrets(self) -> tuple[str, ...]:
        """Every secret it shows, as text, so that none is repeated in an error."""
        held = [self.token, self.password, *self.secret_headers.values()]
        return tuple(secret.reveal() for secret in held if secret is not None)

    def call(self, method: str, path: str, *, form: dict[str, str] | None = None) -> Answer:
        """One call below `url`, with the credential.

        Raises:
            LookFailed: no answer, or a secret that cannot be read.
        """
        try:
            headers = {**self.headers, **self._credential()}
        except ConfigError as why:
            raise LookFailed(why.what, on=why.on, next=why.next) from None
        return self._caller.call(method, self.url + path, headers=headers, form=form)

    def _credential(self) -> dict[str, str]:
        shown = {name: secret.reveal() for name, secret in self.secret_headers.items()}
        if self.token:
            shown["Authorization"] = f"Bearer {self.token.reveal()}"
        if self.password:
            pair = f"{self.username}:{self.password.reveal()}".encode()
            shown["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return shown

    @cached_property
    def _caller(self) -> Caller:
        return Caller(timeout=self.timeout.total_seconds(), ca=self.ca, transport=self._transport)
