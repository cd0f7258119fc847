"""`POST /hooks/NAME`: raw bytes in, 202 once they are on the disk."""

from __future__ import annotations

import logging
import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from irkit.errors import BadInput, IrkitError, NotFound, Refused
from runner.web import edge
from runner.web.errors import error_of, headers_of, status_of
from runner.web.models import Error, Stored
from runner.web.site import Site, site_of

log = logging.getLogger("irkit.web")
AT_ONCE = 128
A_SECOND = 2000.0
BURST = 4000.0


class Gate:
    """How much may come in: so many deliveries at once, so many bytes of them, so many a second.

    Used from the event loop alone, so it needs no lock.  What is turned away gets a 503, for
    which every sender that retries at all retries.
    """

    def __init__(
        self, *, at_once: int = AT_ONCE, a_second: float = A_SECOND, burst: float = BURST
    ) -> None:
        self.at_once, self.a_second, self.burst = at_once, a_second, burst
        self.inside, self._left, self._at = 0, burst, time.monotonic()

    def __enter__(self) -> Gate:
        now = time.monotonic()
        self._left = min(self.burst, self._left + (now - self._at) * self.a_second)
        self._at = now
        if self.inside >= self.at_once or self._left < 1:
            raise Refused(
                "too much at once", reason="busy", on="hooks", next="send it again in a moment"
            )
        self._left -= 1
        self.inside += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.inside -= 1


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
        with site.gate:
            body = await _body(request, site.runner.config.server.max_body_kb * 1024)
            future = await edge.call(site.runner.intake.receive, name, dict(request.headers), body)
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


async def _body(request: Request, most: int) -> bytes:
    """The raw body, refused as soon as it is larger than it may be."""
    too_large = Refused(
        "the body is too large", reason="too_large", on=f"more than {most} bytes",
        next="send less at once, or raise server.max_body_kb",
    )  # fmt: skip
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def _result(why: IrkitError) -> str:
    if isinstance(why, Refused):
        return {"too_large": "too_large", "busy": "busy"}.get(why.reason, "refused")
    if isinstance(why, NotFound):
        return "unknown"
    return "unreadable" if isinstance(why, BadInput) else "trouble"


def _count(site: Site, source: str, result: str, answer: Response) -> Response:
    site.metrics.deliveries.labels(source=source, result=result).inc()
    return answer
