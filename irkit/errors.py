"""Every error irkit raises, as one tree.

    IrkitError
    ├── BadInput            what was given cannot be understood
    │   ├── ConfigError     irkit.yaml: file, path, value, cure
    │   ├── BadParameters   a runbook was asked with parameters it does not declare
    │   ├── BadQuery        a query, matcher or duration cannot be read
    │   └── BadAlert        a webhook body is not what its sender documents
    ├── NotFound            no incident, service, signal, runbook, run or plan of that name
    ├── LookFailed          a source did not answer, or answered nonsense
    │   └── NoReplay        the bundle holds no answer to this look
    ├── Refused             an act is not allowed: the reason is named
    ├── NeedsRunner         only a runner may do this
    ├── RunFailed           a runbook raised, hung or was stopped
    ├── LedgerBroken        bytes, events or the tail of a ledger were changed
    └── AlreadyRunning      another process writes this ledger

Each message says what happened, on what, and what to do next.  Secrets never enter a message.
"""

from __future__ import annotations


class IrkitError(Exception):
    """Something went wrong that irkit can explain: `what`, `on` what, and what to do `next`.

    Example:
        >>> str(IrkitError("no such service", on="chekout", next="did you mean 'checkout'?"))
        "no such service: chekout. did you mean 'checkout'?"
    """

    retryable = False
    exit_code = 1

    def __init__(self, what: str, *, on: str = "", next: str = "") -> None:
        self.what, self.on, self.next = what, on, next
        text = f"{what}: {on}" if on else what
        super().__init__(f"{text}. {next}" if next else text)


class BadInput(IrkitError):
    """What was given cannot be understood."""

    exit_code = 2


class ConfigError(BadInput):
    """irkit.yaml is wrong; names the file, the path in it, the value and the cure."""


class BadParameters(BadInput):
    """A runbook was asked with parameters that it does not declare, or of another type."""


class BadQuery(BadInput):
    """A query, matcher, duration or time cannot be read."""


class BadAlert(BadInput):
    """A webhook body is not what its sender documents."""


class NotFound(IrkitError):
    """There is no incident, service, signal, runbook, run or plan of that name."""

    exit_code = 3


class LookFailed(IrkitError):
    """A source did not answer, or answered nonsense; the look becomes a gap."""

    exit_code = 4

    def __init__(self, what: str, *, on: str = "", next: str = "", retryable: bool = False) -> None:
        super().__init__(what, on=on, next=next)
        self.retryable = retryable


class NoReplay(LookFailed):
    """The recorded bundle holds no answer to this look."""


class Refused(IrkitError):
    """An act is not allowed; `reason` is a short fixed word that policy and tests can name.

    Example:
        >>> Refused("plan has changed", reason="plan_changed").reason
        'plan_changed'
    """

    exit_code = 5

    def __init__(self, what: str, *, reason: str, on: str = "", next: str = "") -> None:
        super().__init__(what, on=on, next=next)
        self.reason = reason


class NeedsRunner(IrkitError):
    """Only a runner may do this; the notebook is running without one."""

    exit_code = 5


class RunFailed(IrkitError):
    """A runbook raised, hung, exited or was stopped; the partial notebook is kept."""

    exit_code = 6


class LedgerBroken(IrkitError):
    """Bytes, events or the tail of a ledger were changed since the head was signed."""

    exit_code = 7


class AlreadyRunning(IrkitError):
    """Another process is writing this ledger."""

    exit_code = 8
