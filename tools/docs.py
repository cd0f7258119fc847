"""Write the reference pages from the code, or check that they are up to date.

python tools/docs.py            writes the pages that PAGES names
python tools/docs.py --check    changes nothing; exit code 1 if a page is stale
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

from pages import commands, configuration, decisions, errors, events, files

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration.page,
    "commands.md": commands.page,
    "errors.md": errors.page,
    "events.md": events.page,
    "files.md": files.page,
    "adr/README.md": decisions.page,
}


def main(arguments: list[str]) -> int:
    """Write every page, or with `--check` say which ones are stale."""
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = 0
    for name, page in PAGES.items():
        path, wanted = DOCS / name, page()
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found == wanted:
            continue
        if arguments:
            stale += 1
            lines = unified_diff(found.splitlines(), wanted.splitlines(), name, "from the code")
            print("\n".join(line.rstrip("\n") for line in lines), file=sys.stderr)
        else:
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote docs/{name}")
    if stale:
        print(f"{stale} stale; write them with: python tools/docs.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
