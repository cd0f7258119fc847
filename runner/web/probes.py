"""`/healthz`, `/readyz` and `/metrics`, for machines that look after the runner."""

from __future__ import annotations

import shutil

import sqlalchemy as sa
from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from irkit.errors import IrkitError
from runner.service import Runner
from runner.stores import database as db
from runner.web.site import SiteOf

LEAST_FREE_MB = 64
router = APIRouter(tags=["probes"])


class Ready(BaseModel):
    """Whether the runner can work, and in words what it stands on."""

    ready: bool
    database: str
    engine: str
    confinement: str


@router.get("/healthz", summary="Is the process alive?", response_class=PlainTextResponse)
async def healthz() -> str:
    """The process answers; nothing else is looked at."""
    return "ok\n"


@router.get(
    "/readyz", summary="Can it store and act?", response_model=Ready,
    responses={503: {"model": Ready, "description": "It cannot store, or cannot act."}},
)  # fmt: skip
def readyz(site: SiteOf) -> Response:
    """The database can be written, the disk has room, and what is owed is being done."""
    runner = site.runner
    database = _database(runner)
    engine = "running" if runner.effects.running else "stopped"
    missing = "; ".join(runner.confinement.missing)
    ready = Ready(
        ready=database == "writable" and engine == "running",
        database=database,
        engine=engine,
        confinement=f"missing: {missing}" if missing else "complete",
    )
    return JSONResponse(ready.model_dump(), 200 if ready.ready else 503)


@router.get("/metrics", summary="Numbers for Prometheus", response_class=PlainTextResponse)
def metrics(site: SiteOf) -> Response:
    """Counters and gauges, in Prometheus' text format."""
    return Response(site.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _database(runner: Runner) -> str:
    free = shutil.disk_usage(runner.storage).free // 2**20
    if free < LEAST_FREE_MB:
        return f"only {free} MB free"
    try:
        with runner.database.write() as connection:
            # Takes the write lock and changes no row: a read-only file or a locked one shows.
            connection.execute(sa.update(db.heads).where(sa.false()).values(seq=db.heads.c.seq))
    except (IrkitError, sa.exc.SQLAlchemyError) as why:
        return f"not writable ({type(why).__name__})"
    return "writable"
