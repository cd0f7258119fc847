"""Links lead somewhere, and snippets are what they say they are."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
import yaml

from irkit.config import Config, parse
from runner.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_INLINE = re.compile(r"`[^`\n]*`")
_FOLDED = re.compile(r"[^\w\- ]")


def _pages() -> list[Path]:
    """Every Markdown page of the project, but for those that tests compare with."""
    found = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in found.stdout.split() if not name.startswith("tests/")]


PAGES = _pages()


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _anchors(path: Path) -> set[str]:
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    heads = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {_FOLDED.sub("", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_relative_links_lead_somewhere(page: Path) -> None:
    text = _INLINE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    dead = []
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        inside = target.exists() and target.is_relative_to(ROOT)
        if not inside or (anchor and anchor not in _anchors(target)):
            dead.append(link)
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_files_that_are_named_exist(page: Path) -> None:
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    named = re.findall(r"`((?:irkit|runner|tests|tools|templates)/[\w./*-]+)`", text)
    base = page.parent if "init" in page.parts else ROOT  # what init copies speaks of itself
    assert not [name for name in named if not list(base.glob(name.rstrip("/")))]


def _snippets() -> Iterator[tuple[str, str, str]]:
    for page in PAGES:
        for number, found in enumerate(_FENCE.finditer(page.read_text(encoding="utf-8")), 1):
            indent, language, body = found.groups()
            lines = [line.removeprefix(indent) for line in body.splitlines()]
            yield f"{_named(page)}:{number}", language, "\n".join(lines)


SNIPPETS = [pytest.param(lang, text, id=name) for name, lang, text in _snippets()]


def test_there_are_pages_and_snippets() -> None:
    assert ROOT / "README.md" in PAGES
    assert {"python", "yaml", "console"} <= {str(one.values[0]) for one in SNIPPETS}


@pytest.mark.parametrize(("language", "text"), SNIPPETS)
def test_a_snippet_parses(language: str, text: str) -> None:
    match language:
        case "python":
            ast.parse(text)
        case "yaml":
            value = yaml.safe_load(text)
            assert value is not None
            if isinstance(value, dict) and set(value) <= set(Config.model_fields):
                parse(text, file=ROOT / "irkit.yaml")
        case "json":
            json.loads(text)
        case "console":
            for line in text.replace("\\\n", " ").splitlines():
                _check_command(line)
        case _:
            assert language in ("", "text", "markdown"), "name the snippet's language"


def _check_command(line: str) -> None:
    """A shell line: words that a shell can read, and commands and options that irkit has."""
    for part in re.split(r"&&|\|", line):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words[:1] == ["make"]:
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        if not words or Path(words[0]).name != "irkit":
            ours = [word for word in words if word.startswith(("tools/", "tests/"))]
            assert all((ROOT / word).exists() for word in ours), line
            continue
        known = [option for parameter in cli.params for option in parameter.opts]
        while len(words) > 1 and words[1] in known and words[1] not in ("--help", "--version"):
            del words[1:3]
        if words[1] in known:
            continue
        assert words[1] in COMMANDS, line
        command = cli.get_command(click.Context(cli), words[1])
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        for word in words[2:]:
            if word.startswith("-"):
                assert word.split("=")[0] in options | {"--help", "-h"}, line
