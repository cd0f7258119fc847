"""Notebook files: read what may be anything, check what a cell may have touched, keep the rest."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from irkit.errors import BadInput

_importing = threading.Lock()
_MOST = 1 << 28  # bytes of notebook that the runner is ready to read


@contextlib.contextmanager
def without(*modules: str) -> Iterator[None]:
    """Import something as if these optional modules were not installed; for the sake of speed."""
    with _importing:
        absent = [name for name in modules if name not in sys.modules]
        sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
        try:
            yield
        finally:
            for name in absent:
                del sys.modules[name]


def nbformat() -> ModuleType:
    """nbformat, imported without building a grammar of URLs first (jsonschema: one second)."""
    if "nbformat" in sys.modules:
        return sys.modules["nbformat"]
    with without("rfc3987_syntax"):
        import nbformat

        return nbformat


def read(path: str | Path) -> dict[str, Any]:
    """A notebook file as nbformat 4's mapping, upgraded where it is older.

    Raises `BadInput` naming the file if it cannot be read or is no notebook.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"the runbook cannot be read ({error.strerror})", on=str(path), next="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise _not_one(path, str(error)) from error
    library = nbformat()
    try:
        notebook = library.reads(json.dumps(_with_ids(json.loads(text))), as_version=4)
        library.validate(notebook)
    except (ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        raise _not_one(path, str(error)) from error
    except library.ValidationError as error:
        raise _not_one(path, error.message) from error
    return notebook


def _with_ids(notebook: dict[str, Any]) -> dict[str, Any]:
    """Give each cell an id of its own where the format (4.5) wants one and its author forgot."""
    if (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5):
        seen: set[str] = set()
        for number, cell in enumerate(notebook["cells"]):
            if cell.get("id") in seen | {None}:
                cell["id"] = f"cell-{number}"
            seen.add(cell["id"])
    return notebook


def _not_one(path: str | Path, why: str) -> BadInput:
    line = why.strip().splitlines()[0][:200] if why.strip() else "it is empty"
    return BadInput(f"this is not a Jupyter notebook ({line})", on=str(path), next="check the file")


def read_untrusted(path: str) -> dict[str, Any] | None:
    """A notebook from where a cell could write: never through a link, never a pipe, never huge.

    None if it is not there or is no valid notebook.
    """
    library = nbformat()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1 or about.st_size > _MOST:
                return None
            notebook = json.loads(file.read(_MOST))
        library.validate(notebook)
    except (OSError, ValueError, RecursionError, library.ValidationError):
        return None
    return notebook if isinstance(notebook, dict) else None


def keep(path: str, content: bytes) -> None:
    """Write a file once, whole and for good (0444)."""
    unfinished = path + ".part"
    with open(unfinished, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o444)
    os.rename(unfinished, path)
