"""Metrics from Prometheus, and from what speaks its HTTP API (Mimir, Thanos, VictoriaMetrics)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec
from pydantic import Field

from irkit.errors import BadQuery, LookFailed
from irkit.http import Answer, said_by, status_failure
from irkit.integrations._json import UNREADABLE
from irkit.integrations._request import check_op, text, window
from irkit.integrations._web import WebConfig
from irkit.model.look import Request
from irkit.model.window import Window, parse_duration
from irkit.ports import Raw

if TYPE_CHECKING:
    from irkit.metrics.matrix import Matrix

MAX_POINTS = 11_000
_ROUND_STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
_RETRYABLE = ("timeout", "unavailable", "internal", "canceled")
_ESCAPED = re.compile(r'[\\"\x00-\x1f\x7f]')
_SUCCESS = re.compile(rb'\s*\{\s*"status"\s*:\s*"success"')


class _Envelope(msgspec.Struct, rename="camel"):
    status: str
    error_type: str = ""
    error: str = ""


class Prometheus(WebConfig):
    """A Prometheus server, asked in PromQL.

    Op `range` takes `query` and optionally `step` (`30s`, or seconds); without it the window is
    divided into about `points` steps of a round length.  Op `instant` takes `query` and answers for
    the window's end, or for now where there is no window.

    Source: https://prometheus.io/docs/prometheus/latest/querying/api/
    """

    type: Literal["prometheus"] = Field(description="Always `prometheus`.")
    points: int = Field(
        250, ge=2, le=MAX_POINTS, description="How many points a series has, about, by default."
    )

    ops: ClassVar[tuple[str, ...]] = ("range", "instant")

    def fetch(self, request: Request) -> Raw:
        """Ask; the reply is as Prometheus wrote it.

        Raises:
            LookFailed: no answer, or Prometheus' own words where it refuses the query.
        """
        if request.op == "range":
            check_op(request, self.ops, ("query", "step"))
            wanted = _wanted_step(request)
            path, form = "/api/v1/query_range", range_form(
                text(request, "query"), window(request), choose_step(
                    window(request), wanted, points=self.points
                )
            )  # fmt: skip
        else:
            check_op(request, self.ops, ("query",))
            path, form = "/api/v1/query", {"query": text(request, "query")}
            if request.window is not None:
                form["time"] = _seconds(_milliseconds(request.window.end))
        # The server stops working shortly before we stop waiting.
        form["timeout"] = f"{max(int(self.timeout.total_seconds() * 950), 1)}ms"
        return self._checked(self.call("POST", path, form=form))

    @staticmethod
    def read(request: Request, body: bytes) -> Matrix:
        """Read a reply; pure.

        Raises:
            LookFailed: the reply is nonsense.
        """
        from irkit.metrics.matrix import read_matrix

        try:
            return read_matrix(body)
        except RecursionError:
            raise LookFailed(
                "not a Prometheus reply (nested too deep)", on=request.source, next="look again"
            ) from None

    @staticmethod
    def quote(value: str) -> str:
        r"""The value as PromQL wants it between double quotes.

        Example:
            >>> print(Prometheus.quote('a"b\\c'))
            a\"b\\c
        """
        valid = value.encode("utf-8", "replace").decode()
        return _ESCAPED.sub(lambda m: _escape(m[0]), valid)

    def probe(self) -> str:
        """Ask for `vector(1)`.

        Raises:
            LookFailed: it does not answer.
        """
        answer = self.call("POST", "/api/v1/query", form={"query": "vector(1)"})
        self._checked(answer)
        return f"answers queries at {self.url} in {answer.seconds * 1000:.0f} ms"

    def _checked(self, answer: Answer) -> Raw:
        if answer.status == 200 and _SUCCESS.match(answer.body[:200]):
            return Raw(body=answer.body)
        try:
            said = msgspec.json.decode(answer.body, type=_Envelope)
        except UNREADABLE:
            if answer.status != 200:
                raise status_failure(answer, secrets=self.secrets()) from None
            raise LookFailed(
                f"not a Prometheus reply ({said_by(answer.body[:80], secrets=self.secrets())})",
                on=answer.where,
                next="check that the address is that of Prometheus' API",
            ) from None
        if said.status == "success" and answer.status == 200:
            return Raw(body=answer.body)
        if answer.status in (401, 403, 429):
            raise status_failure(answer, secrets=self.secrets())
        words = said_by((said.error or said.error_type).encode(), secrets=self.secrets())
        raise LookFailed(
            f"Prometheus: {said.error_type or answer.status}: {words}",
            on=answer.where,
            next=_cure(said),
            retryable=said.error_type in _RETRYABLE or answer.status >= 500,
        )


def choose_step(window: Window, wanted: timedelta | None = None, *, points: int = 250) -> timedelta:
    """The distance of two points: `wanted`, or a round one that makes about `points` of them.

    Never more than 11,000 points come of it, which is Prometheus' own limit: a `wanted` step that
    is too short is lengthened.  Windows are never split.

    Example:
        >>> from datetime import UTC
        >>> hour = Window.before(datetime(2026, 3, 1, 14, tzinfo=UTC), "1h")
        >>> choose_step(hour), choose_step(hour, timedelta(milliseconds=1))
        (datetime.timedelta(seconds=15), datetime.timedelta(microseconds=328000))
    """
    length = _milliseconds(window.end) - _milliseconds(window.start)
    shortest = max(-(-length // (MAX_POINTS - 1)), 1)
    if wanted is not None:
        return timedelta(milliseconds=max(round(wanted / timedelta(milliseconds=1)), shortest))
    about = max(length / points, shortest)
    for seconds in _ROUND_STEPS:
        if seconds * 1000 >= about:
            return timedelta(seconds=seconds)
    day = 86_400_000
    return timedelta(milliseconds=-(-int(about) // day) * day)


def range_form(query: str, window: Window, step: timedelta) -> dict[str, str]:
    """The form of a range query: the last point is the window's end, the others lie before it."""
    end = _milliseconds(window.end)
    each = round(step / timedelta(milliseconds=1))
    count = (end - _milliseconds(window.start)) // each
    return {
        "query": query,
        "start": _seconds(end - count * each),
        "end": _seconds(end),
        "step": _seconds(each),
    }


def _wanted_step(request: Request) -> timedelta | None:
    step = request.arguments.get("step")
    try:
        if step is None or step == "":
            return None
        if isinstance(step, str):
            span = parse_duration(step)
        elif isinstance(step, int | float) and not isinstance(step, bool):
            span = timedelta(seconds=step)
        else:
            raise BadQuery("not a duration")
        if span <= timedelta(0):
            raise BadQuery("not above zero")
    except (BadQuery, ValueError, OverflowError):
        raise LookFailed(
            "cannot read the step", on=repr(step)[:60], next="write it like 30s, or in seconds"
        ) from None
    return span


def _cure(said: _Envelope) -> str:
    if "too many samples" in said.error or said.error_type == "timeout":
        return "ask for a shorter window, a longer step or fewer series"
    if said.error_type == "bad_data":
        return "correct the query"
    return "try again shortly" if said.error_type in _RETRYABLE else "read the server's words"


def _escape(character: str) -> str:
    known = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
    return known.get(character, f"\\x{ord(character):02x}")


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
