"""docs/configuration.md, from the models of `irkit.config` and of every integration."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from irkit.config import Config, IntegrationConfig
from irkit.model.matchers import Matcher
from irkit.model.window import format_duration
from irkit.ports import AlertSource, MetricsSource, Source, Target
from irkit.registry import BUILTIN, integration
from irkit.secret import Secret
from pages import NOTICE, doc, prose, table

PORTS = (
    (MetricsSource, "answers metrics looks"),
    (Source, "answers looks"),
    (AlertSource, "receives alerts"),
    (Target, "carries out actions"),
)
INTRO = """\
irkit reads one YAML file: `irkit.yaml` in the current folder, else the file that `--config` or the
variable `IRKIT_CONFIG` names. [irkit.example.yaml](../irkit.example.yaml) has a working example of
every section. `irkit check` reads the file and names every mistake at once, with file, path, value
and cure; `irkit check --connect` tries every integration too. An unknown key is a mistake, and so
is a key that is given twice.

- A **duration** needs a unit: `30s`, `15m`, `1h30m`, `2d`.
- A **secret** is never written into the file: write `env:NAME` for a variable of the runner's
  environment or `file:PATH` for a file that the runner can read. It is read at each use.
- **Matchers** are conditions as Alertmanager writes them, such as
  `severity="critical", service=~"shop|pay"`. All must hold; regular expressions are anchored; a
  label that is absent counts as empty.
- A **path** is relative to the config file.
- A **name** is letters, digits, `.`, `_` and `-`."""


def page() -> str:
    """The whole page."""
    parts = [NOTICE, "# Configuration", INTRO, "## Sections"]
    fields = {n: f for n, f in Config.model_fields.items() if not f.exclude}
    parts.append(
        table(
            ("section", "what it holds"),
            [
                (f"[`{name}`](#{name})", field.description or prose(doc(_model(field.annotation))))
                for name, field in fields.items()
            ],
        )
    )
    for name, field in fields.items():
        parts += [f"## {name}", field.description or prose(doc(_model(field.annotation)))]
        if name == "integrations":
            parts += _integrations()
        else:
            parts += _section(name, field.annotation)
    return "\n\n".join(parts) + "\n"


def _section(path: str, annotation: Any) -> list[str]:
    """A section's table, and those of the sections in it."""
    model = _model(annotation)
    assert model is not None
    here = path if _held(annotation) is None else f"{path}{_held(annotation)}"
    parts = [f"Keys of `{here}`:", _table(model)]
    for name, field in model.model_fields.items():
        if _model(field.annotation) is not None:
            inner = f"{here}.{field.alias or name}"
            parts += [f"### {inner}", prose(doc(_model(field.annotation)))]
            parts += _section(inner, field.annotation)
    return parts


def _integrations() -> list[str]:
    common = "Every integration has a name of your choice, a `type`, and these keys:"
    parts = [common, _table(IntegrationConfig)]
    shared = set(IntegrationConfig.model_fields)
    parts.append(
        table(
            ("type", "what it does"),
            [(f"[`{kind}`](#type-{kind})", _does(integration(kind))) for kind in sorted(BUILTIN)],
        )
    )
    for kind in sorted(BUILTIN):
        cls = integration(kind)
        own = {n: f for n, f in cls.model_fields.items() if n not in shared}
        parts += [f"### type: {kind}", prose(doc(cls)), f"It {_does(cls)}.", _table(cls, own)]
        for name, field in own.items():
            model = _model(field.annotation)
            if model is not None:
                parts += [f"Keys of `{name}`:", _table(model)]
    return parts


def _does(cls: type) -> str:
    found = [text for port, text in PORTS if _is(cls, port)]
    if "answers metrics looks" in found:
        found.remove("answers looks")
    more = [f"looks: {', '.join(cls.ops)}"] if hasattr(cls, "ops") else []  # type: ignore[attr-defined]
    more += [f"actions: {', '.join(cls.actions)}"] if hasattr(cls, "actions") else []
    return " and ".join(found) + (f" ({'; '.join(more)})" if more else "")


def _is(cls: type, port: type) -> bool:
    members = [name for name in vars(port) if not name.startswith("_")]
    members += list(getattr(port, "__annotations__", {}))
    return all(hasattr(cls, name) for name in members)


def _table(model: type[BaseModel], fields: dict[str, FieldInfo] | None = None) -> str:
    rows = []
    for name, field in (fields or model.model_fields).items():
        rows.append(
            (f"`{field.alias or name}`", _type(field), _default(field), field.description or "")
        )
    return table(("key", "type", "default", "what it is"), rows)


def _type(field: FieldInfo) -> str:
    bounds = {type(one).__name__: one for one in field.metadata}
    text = _named(field.annotation)
    low = getattr(bounds.get("Ge"), "ge", None)
    high = getattr(bounds.get("Le"), "le", None)
    over = getattr(bounds.get("Gt"), "gt", None)
    if over is not None:
        text += f" above {over}"
    if low is not None and high is not None:
        return f"{text} from {low} to {high}"
    if low is not None:
        text += f", at least {low}"
    return text + (f", at most {high}" if high is not None else "")


_PLAIN = {
    timedelta: "duration", Secret: "secret", Path: "path", str: "text", int: "whole number",
    float: "number", bool: "true or false", Any: "mapping",
}  # fmt: skip


def _named(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return "name" if inner[0] is str else _named(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_named(one) for one in inner if one is not NoneType))
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in inner)
    if origin is tuple and inner[0] is Matcher:
        return "matchers"
    if origin is list:
        return f"list of {_named(inner[0])}"
    if origin is dict:
        return f"{_named(inner[0])} to {_named(inner[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return _PLAIN[annotation]


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.default_factory is not None:
        return "see below"
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value is None or value in ("", [], {}, ()):
        return "none"
    if isinstance(value, list):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{value}`" if not isinstance(value, BaseModel) else "see below"


def _model(annotation: Any) -> type[BaseModel] | None:
    """The section behind an annotation, also inside a list or a mapping; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for one in get_args(annotation) if (m := _model(one))), None)


def _held(annotation: Any) -> str | None:
    """How the section's path goes on where it is one of many."""
    return {list: "[]", dict: ".NAME"}.get(get_origin(annotation) or type(None))
