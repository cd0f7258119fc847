"""Who acts: a person, a run, a webhook or the system itself."""

from __future__ import annotations

import re

from irkit.errors import BadInput

SYSTEM = "system"
_FORM = re.compile(r"system|(person|run|hook):[A-Za-z0-9][A-Za-z0-9._@-]{0,79}")


def check_principal(text: str) -> str:
    """Return `text` if it names who acts: `person:NAME`, `run:ID`, `hook:NAME` or `system`.

    Raises:
        BadInput: anything else.

    Example:
        >>> check_principal("person:oncall")
        'person:oncall'
    """
    if not _FORM.fullmatch(text):
        raise BadInput(
            "not a principal", on=repr(text), next="use person:NAME, run:ID, hook:NAME or system"
        )
    return text


def is_person(principal: str) -> bool:
    """Whether a human acts; only humans acknowledge and decide."""
    return principal.startswith("person:")
