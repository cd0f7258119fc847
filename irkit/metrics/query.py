"""`$name` in a query becomes a value, quoted for the query language; nothing is pasted raw."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from irkit.errors import BadQuery

_NAME = re.compile(r"\$(?:\$|\{(?P<braced>[A-Za-z_]\w*)\}|(?P<bare>[A-Za-z_]\w*))")
_BARE = re.compile(r"[A-Za-z0-9_:.]{1,64}")
_NEXT = re.compile(r"""\$|["'`\\]""")


def render(query: str, names: Mapping[str, str | int | float], quote: Callable[[str], str]) -> str:
    """Put values into a query: `$service` or `${service}`; `$$` is a dollar sign.

    Inside double quotes a value is quoted by `quote` (the source's own), and behind `=~` or `!~`
    it also loses its meaning as a pattern.  Outside quotes only numbers, durations and plain names
    are taken.  Foreign text can therefore not leave the string it stands in.

    Raises:
        BadQuery: an unknown name, a value that does not fit its place, or a name inside single
            quotes or backticks, where quoting would not hold.

    Example:
        >>> render('up{job="$service"}[$w]', {"service": 'a"b', "w": "5m"},
        ...        lambda v: v.replace('"', '\\\\"'))
        'up{job="a\\\\"b"}[5m]'
    """
    out: list[str] = []
    at, inside, pattern = 0, "", False
    while mark := _NEXT.search(query, at):
        out.append(query[at : mark.start()])
        at, sign = mark.end(), mark[0]
        name = _NAME.match(query, mark.start()) if sign == "$" else None
        if name:
            at = name.end()
            word = name["braced"] or name["bare"]
            out.append(_value(word, names, inside, pattern, quote, query) if word else "$")
            continue
        out.append(sign)
        if sign == "\\" and inside in ('"', "'"):
            out.append(query[at : at + 1])
            at += 1
        elif sign == inside:
            inside = ""
        elif not inside and sign in "\"'`":
            inside, pattern = sign, query[: mark.start()].rstrip().endswith(("=~", "!~"))
    return "".join((*out, query[at:]))


def _value(
    name: str, names: Mapping[str, str | int | float], inside: str, pattern: bool,
    quote: Callable[[str], str], query: str,
) -> str:  # fmt: skip
    if name not in names:
        close = get_close_matches(name, names, 1)
        known = ", ".join(f"${n}" for n in sorted(names)) or "none"
        hint = f"did you mean ${close[0]}?" if close else f"known here: {known}."
        raise BadQuery(
            f"the query has an unknown name ${name}",
            on=query.strip()[:120],
            next=f"{hint} Give others as arguments, {name}=..., and write $$ for a dollar sign",
        )
    text = str(names[name])
    if inside == '"':
        return quote(re.escape(text) if pattern else text)
    if not inside and _BARE.fullmatch(text):
        return text
    where = f"inside {inside}" if inside else "outside quotes"
    raise BadQuery(
        f"the value of ${name} cannot stand {where}",
        on=repr(text[:80]),
        next=f'write "${name}" in double quotes',
    )
