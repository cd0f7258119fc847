"""What every figure of ours is: a frozen value that can draw itself and be read back."""

from __future__ import annotations

import base64
from typing import Any, Final, Literal

import msgspec

from irkit.figures.canvas import Canvas, wrap
from irkit.figures.theme import Theme

MIME: Final = "application/vnd.irkit.figure.v1+json"
WIDE: Final = 1040
NARROW: Final = 358

MarkKind = Literal["deploy", "act", "alert", "verified", "note"]
MARK_ROLES: Final[dict[str, str]] = {
    "deploy": "deploy",
    "act": "s1",
    "alert": "sev1",
    "verified": "ok",
    "note": "muted",
}


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A moment to show across a panel: `at` is epoch milliseconds (or x where x is no time)."""

    at: float
    kind: MarkKind = "note"
    label: str = ""


class Span(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stretch of x from `start` to `end`, with what it means."""

    start: float
    end: float
    label: str = ""


class Normal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is usual: the 5th to 95th percentile of an earlier window, which `label` names."""

    low: float
    high: float
    label: str = "normal"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """The figure's data in words and numbers, for readers who want or need no picture."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


class Figure(msgspec.Struct, frozen=True, kw_only=True, tag_field="figure", omit_defaults=True):
    """A drawing as a value.

    `title` is the finding, in words.  `query`, `source` and `evidence` (the id of the recorded
    look) become the caption.  In JupyterLab a figure shows itself as an image with `title` as
    its alternative text; an exporter redraws it from the JSON that travels beside the image.
    """

    title: str
    query: str = ""
    source: str = ""
    evidence: str = ""

    def svg(self, *, width: float = WIDE, theme: Theme = "page") -> str:
        """SVG text, `width` pixels wide (1040, or 358 for a phone).

        `page` paints with CSS classes, so that the page's colours rule; `plate` paints with
        fixed colours on an opaque white ground, for places whose style sheet is not ours.
        """
        canvas = Canvas(width, theme=theme)
        top = draw_title(canvas, self.title)
        height = self._draw(canvas, top)
        return canvas.svg(height, title=self.title, desc=self._describe())

    def data_uri(self, *, width: float = WIDE) -> str:
        """The plate as a `data:` URI for an `<img>`: the one form JupyterLab's sanitizer keeps."""
        text = self.svg(width=width, theme="plate").encode()
        return "data:image/svg+xml;base64," + base64.b64encode(text).decode()

    def table(self) -> Table:
        """The data behind the drawing."""
        raise NotImplementedError

    def _draw(self, canvas: Canvas, top: float) -> float:
        raise NotImplementedError

    def _describe(self) -> str:
        return ""

    def __repr__(self) -> str:
        return f"<figure: {self.title}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from html import escape

        caption = " · ".join(filter(None, (self.source, self.query, self.evidence)))
        image = (
            f'<img alt="{escape(self.title)}" src="{self.data_uri()}" '
            'style="max-width:100%;height:auto">'
        )
        below = (
            f'<div style="font-size:13px;color:#4A5361;background:#FFFFFF">{escape(caption)}</div>'
            if caption
            else ""
        )
        return {
            MIME: msgspec.to_builtins(self),
            "text/html": f"<div>{image}{below}</div>",
            "text/plain": repr(self),
        }


def draw_title(canvas: Canvas, title: str) -> float:
    """Write the finding above the drawing; returns the y where the drawing may begin."""
    if not title:
        return 4
    lines = wrap(title, canvas.width, 16.2, 2 if canvas.width >= 600 else 3)
    for i, text in enumerate(lines):
        canvas.text((0, 14 + 18 * i), text, size=14, bold=True)
    return 24 + 18 * (len(lines) - 1)
