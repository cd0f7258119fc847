"""What runs and exports left behind, served so that none of it can act as its reader."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from starlette.background import BackgroundTask

from irkit.errors import NotFound
from runner.web.site import Site, SiteOf, logged_in

# An origin of its own (no allow-same-origin): scripts in it see no cookie and no page of ours.
# Besides, nothing in it reaches any network; the file's own policy narrows scripts to its hashes.
SANDBOX = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; img-src data: blob:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; font-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
router = APIRouter(include_in_schema=False)
_EXPORTS = {
    "postmortem": ("postmortem.html", "text/html; charset=utf-8"),
    "postmortem.md": ("postmortem.md", "text/markdown; charset=utf-8"),
    "postmortem.ipynb": ("postmortem.ipynb", "application/x-ipynb+json"),
}
_OF_RUN = {
    "report": ("report.html", "text/html; charset=utf-8"),
    "notebook.ipynb": ("notebook.ipynb", "application/x-ipynb+json"),
}


@router.get("/incidents/{incident}/{name:path}", name="export")
def export(request: Request, site: SiteOf, incident: str, name: str) -> Response:
    """A post-mortem, a run's report or notebook, or its evidence; no other name exists."""
    logged_in(request)
    state = site.runner.ledger.state(incident)
    if name in _EXPORTS:
        file, media = _EXPORTS[name]
        return _file(site, Path("incidents") / state.id / file, media, f"{state.id}-{file}")
    parts = name.split("/")
    known = {run.run for run in state.runs}
    if len(parts) == 3 and parts[0] == "runs" and parts[1] in known:
        run, what = parts[1], parts[2]
        if what in _OF_RUN:
            file, media = _OF_RUN[what]
            return _file(site, Path("runs") / run / file, media, f"{run}-{file}")
        if what == "bundle.zip":
            return _bundle(site, run)
    raise NotFound("no such file", on=name[:80], next="open the incident's page")


def _file(site: Site, path: Path, media: str, called: str) -> Response:
    """The file at a path below the storage, which is made of names that the ledger knows."""
    root = site.runner.storage.resolve()
    full = (root / path).resolve()
    if not full.is_relative_to(root) or not full.is_file():
        raise NotFound(
            "not written yet", on=called, next="it is written when the run or the incident ends"
        )
    if media.startswith("text/html"):
        return FileResponse(
            full, media_type=media,
            headers={"Content-Security-Policy": SANDBOX, "Referrer-Policy": "no-referrer"},
        )  # fmt: skip
    return FileResponse(full, media_type=media, filename=called)


def _bundle(site: Site, run: str) -> Response:
    """A run's evidence as one file."""
    folder = site.runner.storage / "runs" / run / "bundle"
    if not (folder / "looks.jsonl").is_file():
        raise NotFound("no evidence yet", on=run, next="it is written while the run looks")
    with tempfile.NamedTemporaryFile(
        dir=site.runner.storage, prefix="bundle-", suffix=".zip", delete=False
    ) as made:
        path = Path(made.name)
        # Stored, not deflated: the replies in it are compressed already.
        with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and not file.is_symlink():
                    archive.write(file, str(Path(run) / file.relative_to(folder)))
    return FileResponse(
        path, media_type="application/zip", filename=f"{run}-bundle.zip",
        background=BackgroundTask(path.unlink),
    )  # fmt: skip
