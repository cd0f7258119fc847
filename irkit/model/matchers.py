"""Label matchers in Alertmanager's syntax, for routes and for log searches alike.

Source: Alertmanager `docs/configuration.md`, "Matcher" (classic and UTF-8 modes agree here).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from irkit.errors import BadQuery
from irkit.model.base import Value

_MATCHER = re.compile(
    r"""\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_.:]*|"(?:[^"\\]|\\.)+")
        \s*(?P<op>=~|!~|!=|=)\s*
        (?P<value>"(?:[^"\\]|\\.)*"|[^\s,"{}=!~][^,"{}]*?)\s*(?=,|$)""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class Matcher(Value, frozen=True, kw_only=True):
    """One condition on one label: `=`, `!=`, `=~` or `!~` (regular expressions are anchored).

    A label that is absent counts as empty, as in Alertmanager.
    """

    name: str
    op: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels satisfy the condition."""
        actual = labels.get(self.name, "")
        if self.op in ("=", "!="):
            return (actual == self.value) == (self.op == "=")
        return bool(re.fullmatch(self.value, actual, re.DOTALL)) == (self.op == "=~")

    def __str__(self) -> str:
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.op}"{value}"'


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """Read `a="b", c=~"d|e"` (braces around it are allowed); empty text is no condition.

    Raises:
        BadQuery: not matchers, or a regular expression that does not compile.

    Example:
        >>> parse_matchers('severity="page", team=~"shop|pay"')[1].matches({"team": "pay"})
        True
    """
    inner = text.strip()
    if inner.startswith("{") and inner.endswith("}"):
        inner = inner[1:-1].strip()
    found, at = [], 0
    while at < len(inner):
        match = _MATCHER.match(inner, at)
        if not match:
            raise BadQuery(
                "cannot read matchers",
                on=f"{text!r} at {inner[at : at + 20]!r}",
                next='write them like severity="page", service=~"shop|pay"',
            )
        value = _unquote(match["value"])
        if match["op"] in ("=~", "!~"):
            try:
                re.compile(value)
            except re.error as why:
                raise BadQuery(
                    f"bad regular expression ({why})", on=repr(value), next="correct the pattern"
                ) from None
        found.append(Matcher(name=_unquote(match["name"]), op=match["op"], value=value))
        at = match.end()
        if at < len(inner):
            at += 1  # the comma
            if not inner[at:].strip():
                break
    return tuple(found)


def _unquote(text: str) -> str:
    if not text.startswith('"'):
        return text.strip()
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], "\\" + m[1]), text[1:-1])
