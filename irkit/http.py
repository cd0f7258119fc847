"""Calls over HTTP: always with a time limit and a size limit, never elsewhere than asked.

No redirect is followed, the environment's proxies are not used, and no error carries a query, a
header or a secret.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from irkit.errors import LookFailed
from irkit.model.base import Value

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 64 << 20
_REMOVED = "[secret removed]"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Answer(Value, frozen=True, kw_only=True):
    """What a server answered, whatever the status; `where` is host and path, `seconds` the time."""

    status: int
    body: bytes
    media: str
    seconds: float
    where: str


class Caller:
    """Calls servers, keeping connections open between calls; safe to use from several threads.

    `timeout` (seconds) bounds the whole call, from connecting to the last byte; `max_bytes` bounds
    the unpacked body; `ca` is a file of certificates to trust instead of the public ones;
    `transport` replaces the network in tests.

    Example:
        >>> import httpx
        >>> caller = Caller(transport=httpx.MockTransport(lambda r: httpx.Response(200, text="ok")))
        >>> caller.call("GET", "http://example.org/healthz").body
        b'ok'
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        max_bytes: int = MAX_BYTES,
        ca: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._timeout, self._max_bytes, self._ca = timeout, max_bytes, ca
        self._transport = transport
        self._clients: dict[str, httpx.Client] = {}
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask once and read the whole answer; every status is an answer.

        Raises:
            LookFailed: no connection, no answer in time, a broken or too large answer.
        """
        import httpx

        parts = urlsplit(url)
        where = f"{parts.netloc.rpartition('@')[2]}{parts.path}"
        started = time.monotonic()
        client, late = self._open(parts.scheme), threading.Event()
        # The client's own limits bound each read; this bounds their sum, headers included.
        alarm = threading.Timer(self._timeout, self._give_up, (client, late))
        alarm.daemon = True
        alarm.start()
        try:
            body = bytearray()
            with client.stream(method, url, headers=headers, data=form) as response:
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > self._max_bytes:
                        raise LookFailed(
                            f"the answer is larger than {self._max_bytes >> 20} MB",
                            on=where,
                            next="ask for less: a shorter window, fewer series or lines",
                        )
            if late.is_set():
                raise _too_slow(where, self._timeout)
            return Answer(
                status=response.status_code,
                body=bytes(body),
                media=response.headers.get("content-type", ""),
                seconds=time.monotonic() - started,
                where=where,
            )
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            RuntimeError,
            ValueError,
        ) as why:
            # From None, and without the text: it may quote a header, and so a secret.
            if late.is_set() or isinstance(why, httpx.TimeoutException):
                raise _too_slow(where, self._timeout) from None
            raise _failed(why, where) from None
        finally:
            alarm.cancel()

    def _open(self, scheme: str) -> httpx.Client:
        import httpx

        with self._lock:
            client = self._clients.get(scheme)
            if client is None or client.is_closed:
                # Reading the certificates takes a while, and plain HTTP needs none: it gets a
                # context that trusts nobody.
                secure = _trust(self._ca) if scheme == "https" else _nobody()
                client = self._clients[scheme] = httpx.Client(
                    transport=self._transport,
                    verify=secure,
                    timeout=self._timeout,
                    follow_redirects=False,
                    trust_env=False,
                    headers={"User-Agent": f"irkit/{_version()}"},
                )
                weakref.finalize(self, client.close)
            return client

    @staticmethod
    def _give_up(client: httpx.Client, late: threading.Event) -> None:
        late.set()
        client.close()


def status_failure(answer: Answer, *, secrets: Iterable[str] = ()) -> LookFailed:
    """The error for an answer that is not a success, in words for whoever has to mend it."""
    said = said_by(answer.body, secrets=secrets)
    text = f"HTTP {answer.status}" + (f" ({said})" if said else "")
    if answer.status in (401, 403):
        return LookFailed(
            f"the credential was not accepted: {text}",
            on=answer.where,
            next="check the token or password in the config, and what it may read",
        )
    if 300 <= answer.status < 400:
        return LookFailed(
            f"the server points elsewhere: HTTP {answer.status}",
            on=answer.where,
            next="write the final address into the config; redirects are not followed",
        )
    if answer.status in (408, 425, 429) or answer.status >= 500:
        return LookFailed(text, on=answer.where, next="try again shortly", retryable=True)
    return LookFailed(text, on=answer.where, next="check the address in the config")


def said_by(body: bytes, *, secrets: Iterable[str] = (), limit: int = 300) -> str:
    """A server's words as one short line without control characters, markup pages or secrets."""
    text = body[: limit * 8].decode("utf-8", "replace")
    for secret in secrets:
        text = text.replace(secret, _REMOVED)
    if text.lstrip()[:1] == "<":
        return "a web page"
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _too_slow(where: str, timeout: float) -> LookFailed:
    return LookFailed(
        f"no complete answer within {timeout:g} s",
        on=where,
        next="ask for less, or raise `timeout` in the config",
        retryable=True,
    )


def _failed(why: Exception, where: str) -> LookFailed:
    import httpx

    if isinstance(why, httpx.ConnectError):
        # Raised before anything is sent, so its text holds no secret.
        if "CERTIFICATE" in str(why):
            return LookFailed(
                "the server's certificate is not trusted",
                on=where,
                next="name your authority's certificates with `ca` in the config",
            )
        return LookFailed(
            f"cannot connect ({said_by(str(why).encode())})",
            on=where,
            next="check that it runs and that the address in the config is right",
            retryable=True,
        )
    if isinstance(why, httpx.LocalProtocolError | httpx.InvalidURL | ValueError):
        return LookFailed(
            "the request cannot be written",
            on=where,
            next="check the configured address, headers and secrets for odd characters",
        )
    return LookFailed(
        f"the connection broke ({type(why).__name__})",
        on=where,
        next="try again shortly",
        retryable=True,
    )


@lru_cache
def _trust(ca: str) -> ssl.SSLContext:
    """What to trust; made once, for reading the certificates takes longer than a call."""
    if ca:
        try:
            return ssl.create_default_context(cafile=ca)
        except OSError:
            raise LookFailed(
                "cannot read the certificates", on=ca, next="check `ca` in the config"
            ) from None
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


@lru_cache
def _nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@lru_cache
def _version() -> str:
    try:
        return version("irkit")
    except PackageNotFoundError:  # run from a source tree
        return "source"
