"""Reading a look's arguments, which come from a notebook and may be anything."""

from __future__ import annotations

from irkit.errors import LookFailed
from irkit.model.look import Request
from irkit.model.window import Window


def check_op(request: Request, ops: tuple[str, ...], takes: tuple[str, ...]) -> None:
    """Refuse an op or an argument that the source does not know.

    Raises:
        LookFailed: with what is known.
    """
    if request.op not in ops:
        raise LookFailed(
            "this source does not answer that",
            on=f"{request.source}: {request.op}",
            next=f"it answers: {', '.join(ops)}",
        )
    unknown = sorted(set(request.arguments) - set(takes))
    if unknown:
        raise LookFailed(
            "unknown argument",
            on=f"{request.source}: {request.op}: {', '.join(unknown)}",
            next=f"known: {', '.join(takes)}",
        )


def text(request: Request, name: str, default: str | None = None) -> str:
    """A text argument; without a default it must be there and not empty."""
    value = request.arguments.get(name, default)
    if not isinstance(value, str) or (default is None and not value.strip()) or "\0" in value:
        raise LookFailed(
            "this look needs a text", on=f"{request.source}: {request.op}: {name}", next="give it"
        )
    return value


def number(request: Request, name: str, default: int) -> int:
    """A whole number above 0."""
    value = request.arguments.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise LookFailed(
            "this look needs a whole number above 0",
            on=f"{request.source}: {request.op}: {name}",
            next="correct it",
        )
    return value


def window(request: Request) -> Window:
    """The window, which must be there."""
    if request.window is None:
        raise LookFailed(
            "this look needs a window", on=f"{request.source}: {request.op}", next="give one"
        )
    return request.window
