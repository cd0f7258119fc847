"""Every integration, by the `type` written in the config: loaded when first used.

Others register theirs through the entry-point group `irkit.integrations`; the name of the entry
point is the type.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from irkit.errors import ConfigError

BUILTIN = {
    "alertmanager": "irkit.integrations.alertmanager:Alertmanager",
    "git": "irkit.integrations.git:Git",
    "history": "irkit.integrations.history:History",
    "http": "irkit.integrations.http_get:HttpGet",
    "jsonl": "irkit.integrations.jsonl_files:JsonlFiles",
    "prometheus": "irkit.integrations.prometheus:Prometheus",
    "script": "irkit.integrations.script:Script",
    "webhook": "irkit.integrations.webhook:Webhook",
}


@lru_cache
def integration(type_name: str) -> Any:
    """The class for a configured `type`.

    Raises:
        ConfigError: there is none of that name, or it cannot be imported.
    """
    path = known().get(type_name)
    if path is None:
        close = get_close_matches(type_name, known(), 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            "no such type of integration",
            on=repr(type_name),
            next=f"{hint}known types: {', '.join(sorted(known()))}",
        )
    module, _, name = path.partition(":")
    try:
        return getattr(import_module(module), name)
    except ImportError as why:
        raise ConfigError(
            f"cannot load the integration ({why})", on=type_name, next="install what it needs"
        ) from None


@lru_cache
def known() -> dict[str, str]:
    """Every type and where its class is, ours first."""
    theirs = {e.name: e.value for e in entry_points(group="irkit.integrations")}
    return {**theirs, **BUILTIN}
