"""What every request passes: Host, Origin, size, and the headers that every answer carries."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from irkit.errors import Refused
from runner.web.errors import error_of, for_machine

FORM_BYTES = 64 * 1024
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Not `no-referrer`: with it a browser sends `Origin: null` with our own forms, and the check of
# the origin would have nothing to check.  `same-origin` tells other sites just as little.
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware around everything.

    A page answers only to a Host that is an address or one of `hosts`: no name of somebody else's
    can be rebound to it.  A request that changes something must not come from another site.
    Hooks and probes are for machines: they authenticate themselves, are reached under any name,
    and refuse browsers.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str]) -> None:
        self.app = app
        self.hosts = frozenset(h.lower() for h in hosts if h) | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal:
            status, why = refusal
            if for_machine(scope["path"]):
                answer: JSONResponse | PlainTextResponse = JSONResponse(
                    error_of(why).model_dump(), status
                )
            else:
                answer = PlainTextResponse(str(why), status)
            await answer(scope, receive, send_guarded)
            return
        is_hook = scope["path"].startswith("/hooks/")
        await self.app(scope, receive if is_hook else _capped(receive), send_guarded)

    def _refusal(self, scope: Scope) -> tuple[int, Refused] | None:
        headers = Headers(scope=scope)
        path, changes = scope["path"], scope["method"] not in ("GET", "HEAD", "OPTIONS")
        site = headers.get("sec-fetch-site", "none")
        if path.startswith("/hooks/"):
            if "origin" in headers or site != "none":
                return 403, Refused(
                    "a hook is for machines, not for browsers", reason="browser", on=path[:80]
                )
            return None
        if for_machine(path) and not path.startswith("/api/"):
            return None
        host = headers.get("host", "")
        if not self._known(host):
            return 400, Refused(
                "not a name of this server", reason="host", on=host[:80],
                next="use its address, or set server.url in irkit.yaml",
            )  # fmt: skip
        origin = headers.get("origin")
        if changes and (
            site not in ("same-origin", "none")
            or (origin is not None and urlsplit(origin).netloc.lower() != host.lower())
        ):
            return 403, Refused(
                "this came from another site", reason="origin", on=str(origin)[:80],
                next="open the page itself and decide there",
            )  # fmt: skip
        length = headers.get("content-length", "0")
        if changes and (not length.isdigit() or int(length) > FORM_BYTES):
            return 413, Refused("the body is too large", reason="too_large", on=path[:80])
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _capped(receive: Receive) -> Receive:
    """The same body, and an error where more comes than a form or a call may have."""
    seen = 0

    async def capped() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > FORM_BYTES:
            raise HTTPException(413)
        return message

    return capped
