"""Secrets: named in the config, read when used, never shown."""

from __future__ import annotations

import os
from pathlib import Path

from irkit.errors import ConfigError


class Secret:
    """A reference to a secret, `env:NAME` or `file:PATH`; its text is read at each use.

    A file's trailing newline is dropped.  `repr` and `str` show the reference, never the secret.

    Example:
        >>> Secret("env:PROM_TOKEN")
        Secret('env:PROM_TOKEN')
    """

    def __init__(self, reference: str) -> None:
        kind, _, name = reference.partition(":")
        if kind not in ("env", "file") or not name:
            raise ConfigError(
                "a secret must be a reference, not the secret itself",
                on="a value that is not shown",
                next="write env:NAME or file:PATH",
            )
        self.reference, self._kind, self._name = reference, kind, name

    def reveal(self) -> str:
        """The secret itself, for the one call that needs it.

        Raises:
            ConfigError: the variable is unset or the file unreadable, or the secret is empty.
        """
        if self._kind == "env":
            text = os.environ.get(self._name, "")
        else:
            try:
                text = Path(self._name).expanduser().read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as why:
                raise ConfigError(
                    f"cannot read a secret ({type(why).__name__})",
                    on=self.reference,
                    next="make the file readable for the runner",
                ) from None
        if not text:
            raise ConfigError(
                "a secret is empty or not set", on=self.reference, next="set it and start again"
            )
        return text

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    __str__ = __repr__
