"""`/login` and `/logout`: a token, or a one-time link, traded for a cookie."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from irkit.errors import Refused
from runner.web.errors import error_of, status_of
from runner.web.models import Error
from runner.web.site import (
    COOKIE,
    Site,
    SiteOf,
    check_csrf,
    client_of,
    logged_in,
    person_of_token,
)

PRE_COOKIE = "irkit-login"
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/login")
def login_page(request: Request, site: SiteOf, once: str = "", next: str = "/") -> Response:
    """The form; or, with a one-time token, straight in."""
    if once:
        cookie = site.login.trade(once)
        if cookie is None:
            return _login_form(
                request, site, next, 401,
                Error(what="this link was used already or is old", next="log in with your token"),
            )  # fmt: skip
        return _entered(site, cookie, next)
    return _login_form(request, site, next)


@router.post("/login")
def login(
    request: Request,
    site: SiteOf,
    token: Annotated[str, Form(max_length=1000)] = "",
    csrf: Annotated[str, Form(max_length=100)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Log in with one's own token."""
    known = request.cookies.get(PRE_COOKIE, "")
    if not known or not secrets.compare_digest(known.encode(), csrf.encode("utf-8", "replace")):
        return _login_form(
            request, site, next, 403, Error(what="the form was old", next="send it again")
        )
    try:
        person = person_of_token(request, token)
    except Refused as why:
        answer = _login_form(request, site, next, status_of(why), error_of(why))
        if why.reason == "too_fast":
            answer.headers["Retry-After"] = str(site.login.wait(client_of(request)))
        return answer
    return _entered(site, site.login.open(person), next)


@router.post("/logout")
def logout(
    request: Request, site: SiteOf, csrf: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    """End the session."""
    check_csrf(logged_in(request), csrf)
    site.login.close(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=site.secure)
    return answer


def _entered(site: Site, cookie: str, next: str) -> Response:
    answer = RedirectResponse(_local(next), 303)
    answer.set_cookie(
        COOKIE,
        cookie,
        httponly=True,
        samesite="strict",
        secure=site.secure,
        max_age=int(site.login.lasts.total_seconds()),
    )
    answer.delete_cookie(PRE_COOKIE, httponly=True, samesite="strict", secure=site.secure)
    return answer


def _login_form(
    request: Request, site: Site, next: str, status: int = 200, error: Error | None = None
) -> Response:
    csrf = request.cookies.get(PRE_COOKIE) or secrets.token_urlsafe(24)
    answer = site.pages.page(
        request, "login.html", status, next=_local(next), csrf=csrf, error=error
    )
    answer.set_cookie(
        PRE_COOKIE, csrf, httponly=True, samesite="strict", secure=site.secure, max_age=3600
    )
    return answer


def _local(next: str) -> str:
    """A path of our own to go on to; anything else is the list."""
    plain = next.startswith("/") and not next.startswith(("//", "/\\"))
    return next if plain and next.isprintable() else "/"
