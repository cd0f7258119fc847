"""docs/events.md, from `irkit.model.event` and from the code that writes each kind."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_type_hints

import msgspec

from irkit.model import event
from pages import NOTICE, doc, prose, table

ROOT = Path(__file__).resolve().parents[2]


def page() -> str:
    """The whole page."""
    kinds, writers = event.kinds(), _writers()
    parts = [
        NOTICE,
        "# Events",
        "The ledger of an incident is a list of these events, each chained to the one before by"
        " SHA-256 and never changed. Everything that is shown about an incident is computed from"
        " them. Why these kinds: [ADR 1](adr/0001-event-kinds.md).",
        "Each event has `incident`, `seq` (1, 2, 3, ...), `key` (unique within the incident;"
        " appending the same key twice stores it once), `at` (when it happened), `recorded` (when"
        " it was stored; both UTC), `by` (`person:NAME`, `run:ID`, `hook:NAME` or `system`), the"
        " body with its `kind`, `prev` and `hash`. See them with `irkit show IR-1 --json`, or over"
        " HTTP at `/api/v1/incidents/IR-1/events`.",
        table(
            ("kind", "says", "written in"),
            [
                (f"[`{kind}`](#{kind.replace('.', '')})", _first(cls), _where(writers, cls))
                for kind, cls in kinds.items()
            ],
        ),
    ]
    for kind, cls in kinds.items():
        hints = get_type_hints(cls)
        rows = [
            (f"`{field.name}`", f"`{_type(hints[field.name])}`", _default(field))
            for field in msgspec.structs.fields(cls)
        ]
        parts += [f"## {kind}", prose(doc(cls)), table(("field", "type", "default"), rows)]
    return "\n\n".join(parts) + "\n"


def _first(cls: type) -> str:
    return prose(doc(cls).split("\n\n")[0])


def _where(writers: dict[str, list[str]], cls: type) -> str:
    return ", ".join(f"`{name}`" for name in writers.get(cls.__name__, ())) or "nothing yet"


def _writers() -> dict[str, list[str]]:
    """The files of the runner that make each kind of event, by class name."""
    names = {cls.__name__ for cls in event.kinds().values()}
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "runner").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            for part in ast.walk(node.func):
                name = getattr(part, "attr", getattr(part, "id", ""))
                if name in names:
                    found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return {name: sorted(files) for name, files in found.items()}


def _type(hint: object) -> str:
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return re.sub(r"\b(?:irkit\.model\.\w+|datetime)\.", "", text)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not msgspec.NODEFAULT:
        return f"`{field.default!r}`" if field.default != "" else "empty"
    if field.default_factory is not msgspec.NODEFAULT:
        return "empty"
    return "required"
