"""The example config, and what `irkit init` makes, are right as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import nbformat
import yaml
from pydantic import BaseModel

from irkit.config import Config, load
from irkit.evidence.redact import secrets_in
from irkit.registry import BUILTIN

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "irkit.example.yaml"
IRKIT = [sys.executable, "-c", "from runner.cli import main; main()"]


def _run(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True,
        timeout=180, check=False,
    )  # fmt: skip


def _tokens() -> dict[str, str]:
    config = load(EXAMPLE)
    found = [*secrets_in(config.integrations), *secrets_in(list(config.people.values()))]
    return {s.reference.removeprefix("env:"): f"a-token-of-{s.reference[4:]}" for s in found}


def test_the_example_passes_irkit_check() -> None:
    tokens = _tokens()
    assert len(tokens) == 5
    assert all(name in EXAMPLE.read_text(encoding="utf-8").split("integrations:")[0]
               for name in tokens)  # fmt: skip
    done = _run(*IRKIT, "-c", str(EXAMPLE), "check", cwd=ROOT, **tokens)
    assert done.returncode == 0, done.stderr
    assert "all is well" in done.stdout


def test_the_example_says_which_person_has_no_token() -> None:
    tokens = {**_tokens(), "PRIMARY_TOKEN": ""}
    done = _run(*IRKIT, "-c", str(EXAMPLE), "check", cwd=ROOT, **tokens)
    assert done.returncode == 0, "a repository is checked where its secrets are not"
    assert "people.primary: a secret is empty or not set: env:PRIMARY_TOKEN" in done.stdout


def test_the_example_uses_every_type_of_integration() -> None:
    assert {one.type for one in load(EXAMPLE).integrations.values()} == set(BUILTIN)


def test_every_key_occurs_in_the_example() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    missing = [path for path, name in _keys(Config, "") if not re.search(rf"\b{name}: ?", text)]
    for one in load(EXAMPLE).integrations.values():
        missing += [p for p, n in _keys(type(one), one.type) if not re.search(rf"\b{n}: ?", text)]
    assert not missing


def _keys(model: type[BaseModel], prefix: str) -> list[tuple[str, str]]:
    found = []
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        called = field.alias or name
        found.append((f"{prefix}.{called}", called))
        for inner in _models(field.annotation):
            found += _keys(inner, f"{prefix}.{called}")
    return found


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for one in get_args(annotation) for model in _models(one)]


def test_what_init_makes_passes_its_own_check_and_tests(tmp_path: Path) -> None:
    made = tmp_path / "my-runbooks"
    done = _run(*IRKIT, "init", str(made), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    files = {p.relative_to(made).as_posix() for p in made.rglob("*") if p.is_file()}
    assert files >= {
        "irkit.yaml", "README.md", ".gitignore", "requirements.txt", "tests/alert.json",
        "tests/test_runbooks.py", ".github/workflows/runbooks.yml", "notebooks/my-error-rate.ipynb",
    }  # fmt: skip
    assert not [name for name in files if "dot-" in name]
    yaml.safe_load((made / ".github/workflows/runbooks.yml").read_text(encoding="utf-8"))
    checked = _run(*IRKIT, "check", cwd=made)
    assert checked.returncode == 0, checked.stderr
    tested = _run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=made)
    assert tested.returncode == 0, tested.stdout
    assert "passed" in tested.stdout


def test_the_made_tests_find_what_they_are_for(tmp_path: Path) -> None:
    made = tmp_path / "mine"
    assert _run(*IRKIT, "init", str(made), cwd=tmp_path).returncode == 0
    runbook, alert = made / "notebooks/my-error-rate.ipynb", made / "tests/alert.json"
    notebook = nbformat.read(runbook, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    parameters = next(cell for cell in code if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = re.sub("  #.*", "", parameters.source, count=1)
    code[-1].outputs = [nbformat.v4.new_output("stream", text="customer 4711 failed")]
    nbformat.write(notebook, runbook)
    text = alert.read_text(encoding="utf-8")
    alert.write_text(text.replace("HighErrorRate", "DiskFull"), encoding="utf-8")
    tested = _run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=made)
    assert tested.returncode == 1, tested.stdout
    assert "3 failed" in tested.stdout
    for words in ("clear the outputs", "say beside each parameter", "'general-triage'"):
        assert words in tested.stdout
