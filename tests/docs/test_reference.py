"""The generated pages are as the code is, and nothing is missing in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel

from irkit import errors
from irkit.config import Config
from irkit.model.event import kinds
from irkit.registry import BUILTIN, integration
from runner.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
COMMAND_PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")


def test_no_page_is_stale() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/docs.py"), "--check"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _section(page: str, heading: str) -> str:
    """A page's part from a heading to the next one of the same or a higher rank."""
    level = heading.split(" ")[0]
    lines = page.splitlines()
    start = lines.index(heading)
    ranks = tuple("#" * n + " " for n in range(1, len(level) + 1))
    rest = [n for n, line in enumerate(lines) if n > start and line.startswith(ranks)]
    return "\n".join(lines[start : rest[0] if rest else len(lines)])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_its_options_are_documented(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    text = _section(COMMAND_PAGE, f"## irkit {name}")
    assert re.search(rf"irkit .*\b{name}\b", text.split("Example:")[1]), "its help has no example"
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} does not say what it is"
            assert all(option in text for option in parameter.opts)


def _sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []

    def walk(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found.append(annotation)
            for field in annotation.model_fields.values():
                walk(field.annotation)
        for one in get_args(annotation):
            walk(one)

    walk(model)
    return found


@pytest.mark.parametrize("model", _sections(Config), ids=lambda model: model.__name__)
def test_every_setting_is_documented(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        if not field.exclude:
            assert f"`{name}`" in CONFIGURATION, f"{model.__name__}.{name}"


@pytest.mark.parametrize("kind", sorted(BUILTIN))
def test_every_type_of_integration_is_documented(kind: str) -> None:
    text = _section(CONFIGURATION, f"### type: {kind}")
    cls = integration(kind)
    for name, field in cls.model_fields.items():
        if name not in ("type", "timeout"):
            assert f"| `{field.alias or name}` |" in text, f"{kind}.{name}"
    for word in (*getattr(cls, "ops", ()), *getattr(cls, "actions", ())):
        assert word in text


def test_every_kind_of_event_is_documented() -> None:
    page = (ROOT / "docs/events.md").read_text(encoding="utf-8")
    for kind, cls in kinds().items():
        text = _section(page, f"## {kind}")
        assert all(f"| `{name}` |" in text for name in cls.__struct_fields__)


def test_every_error_is_documented() -> None:
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    known = [e for e in vars(errors).values() if isinstance(e, type)]
    assert len(known) > 10
    for kind in known:
        assert f"| `{kind.__name__}` |" in page


def test_every_integration_has_a_row_that_says_what_it_was_tested_against() -> None:
    for name in ("docs/integrations.md", "README.md"):
        page = (ROOT / name).read_text(encoding="utf-8")
        for kind in BUILTIN:
            assert f"| `{kind}` |" in page, f"{kind} is not in {name}"


def _in_code(pattern: str) -> set[str]:
    found: set[str] = set()
    for folder in ("irkit", "runner"):
        for path in (ROOT / folder).rglob("*.py"):
            found.update(re.findall(pattern, path.read_text(encoding="utf-8")))
    return found


def test_every_environment_variable_is_documented() -> None:
    known = _in_code(r"\bIRKIT_[A-Z_]+\b")
    assert {"IRKIT_CONFIG", "IRKIT_TOKEN"} <= known
    assert not [name for name in known if f"| `{name}` |" not in COMMAND_PAGE]


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    code = (ROOT / "runner/web/metrics.py").read_text(encoding="utf-8")
    known = set(re.findall(r"\"(irkit_[a-z_]+)\"", code))
    assert {"irkit_deliveries", "irkit_runs"} <= known
    assert not [name for name in known if f"| `{name}" not in page]
