"""A deploy: which version of a service began to run, when, and who brought it there."""

from __future__ import annotations

from datetime import datetime

from irkit.model.base import Value


class Deploy(Value, frozen=True, kw_only=True):
    """One version of a service that began to run at `time` (UTC).

    `previous` is the version before it, `key` the name of the act that brought it (empty for a
    deploy that irkit did not make), `source` the integration that knows of it.  All texts are
    foreign.
    """

    time: datetime
    service: str
    version: str
    previous: str = ""
    by: str = ""
    commit: str = ""
    message: str = ""
    reason: str = ""
    key: str = ""
    source: str = ""
