"""Where runbooks are found: beside the config first, then those that are shipped."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from irkit.errors import NotFound
from runner.shipped import shipped


class Runbooks:
    """Finds a runbook by the name or path that a route or a person gives."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self.folders = (*folders, shipped("notebooks"))

    def path(self, name: str) -> Path:
        """The notebook of that name, or the file at that path.

        Raises:
            NotFound: there is none; the closest name is suggested.
        """
        given = Path(name)
        if given.suffix == ".ipynb" and given.is_absolute() and given.is_file():
            return given
        for folder in self.folders:
            found = (folder / name).with_suffix(".ipynb")
            if found.is_file() and found.resolve().is_relative_to(folder.resolve()):
                return found
        known = [p.stem for p in self.all()]
        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known) or 'none'}"
        raise NotFound("no such runbook", on=name, next=hint)

    def readable(self, path: Path) -> tuple[str, ...]:
        """What a run of this runbook may read beside it: its folder, if that is one of ours."""
        ours = any(path.resolve().is_relative_to(f.resolve()) for f in self.folders if f.exists())
        return (str(path.parent),) if ours else ()

    def all(self) -> list[Path]:
        """Every runbook, each name once, a team's own before the shipped."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in sorted(folder.glob("*.ipynb")):
                found.setdefault(path.stem, path)
        return sorted(found.values(), key=lambda p: p.stem)
