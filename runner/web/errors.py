"""Errors as HTTP: one table from irkit's errors to a status, one shape, for machine and page."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from irkit.errors import BadInput, IrkitError, NotFound, Refused
from runner.web.models import Error

log = logging.getLogger("irkit.web")
RETRY_AFTER = "5"
_REFUSED = {
    "unauthenticated": 401,
    "plan_changed": 409,
    "decided": 409,
    "expired": 409,
    "resolved": 409,
    "too_fast": 429,
    "too_large": 413,
    "busy": 503,
    "too_slow": 503,
}
_MACHINES = ("/api/", "/hooks/", "/healthz", "/readyz", "/metrics")


def status_of(why: IrkitError) -> int:
    """The status that an error is answered with."""
    if isinstance(why, Refused):
        return _REFUSED.get(why.reason, 403)
    if isinstance(why, NotFound):
        return 404
    if isinstance(why, BadInput):
        return 400
    return 503


def error_of(why: IrkitError) -> Error:
    """An error as the API says it: what, on what, what next, and the reason's fixed word."""
    return Error(what=why.what, on=why.on, next=why.next, reason=getattr(why, "reason", ""))


def headers_of(status: int, *, retry_after: str = RETRY_AFTER) -> dict[str, str]:
    """The headers that go with a status."""
    if status in (429, 503):
        return {"Retry-After": retry_after}
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}


def for_machine(path: str) -> bool:
    """Whether a path is for machines: it answers JSON, and no browser session counts there."""
    return path.startswith(_MACHINES)


def install(app: FastAPI) -> None:
    """Answer every error in its shape: JSON for machines, a page for people."""

    def answer(
        request: Request, status: int, error: Error, headers: dict[str, str] | None = None
    ) -> Response:
        headers = headers_of(status) | (headers or {})
        if for_machine(request.url.path):
            return JSONResponse(error.model_dump(), status, headers)
        pages: Any = request.app.state.site.pages
        page: Response = pages.problem(request, status, error)
        page.headers.update({k: v for k, v in headers.items() if k != "WWW-Authenticate"})
        return page

    def known(request: Request, why: Exception) -> Response:
        assert isinstance(why, IrkitError)
        return answer(request, status_of(why), error_of(why))

    def wrong(request: Request, why: Exception) -> Response:
        assert isinstance(why, RequestValidationError)
        # The value itself is not repeated: it is foreign, and may be a secret.
        first = why.errors()[0] if why.errors() else {"loc": (), "msg": "not understood"}
        where = ".".join(str(part) for part in first["loc"])[:200]
        what = str(first["msg"])[:200]
        return answer(request, 422, Error(what=what, on=where, next="correct it and send it again"))

    def http(request: Request, why: Exception) -> Response:
        assert isinstance(why, HTTPException)
        what = HTTPStatus(why.status_code).phrase.lower()
        return answer(
            request, why.status_code,
            Error(what=what, on=request.url.path[:200], next="see /api/v1/openapi.json"),
            dict(why.headers or {}),
        )  # fmt: skip

    def broken(request: Request, why: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=why)
        error = Error(what="something broke here", on=request.url.path[:200],
                      next="the runner's log has the details; try again")  # fmt: skip
        return answer(request, 500, error)

    app.add_exception_handler(IrkitError, known)
    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, broken)
