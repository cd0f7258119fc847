"""What the pages and the API share: the runner, who is logged in, and the checks in front."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from irkit.errors import Refused
from runner.service import Runner
from runner.web.login import Login, Session

if TYPE_CHECKING:
    from runner.web.hooks import Gate
    from runner.web.metrics import Metrics
    from runner.web.render import Pages

COOKIE = "irkit"
_bearer = HTTPBearer(
    auto_error=False, scheme_name="token", description="A person's own token, from `people`."
)
_cookie = APIKeyCookie(
    name=COOKIE, auto_error=False, scheme_name="session",
    description="A logged-in browser; what changes something also needs `X-CSRF-Token`.",
)  # fmt: skip


class Site:
    """Everything a request needs; one for each application."""

    def __init__(
        self, runner: Runner, login: Login, metrics: Metrics, gate: Gate, pages: Pages
    ) -> None:
        self.runner, self.login, self.metrics = runner, login, metrics
        self.gate, self.pages = gate, pages
        self.streams, self.closing = 0, False
        self.secure = runner.config.server.url.startswith("https://")


def site_of(request: Request) -> Site:
    """The application's site."""
    site: Site = request.app.state.site
    return site


def session_of(request: Request) -> Session | None:
    """The session that the request's cookie belongs to, or None."""
    return site_of(request).login.find(request.cookies.get(COOKIE, ""))


def logged_in(request: Request) -> Session:
    """The session of who is asking.

    Raises:
        Refused: nobody is logged in.
    """
    session = session_of(request)
    if session is None:
        raise Refused(
            "you are not logged in", reason="unauthenticated", next="log in and do it again"
        )
    return session


def client_of(request: Request) -> str:
    """Where a request comes from, for counting failures."""
    return request.client.host if request.client else "unknown"


def person_of_token(request: Request, token: str) -> str:
    """Whose token this is.

    Raises:
        Refused: nobody's (`unauthenticated`), or too many wrong ones from there (`too_fast`).

    The right token always passes, for behind a proxy everybody has one address, and one script with
    a wrong token must not stop all decisions.  What makes guessing hopeless is the tokens' length,
    which `irkit serve` insists on.
    """
    site, client = site_of(request), client_of(request)
    try:
        return site.runner.person(token)
    except Refused:
        wait = site.login.wait(client)
        site.login.failed(client)
        if not wait:
            raise
    raise Refused(
        "too many wrong tokens from there", reason="too_fast", on=client, next=f"wait {wait} s"
    )


def check_csrf(session: Session, token: str) -> None:
    """Refuse what does not carry the session's token: another site's page may have sent it.

    Raises:
        Refused: reason `csrf`.
    """
    if not hmac.compare_digest(session.csrf.encode(), token.encode("utf-8", "replace")):
        raise Refused(
            "the form's token is missing or old", reason="csrf",
            next="load the page again; what you typed is kept by the browser",
        )  # fmt: skip


def api_person(
    request: Request,
    token: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    cookie: Annotated[str | None, Security(_cookie)] = None,
) -> str:
    """Who calls the API: by their own token, or by a session and, to change things, its token.

    Raises:
        Refused: nobody known (`unauthenticated`), or `csrf`.
    """
    if token is not None:
        return person_of_token(request, token.credentials)
    if "authorization" not in request.headers and cookie:
        session = site_of(request).login.find(cookie)
        if session:
            if request.method not in ("GET", "HEAD"):
                check_csrf(session, request.headers.get("x-csrf-token", ""))
            return session.person
    raise Refused(
        "say who you are", reason="unauthenticated",
        next="send Authorization: Bearer and your own token",
    )  # fmt: skip


SiteOf = Annotated[Site, Depends(site_of)]
ApiPerson = Annotated[str, Depends(api_person)]
