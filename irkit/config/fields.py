"""The kinds of value a config is written in: durations, secrets, matchers, names."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from irkit.errors import BadQuery, ConfigError
from irkit.model.matchers import Matcher, parse_matchers
from irkit.model.window import format_duration, parse_duration
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
