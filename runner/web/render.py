"""Templates into pages: every value is escaped unless it is markup of our own."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from irkit.text import one_line
from runner.web import assets, view
from runner.web.models import Error
from runner.web.site import session_of, site_of


class Pages:
    """Renders the templates, for whoever is logged in."""

    def __init__(self) -> None:
        self.environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters.update(
            line=_line_of,
            told=_told,
            web=lambda url: url if str(url).startswith(("https://", "http://")) else "",
            name=lambda principal: str(principal).removeprefix("person:"),
        )
        self.environment.globals.update(
            SEVERITY=view.SEVERITY, STATE=view.STATE, stamp=view.stamp, since=view.since,
            age=view.age, elapsed=view.elapsed, asset=assets.address,
            form_id=lambda: secrets.token_urlsafe(12),
        )  # fmt: skip

    def page(
        self, request: Request, template: str, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A whole page, for whoever is logged in."""
        site = site_of(request)
        session = session_of(request)
        text = self.environment.get_template(template).render(
            session=session, now=site.runner.clock.now(), **values
        )
        return HTMLResponse(text, status)

    def problem(self, request: Request, status: int, error: Error) -> Response:
        """The page of an error; who is not logged in is sent to log in, and comes back."""
        if status == 401 and request.method == "GET":
            if request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
                # The cookie is strict: it does not come with a link from chat.  It does with this.
                return self.page(request, "again.html")
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(here, safe='')}", 303)
        return self.page(request, "problem.html", status, code=status, error=error)


def _told(error: Error) -> str:
    """An error as sentences: what, on what; what next."""
    what = f"{error.what}: {error.on}" if error.on else error.what
    parts = (one_line(part).rstrip(".") for part in (what, error.next) if part)
    return " ".join(f"{part[:1].upper()}{part[1:]}." for part in parts)


def _line_of(text: object, most: int = 400) -> str:
    """Foreign text as one line; an arrow is one character, so that it never breaks in two."""
    return one_line(str(text), most).replace(" -> ", " \N{RIGHTWARDS ARROW} ")
