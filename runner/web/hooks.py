"""`POST /hooks/NAME`: raw bytes in, 202 once they are on the disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from irkit.errors import BadInput, IrkitError, NotFound, Refused
from runner.web import edge
from runner.web.errors import error_of, headers_of, status_of
from runner.web.models import Error, Stored
from runner.web.site import Site, site_of

log = logging.getLogger("irkit.web")
AT_ONCE = 256
A_SECOND = 10_000.0
BURST = 20_000.0
HELD_BYTES = 256 * 2**20
READ_SECONDS = 20.0


class Gate:
    """How much may come in: so many bytes at once, so many deliveries, so many a second.

    Used from the event loop alone, so it needs no lock.  What is turned away gets a 503, for
    which every sender that retries at all retries.  Who only sends slowly takes no place: places
    are for deliveries that are there, and reading one has a time limit.
    """

    def __init__(
        self,
        *,
        at_once: int = AT_ONCE,
        a_second: float = A_SECOND,
        burst: float = BURST,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self.at_once, self.a_second, self.burst = at_once, a_second, burst
        self.held_bytes, self.held = held_bytes, 0
        self._inside, self._left, self._at = 0, burst, time.monotonic()

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Gives a function that counts bytes as they come; they are given back at the end."""
        mine = 0

        def more(size: int) -> None:
            nonlocal mine
            if self.held + size > self.held_bytes:
                raise _busy()
            mine += size
            self.held += size

        try:
            yield more
        finally:
            self.held -= mine

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those that are being stored.

        Raises:
            Refused: reason `busy`.
        """
        now = time.monotonic()
        self._left = min(self.burst, self._left + (now - self._at) * self.a_second)
        self._at = now
        if self._inside >= self.at_once or self._left < 1:
            raise _busy()
        self._left -= 1
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1


def _busy() -> Refused:
    return Refused("too much at once", reason="busy", on="hooks", next="send it again in a moment")


router = APIRouter(tags=["hooks"])
_ERRORS = {
    400: "Its sender does not document such a body; what and where is named.",
    401: "It is not authentic.",
    403: "It came from a browser.",
    404: "No source of that name is configured.",
    413: "The body is larger than `server.max_body_kb`.",
    503: "Our own trouble: the disk, or too much at once. Send it again.",
}


@router.post(
    "/hooks/{name}",
    status_code=202,
    response_model=Stored,
    responses={code: {"model": Error, "description": text} for code, text in _ERRORS.items()},
    summary="Deliver alerts",
    openapi_extra={"requestBody": {"content": {"*/*": {}}, "description": "As the sender sends."}},
)
async def hook(name: str, request: Request) -> Response:
    """Deliver alerts from the source of that name; 202 means that they are stored durably."""
    site = site_of(request)
    source = name if name in site.runner.intake.hooks else "unknown"
    try:
        with site.gate.holding() as more:
            body = await _body(request, site.runner.config.server.max_body_kb * 1024, more)
            with site.gate.place():
                headers = dict(request.headers)
                future = await edge.call(site.runner.intake.receive, name, headers, body)
                number = await edge.stored(future)
    except ClientDisconnect:
        return _count(site, source, "gone", Response(status_code=400))
    except IrkitError as why:
        status = status_of(why)
        answer = JSONResponse(error_of(why).model_dump(), status, headers_of(status))
        return _count(site, source, _result(why), answer)
    except Exception:  # boundary: whatever is wrong with us, the sender must try again
        log.exception("a delivery for %s could not be stored", source)
        error = Error(what="it could not be stored", on=source, next="send it again")
        return _count(
            site, source, "trouble", JSONResponse(error.model_dump(), 503, headers_of(503))
        )
    site.runner.delivered()
    return _count(site, source, "stored", JSONResponse({"delivery": number}, 202))


async def _body(request: Request, most: int, more: Callable[[int], None]) -> bytes:
    """The raw body, refused as soon as it is larger, or comes slower, than it may."""
    too_large = Refused(
        "the body is too large", reason="too_large", on=f"more than {most} bytes",
        next="send less at once, or raise server.max_body_kb",
    )  # fmt: skip
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise too_large
                more(len(part))
                parts.append(part)
    except TimeoutError:
        raise Refused(
            "the body came too slowly", reason="too_slow", on=f"more than {READ_SECONDS:g} s",
            next="send it again",
        ) from None  # fmt: skip
    return b"".join(parts)


def _result(why: IrkitError) -> str:
    if isinstance(why, Refused):
        return why.reason if why.reason in ("too_large", "too_slow", "busy") else "refused"
    if isinstance(why, NotFound):
        return "unknown"
    return "unreadable" if isinstance(why, BadInput) else "trouble"


def _count(site: Site, source: str, result: str, answer: Response) -> Response:
    site.metrics.deliveries.labels(source=source, result=result).inc()
    return answer
