"""What goes over a run's socket: JSON frames, and one raw frame for the body of a reply.

Each request is one frame, a `Call`.  Each answer is one frame, an `Answer`; the answer to a look
that succeeded in being asked is followed by a second frame, the raw body (empty for a failed look).
Frames and the token's challenge are those of `multiprocessing.connection`; nothing is pickled.
"""

from __future__ import annotations

from typing import Any

import msgspec

from irkit import errors
from irkit.errors import IrkitError, LookFailed, Refused
from irkit.model.base import Value
from irkit.model.look import Request
from irkit.session import Ask, Note

REQUEST_BYTES = 1 << 20
"""The largest request that a server reads."""


_CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if isinstance(cls, type) and issubclass(cls, IrkitError)
}


class SessionFile(Value, frozen=True, kw_only=True):
    """Where the run's socket is and what opens it; the file is readable by its owner alone."""

    socket: str
    token: str


class Call(Value, frozen=True, kw_only=True, tag_field="verb"):
    """One request; each verb is a subclass."""


class Brief(Call, frozen=True, kw_only=True, tag="briefing"):
    """What was the run told?"""


class Look(Call, frozen=True, kw_only=True, tag="look"):
    """Ask a source."""

    request: Request


class Propose(Call, frozen=True, kw_only=True, tag="propose"):
    """Plan or propose an act."""

    ask: Ask


class Say(Call, frozen=True, kw_only=True, tag="say"):
    """Say something to the channel."""

    text: str


class WriteNote(Call, frozen=True, kw_only=True, tag="note"):
    """Write into the record."""

    note: Note


class ReadEvents(Call, frozen=True, kw_only=True, tag="events"):
    """The incident's ledger as it stands."""


AnyCall = Brief | Look | Propose | Say | WriteNote | ReadEvents
CALLS: msgspec.json.Decoder[AnyCall] = msgspec.json.Decoder(AnyCall)


class Fault(Value, frozen=True, kw_only=True, rename={"error": "class"}):
    """An error on its way to the client, which raises the same class."""

    error: str
    what: str
    on: str = ""
    next: str = ""
    reason: str = ""
    retryable: bool = False


class Answer(Value, frozen=True, kw_only=True):
    """The answer to a call: a value, or why there is none."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    fault: Fault | None = None


def fault_of(why: IrkitError) -> Fault:
    """An error as it is sent."""
    return Fault(
        error=type(why).__name__,
        what=why.what,
        on=why.on,
        next=why.next,
        reason=getattr(why, "reason", ""),
        retryable=why.retryable,
    )


def error_of(fault: Fault) -> IrkitError:
    """The error that was sent, as the same class; one that is unknown here as `IrkitError`."""
    cls: type[IrkitError] = _CLASSES.get(fault.error, IrkitError)
    more: dict[str, Any] = {}
    if issubclass(cls, Refused):
        more["reason"] = fault.reason
    if issubclass(cls, LookFailed):
        more["retryable"] = fault.retryable
    return cls(fault.what, on=fault.on, next=fault.next, **more)
