"""What an integration can be: small protocols that speak in plain model values.

An integration is one class in one file of `irkit/integrations/`.  It is a pydantic model whose
fields are its config; its methods implement one or more of these protocols.  I/O happens only in
`fetch`, `apply`, `lookup` and `survey`, always with a time limit; reading replies is pure, because
the notebook reads them where no credential and no network is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from irkit.model.action import Argument, BlastRadius, Change, Outcome, Plan, Undo
from irkit.model.alert import Alert
from irkit.model.base import Value
from irkit.model.look import Request


class Raw(Value, frozen=True, kw_only=True):
    """A reply as it came over the wire."""

    body: bytes
    media: str = "application/json"


@runtime_checkable
class Source(Protocol):
    """Answers looks."""

    ops: ClassVar[tuple[str, ...]]

    def fetch(self, request: Request) -> Raw:
        """Ask, and return the raw reply.

        Raises:
            LookFailed: no answer, or one that says it failed; `retryable`: ask again.
        """
        ...

    @staticmethod
    def read(request: Request, body: bytes) -> Any:
        """Read a raw reply into a value (see the op's own type); pure.

        Raises:
            LookFailed: the reply is nonsense.
        """
        ...

    def probe(self) -> str:
        """One cheap call that shows that it works; returns a sentence for `irkit check`.

        Raises:
            LookFailed: it does not.
        """
        ...


@runtime_checkable
class MetricsSource(Source, Protocol):
    """A source of metrics: ops `range` and `instant`, read into `irkit.metrics.matrix.Matrix`."""

    @staticmethod
    def quote(value: str) -> str:
        """The value as the query language wants it inside double quotes, without the quotes."""
        ...


@runtime_checkable
class AlertSource(Protocol):
    """Receives alerts on `POST /hooks/NAME`."""

    def authenticate(self, headers: Mapping[str, str], body: bytes) -> None:
        """Accept the raw bytes or not, in constant time.

        Raises:
            Refused: reason `unauthenticated` (status 401 for the sender).
        """
        ...

    def alerts(self, name: str, body: bytes) -> tuple[Alert, ...]:
        """Read a body into alerts; pure.

        Raises:
            BadAlert: it is not what the sender documents (status 400, the body is kept).
        """
        ...


class Survey(Value, frozen=True, kw_only=True):
    """What an act would do at its target, found by reading only.

    `already` is true where the target is already as wanted.
    """

    change: Change
    blast: BlastRadius
    undo: Undo
    already: bool = False


@runtime_checkable
class Target(Protocol):
    """Carries out actions."""

    actions: ClassVar[tuple[str, ...]]

    def survey(self, action: str, target: str, arguments: Mapping[str, Argument]) -> Survey:
        """Find out what the act would do; changes nothing.

        Raises:
            Refused: reason `impossible`, where the target cannot do it.
            LookFailed: the target cannot be asked.
        """
        ...

    def apply(self, plan: Plan) -> Outcome:
        """Do it, under the plan's `key`; doing the same key twice changes nothing twice."""
        ...

    def lookup(self, plan: Plan) -> Outcome | None:
        """What came of an earlier `apply` of the same key; None: it never happened.

        Raises:
            LookFailed: the target cannot tell.
        """
        ...
