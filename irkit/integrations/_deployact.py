"""What a rollback or a deploy may be asked with; whoever carries it out refuses the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping

from irkit.errors import Refused
from irkit.model.action import Argument

ACTIONS = ("rollback", "deploy")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/@-]{0,127}")


def check_act(action: str, target: str, arguments: Mapping[str, Argument]) -> str:
    """The version that is asked for; `previous` where a rollback names none.

    Raises:
        Refused: reason `impossible`: another action or argument, or a text that is no name.

    Example:
        >>> check_act("rollback", "checkout", {})
        'previous'
    """
    if action not in ACTIONS:
        raise impossible(f"this target cannot {action[:40]!r}", target[:80])
    if not is_word(target):
        raise impossible("not a service", repr(target)[:80])
    if set(arguments) - {"to"}:
        raise impossible("the only argument is `to`", target)
    to = arguments.get("to")
    if to is None:
        if action == "deploy":
            raise impossible("a deploy needs `to`, a version", target)
        return "previous"
    if not isinstance(to, str) or not is_word(to):
        raise impossible("not a version", repr(to)[:80])
    return to


def is_word(text: str) -> bool:
    """Whether a text is a plain name: no option, no blank, nothing a shell would read."""
    return bool(_WORD.fullmatch(text))


def impossible(what: str, on: str) -> Refused:
    """The refusal of an act that the target cannot do."""
    return Refused(what, reason="impossible", on=on, next="choose another action or version")
