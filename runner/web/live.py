"""`/incidents/ID/stream`: server-sent events that keep an open page true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from irkit.errors import IrkitError, Refused
from runner.web import edge, view
from runner.web.site import COOKIE, Site, SiteOf, logged_in

LOOK_SECONDS = 0.5
BEAT_SECONDS = 2.0
LASTS_SECONDS = 3600.0
MOST_STREAMS = 200
router = APIRouter(include_in_schema=False)


@router.get("/incidents/{incident}/stream")
async def stream(request: Request, site: SiteOf, incident: str) -> StreamingResponse:
    """`now` events with the state whenever it changes, `beat` in between: silence is a fault.

    It ends with the session, and after an hour at the latest; the browser then asks again.
    """
    logged_in(request)
    await edge.call(site.runner.ledger.state, incident)
    if site.streams >= MOST_STREAMS:
        raise Refused("too many open pages", reason="busy", on=incident, next="it polls instead")
    return StreamingResponse(
        _events(site, incident, request.cookies.get(COOKIE, "")),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _events(site: Site, incident: str, cookie: str) -> AsyncIterator[bytes]:
    runner = site.runner
    site.streams += 1
    told: dict[str, object] = {}
    ends = time.monotonic() + LASTS_SECONDS
    beat = 0.0
    try:
        yield b"retry: 2000\n\n"
        while time.monotonic() < ends and site.login.find(cookie) and not site.closing:
            try:
                state = await edge.call(runner.ledger.state, incident)
            except IrkitError:
                return
            new = view.now_of(state, runner.runs.progress)
            now = runner.clock.now().isoformat()
            if new != told:
                told, beat = new, time.monotonic()
                yield _event("now", {**new, "now": now})
            elif time.monotonic() - beat >= BEAT_SECONDS:
                beat = time.monotonic()
                yield _event("beat", {"now": now})
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        site.streams -= 1


def _event(name: str, data: dict[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
