"""How results look in JupyterLab: inline hex colours on an opaque white plate, all text escaped.

JupyterLab's sanitizer drops `<style>`, handlers, CSS variables and inline `<svg>`; what is built
here is what it keeps.  Text becomes markup in one place only: `markupsafe`, which escapes
everything that is not already `Markup`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from irkit.figures.theme import FONT, TOKENS
from irkit.model.finding import Gap
from irkit.text import one_line

if TYPE_CHECKING:
    from irkit.figures.base import Figure

ROWS: Final = 20
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_LINKABLE = re.compile(r"https?://[^\s]+")


class Shown:
    """Something a notebook shows: a sentence as text, a plate as HTML.

    A subclass gives `_sentence` and `_parts`, and `_figure` where it has one; then the figure's
    own JSON travels beside the HTML, so that an exporter can redraw it.
    """

    def __repr__(self) -> str:
        return one_line(self._sentence(), 400)

    def _repr_html_(self) -> str:
        return plate(*self._parts())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        figure = self._figure()
        if figure is not None:
            from irkit.figures.base import MIME

            bundle[MIME] = figure._repr_mimebundle_()[MIME]
        return bundle

    def _sentence(self) -> str:
        raise NotImplementedError

    def _parts(self) -> Iterable[Markup]:
        raise NotImplementedError

    def _figure(self) -> Figure | None:
        return None


def hex_of(role: str) -> str:
    """The light colour of a role, as hex: the plate is white whatever the theme."""
    return TOKENS[role][0]


def clean(text: object) -> str:
    """Text without control and direction characters; line breaks stay."""
    return _CONTROL.sub("\ufffd", str(text))


def element(tag: str, style: str, *children: object, **attributes: str) -> Markup:
    """One element; children that are not `Markup` are escaped.

    Example:
        >>> str(element("b", "", "<img src=x>"))
        '<b>&lt;img src=x&gt;</b>'
    """
    inner = Markup("").join(c if isinstance(c, Markup) else clean(c) for c in children)
    given = {"style": style, **attributes} if style else attributes
    words = Markup("").join(Markup(' {}="{}"').format(k, clean(v)) for k, v in given.items())
    return Markup("<{}{}>{}</{}>").format(tag, words, inner, tag)


def plate(*parts: Markup) -> str:
    """The white ground on which everything stands."""
    style = (
        f"background:{hex_of('page')};color:{hex_of('ink')};font-family:{FONT};font-size:14px;"
        "line-height:1.5;padding:12px 16px;max-width:1080px"
    )
    return str(element("div", style, *parts))


def heading(text: str) -> Markup:
    """The finding, above the rest."""
    return element("div", "font-size:16px;font-weight:600;margin:0 0 4px", text)


def line(*children: object) -> Markup:
    """A line of text."""
    return element("div", "margin:2px 0", *children)


def meta(*children: object) -> Markup:
    """A line of small print: query, source, evidence."""
    return element("div", f"font-size:13px;color:{hex_of('muted')};margin:2px 0", *children)


def code(text: str) -> Markup:
    """Foreign or program text, in a fixed-width face."""
    style = (
        f"background:{hex_of('raised')};color:{hex_of('ink')};font-size:13px;padding:1px 4px;"
        "white-space:pre-wrap"
    )
    return element("code", style, text)


def word(text: str, role: str = "ink") -> Markup:
    """A word that carries a state, in its colour; the word itself says it too."""
    return element("span", f"color:{hex_of(role)};font-weight:600", text)


def link(text: str, url: str) -> Markup:
    """A link to an http address; any other address is shown as text."""
    if not _LINKABLE.fullmatch(url):
        return element("span", "", f"{text}: {url}" if url else text)
    return element("a", f"color:{hex_of('link')}", text, href=url, rel="noopener noreferrer")


def bullets(points: Iterable[object]) -> Markup:
    """A list of points; nothing for none."""
    made = [element("li", "margin:1px 0", p) for p in points]
    return element("ul", "margin:2px 0 6px;padding-left:22px", *made) if made else Markup("")


def card(role: str, *parts: Markup) -> Markup:
    """A box with a coloured rule at its left."""
    style = (
        f"border:1px solid {hex_of('hair')};border-left:4px solid {hex_of(role)};"
        "border-radius:6px;padding:8px 14px;margin:8px 0"
    )
    return element("div", style, *parts)


def gap_box(gap: Gap) -> Markup:
    """What could not be looked at, and what therefore cannot be said: a dashed box."""
    style = f"border:2px dashed {hex_of('control')};border-radius:6px;padding:6px 12px;margin:6px 0"
    parts = [line(word("Gap: ", "muted"), gap.what, ": ", gap.why)]
    if gap.cannot_say:
        parts.append(meta("We cannot say ", gap.cannot_say))
    return element("div", style, *parts)


def pairs(items: Iterable[tuple[str, object]]) -> Markup:
    """Names and values, one a line."""
    name = f"color:{hex_of('muted')};padding:1px 14px 1px 0;text-align:left;vertical-align:top"
    rows = [
        element("tr", "background:#FFFFFF", element("td", name, k), element("td", _LEFT, v))
        for k, v in items
    ]
    return element("table", "border-collapse:collapse;margin:4px 0", *rows)


_LEFT = f"color:{hex_of('ink')};text-align:left;vertical-align:top;padding:1px 0"


def table(
    head: Sequence[str], rows: Sequence[Sequence[object]], *, total: int | None = None,
    right: Iterable[int] = (), what: str = "rows",
) -> Markup:  # fmt: skip
    """The first 20 rows, and how many there are; the columns `right` hold numbers."""
    numbers = frozenset(right)
    # The colour is said in each cell: a dark theme's own rules for tables would win otherwise.
    edge = (
        f"color:{hex_of('ink')};border-bottom:1px solid {hex_of('hair')};"
        "padding:3px 12px 3px 0;vertical-align:top"
    )

    def cell(tag: str, index: int, value: object, **more: str) -> Markup:
        side = "right" if index in numbers else "left"
        return element(tag, f"{edge};text-align:{side}", value, **more)

    top = [cell("th", i, name, scope="col") for i, name in enumerate(head)]
    body = [
        element("tr", "background:#FFFFFF", *(cell("td", i, v) for i, v in enumerate(row)))
        for row in rows[:ROWS]
    ]
    count = len(rows) if total is None else total
    shown = len(body)
    below = f"{shown} of {count} {what} shown" if count > shown else f"{count} {what}"
    grid = element(
        "table", "border-collapse:collapse;font-size:14px;margin:6px 0",
        element("thead", "", element("tr", "background:#FFFFFF", *top)),
        element("tbody", "", *body),
    )  # fmt: skip
    return element("div", "overflow-x:auto", grid) + meta(below)


def image(figure: Figure, alt: str = "") -> Markup:
    """A figure as an image, with its finding (or `alt`) as the alternative text."""
    from irkit.figures.base import WIDE

    return Markup('<img alt="{}" src="{}" style="max-width:100%;height:auto">').format(
        clean(alt or figure.title), figure.data_uri(width=WIDE)
    )
