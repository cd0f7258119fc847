"""Reading irkit.yaml: every mistake names file, path, value and cure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from irkit.config.sections import Config
from irkit.errors import ConfigError
from irkit.registry import integration


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
    given = raw.get("integrations", {})
    if given is None:
        given = {}
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
