"""Who somebody is, by their own token."""

from __future__ import annotations

import hmac

from irkit.config import Config
from irkit.errors import ConfigError, Refused


def person_of(config: Config, token: str) -> str:
    """The principal whose token this is; compared in constant time with everybody's.

    Raises:
        Refused: it is nobody's (`unauthenticated`).
    """
    found = ""
    for name, person in config.people.items():
        try:
            known = person.token.reveal()
        except ConfigError:
            continue  # this person cannot log in; `irkit check` says why, the others can
        if hmac.compare_digest(known.encode(), token.encode()):
            found = f"person:{name}"
    if not found:
        raise Refused(
            "the token is nobody's", reason="unauthenticated",
            next="use the token that is configured for you under people",
        )  # fmt: skip
    return found
