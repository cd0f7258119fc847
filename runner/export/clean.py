"""Makes foreign markup harmless: what a page of ours shows of other people's HTML and text."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from typing import Any, Final

import nh3

_TAGS: Final = {
    "a", "abbr", "b", "blockquote", "br", "caption", "center", "code", "col", "colgroup", "dd",
    "del", "details", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4",
    "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp",
    "small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th",
    "thead", "time", "tr", "u", "ul", "var",
}  # fmt: skip
_ATTRIBUTES: Final[dict[str, set[str]]] = {
    "*": {"style", "title", "lang", "dir"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "scope", "align"},
    "ol": {"start"},
    "details": {"open"},
    "time": {"datetime"},
}
_STYLES: Final = {
    "background", "background-color", "border", "border-bottom", "border-collapse", "border-color",
    "border-left", "border-radius", "border-right", "border-spacing", "border-top", "color",
    "font-family", "font-size", "font-style", "font-weight", "line-height", "list-style",
    "margin-top", "margin-bottom", "max-width", "padding", "padding-left", "padding-right",
    "text-align", "text-decoration", "vertical-align", "white-space", "width",
}  # fmt: skip
_IMAGE: Final = re.compile(
    r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]+\Z"
)  # the whole value, so that nothing can follow it
_LINK: Final = re.compile(r"(https?://|mailto:)", re.IGNORECASE)
# Colour codes, cursor moves, titles and links that programs write to a terminal.
_ANSI: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# Characters that turn text around on the screen, so that it reads as what it is not.
_BIDI: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_NUMBER_CELL: Final = re.compile(r"<td>(?=[-+]?\d[\d.,]*(?:e[-+]?\d+)?(?: ?%)?</td>)")
_SCRIPT: Final = re.compile(r"<script\b.*?</script\s*>", re.IGNORECASE | re.DOTALL)


def _keep(tag: str, attribute: str, value: str) -> str | None:
    if tag == "img" and attribute == "src":
        return value if _IMAGE.match(value) else None
    if attribute == "href":
        return value if _LINK.match(value) else None
    if attribute == "style" and re.search(r"url\s*\(|expression|image-set|\\", value, re.I):
        return None
    return value


_CLEANER: Final = nh3.Cleaner(
    tags=_TAGS,
    clean_content_tags={"script", "style", "iframe", "object", "noscript", "template", "svg",
                        "math", "title"},
    attributes=_ATTRIBUTES,
    attribute_filter=_keep,
    url_schemes={"http", "https", "mailto", "data"},
    filter_style_properties=_STYLES,
    link_rel="noopener noreferrer nofollow",
)  # fmt: skip


def clean_html(markup: str, *, demote: int = 2) -> str:
    """Author markup without scripts, handlers, frames, forms, remote images, classes and ids.

    Tables, details and data images stay.  Headings go down by `demote`, so that a page keeps its
    own order; an image without alternative text gets an honest one; tables get a region that
    scrolls.

    Example:
        >>> clean_html('<h1>x</h1><img src=x onerror=alert(1)>')
        '<h3>x</h3><span>[image left out]</span>'
    """
    if len(markup) > 200_000:
        markup = _SCRIPT.sub("", markup)
    clean = _CLEANER.clean(markup)
    if demote:
        clean = re.sub(r"(</?h)([1-6])\b", lambda m: f"{m[1]}{min(int(m[2]) + demote, 6)}", clean)
    clean = re.sub(r"<img(?![^>]*\ssrc=)[^>]*>", "<span>[image left out]</span>", clean)
    clean = re.sub(r"<img(?![^>]*\salt=)", '<img alt="image without a description"', clean)
    clean = _NUMBER_CELL.sub('<td class="n">', clean)
    clean = clean.replace(
        "<table", '<div class="wide" tabindex="0" role="region" aria-label="table"><table'
    )
    return clean.replace("</table>", "</table></div>")


def clean_text(text: str) -> str:
    """Text for a `<pre>`: without terminal codes and control characters, not yet escaped.

    Direction marks are shown by name, for they can make text read as what it is not.

    Example:
        >>> clean_text(chr(27) + '[31mred' + chr(27) + '[0m')
        'red'
    """
    plain = _ANSI.sub("", text)
    plain = "\n".join(_overwritten(line) for line in plain.split("\n"))
    return _BIDI.sub(lambda m: f"[U+{ord(m[0]):04X}]", _CONTROL.sub("\ufffd", plain))


def _overwritten(line: str) -> str:
    """What is left of a line that was written over with carriage returns (progress bars)."""
    parts = [part for part in line.split("\r") if part]
    return parts[-1] if parts else ""


def markdown(source: str, *, demote: int = 2, attachments: dict[str, Any] | None = None) -> str:
    """Markdown of an author as harmless HTML; `attachment:` images are put in as data."""
    import mistune

    for name, bundle in (attachments or {}).items():
        for mime, data in bundle.items():
            source = source.replace(f"attachment:{name}", f"data:{mime};base64,{data}")
    render: Callable[[str], Any] = mistune.create_markdown(
        escape=False,
        renderer=_Renderer(escape=False),
        plugins=["table", "strikethrough", "task_lists", "url"],
    )
    return clean_html(str(render(source)), demote=demote)


def _renderer() -> Any:
    import mistune

    class Renderer(mistune.HTMLRenderer):
        """Keeps data images, which mistune drops; the cleaner decides afterwards."""

        def safe_url(self, url: str) -> str:
            return url if _IMAGE.match(url) else super().safe_url(url)

    return Renderer


_Renderer: Final = _renderer()


def data_image(mime: str, data: str) -> str | None:
    """A `data:` URI for a notebook's image output, or None where it is none.

    An SVG becomes an image too: in an `<img>` it can neither run scripts nor load anything.
    """
    if mime == "image/svg+xml":
        encoded = base64.b64encode(data.encode()).decode()
    else:
        encoded = re.sub(r"\s+", "", data)
    uri = f"data:{mime};base64,{encoded}"
    return uri if _IMAGE.match(uri) else None


def escape(text: str) -> str:
    """Text as HTML."""
    return html.escape(text, quote=True)
