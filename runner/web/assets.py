"""The style sheet and the script: two files, named by their content, so that browsers keep them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from irkit.errors import NotFound
from irkit.figures import page_css

_FOLDER = Path(__file__).parent / "static"
_MEDIA = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8"}
ASSETS = {name: (_FOLDER / name).read_bytes() for name in _MEDIA}
# The colours stand in one place, for figures and pages alike.
ASSETS["app.css"] = page_css().encode() + b"\n" + ASSETS["app.css"]
router = APIRouter(include_in_schema=False)


def address(name: str) -> str:
    """Where an asset is; it changes when the asset does."""
    return f"/static/{name}?v={hashlib.sha256(ASSETS[name]).hexdigest()[:12]}"


@router.get("/static/{name}")
def asset(name: str) -> Response:
    """One of the two."""
    if name not in ASSETS:
        raise NotFound("no such file", on=name[:80])
    return Response(
        ASSETS[name], media_type=_MEDIA[name],
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )  # fmt: skip
