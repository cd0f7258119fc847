"""A sheet to draw on: shapes in, SVG text out; every text is escaped here and nowhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from irkit.figures.theme import FONT, TOKENS, Theme, paint

Point = tuple[float, float]
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_SPACE = re.compile(r"\s+")


def escape(text: str) -> str:
    """Make foreign text inert in XML: markup characters, quotes and forbidden control codes.

    Example:
        >>> escape('<img src=x onerror=alert(1)>')
        '&lt;img src=x onerror=alert(1)&gt;'
    """
    clean = _CONTROL.sub("\ufffd", text)
    return (
        clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )


def number(value: float) -> str:
    """A coordinate in as few characters as a tenth of a pixel needs.

    Example:
        >>> number(3.04), number(0.5), number(-0.02)
        ('3', '.5', '0')
    """
    text = f"{value:.1f}".rstrip("0").rstrip(".")
    if text in ("-0", ""):
        return "0"
    return text.replace("0.", ".", 1) if text.startswith(("0.", "-0.")) else text


def text_width(text: str, size: float) -> float:
    """About how wide a line of text is, in pixels; fonts differ, so it errs on the wide side."""
    wide = sum(
        1.0 if ord(c) > 0x2E80 else 0.62 if c.isupper() or c in "mwMW@%" else 0.54 for c in text
    )
    return wide * size


def fit(text: str, width: float, size: float) -> str:
    """Shorten text with an ellipsis until it fits into `width` pixels."""
    text = _SPACE.sub(" ", text).strip()
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrap(text: str, width: float, size: float, lines: int = 2) -> list[str]:
    """Break text at spaces into at most `lines` lines of `width` pixels; the last is shortened."""
    rest = _SPACE.sub(" ", text).strip()
    out: list[str] = []
    while rest and len(out) < lines - 1 and text_width(rest, size) > width:
        cut = len(rest)
        while cut > 0 and text_width(rest[:cut], size) > width:
            cut = rest.rfind(" ", 0, cut)
        if cut <= 0:
            break
        out.append(rest[:cut])
        rest = rest[cut + 1 :]
    return [*out, fit(rest, width, size)] if rest else out


class Canvas:
    """Collects shapes of one drawing, `width` by `height` pixels, and returns it as SVG text."""

    def __init__(self, width: float, *, theme: Theme) -> None:
        self.width, self.theme = width, theme
        self._parts: list[str] = []

    def line(self, a: Point, b: Point, role: str, *, width: float = 1, dash: str = "") -> None:
        """A straight line from `a` to `b`."""
        self.path(
            f"M{number(a[0])} {number(a[1])}L{number(b[0])} {number(b[1])}",
            role,
            width=width,
            dash=dash,
        )

    def path(self, d: str, role: str, *, width: float = 1.75, dash: str = "") -> None:
        """An open path with its stroke in `role`."""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<path {paint(role, self.theme, stroke=True)} fill="none" '
            f'stroke-width="{number(width)}" stroke-linejoin="round"{dashes} d="{d}"/>'
        )

    def curve(self, x: Any, y: Any, role: str, *, width: float = 1.75, dash: str = "") -> None:
        """A line through many points, given as arrays of pixels."""
        if len(x) == 1:
            self.dot((float(x[0]), float(y[0])), 2, role)
        elif len(x):
            self.path(relative(x, y), role, width=width, dash=dash)

    def points(self, x: Any, y: Any, role: str) -> None:
        """Dots, as one path of round strokes without length: many cost little."""
        import numpy as np

        tenths = np.rint(np.array([x, y]) * 10).astype(int).T.tolist()
        d = "".join(f"M{_tenths(a)} {_tenths(b)}h0" for a, b in tenths)
        self._parts.append(
            f'<path {paint(role, self.theme, stroke=True)} fill="none" stroke-width="4" '
            f'stroke-linecap="round" d="{d}"/>'
        )

    def fill(self, d: str, role: str, opacity: float) -> None:
        """Closed shapes given as path data, all in one shade."""
        self._parts.append(
            f'<path {paint(role, self.theme)} fill-opacity="{opacity:.2f}" d="{d}"/>'
        )

    def area(self, x: Any, y: Any, base: float, role: str, opacity: float = 0.25) -> None:
        """The ground between a line and `base` (a y coordinate)."""
        if len(x) > 1:
            foot = f"V{number(base)}H{number(float(x[0]))}z"
            self._parts.append(
                f'<path {paint(role, self.theme)} fill-opacity="{opacity}" '
                f'd="{relative(x, y)}{foot}"/>'
            )

    def rect(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        role: str,
        *,
        radius: float = 0,
        opacity: float = 1,
        note: str = "",
    ) -> None:
        """A filled box; `note` is what a pointer resting on it is told."""
        extra = f' rx="{number(radius)}"' if radius else ""
        extra += f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
        self._parts.append(
            self._noted(
                f'<rect {paint(role, self.theme)} x="{number(x)}" y="{number(y)}" '
                f'width="{number(max(w, 0.5))}" height="{number(max(h, 0.5))}"{extra}',
                "rect",
                note,
            )
        )

    def dot(
        self, at: Point, radius: float, role: str, *, hollow: bool = False, note: str = ""
    ) -> None:
        """A dot, or a ring when `hollow`."""
        self._parts.append(
            self._noted(
                f'<circle {self._shape(role, hollow)} cx="{number(at[0])}" cy="{number(at[1])}" '
                f'r="{number(radius)}"',
                "circle",
                note,
            )
        )

    def polygon(
        self, points: Iterable[Point], role: str, *, hollow: bool = False, note: str = ""
    ) -> None:
        """A closed shape."""
        corners = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self._parts.append(
            self._noted(f'<polygon {self._shape(role, hollow)} points="{corners}"', "polygon", note)
        )

    def diamond(
        self, at: Point, r: float, role: str, *, hollow: bool = False, note: str = ""
    ) -> None:
        """The sign of an act."""
        x, y = at
        self.polygon(
            [(x, y - r), (x + r, y), (x, y + r), (x - r, y)], role, hollow=hollow, note=note
        )

    def flag(self, at: Point, role: str, *, note: str = "") -> None:
        """The sign of a deploy: a pennant whose foot stands at `at`."""
        x, y = at
        self.polygon([(x, y), (x, y - 10), (x + 9, y - 6.5), (x, y - 3)], role, note=note)

    def hatch(self, x: float, y: float, w: float, h: float, *, step: float = 6) -> None:
        """Diagonal lines over a box: the sign of a gap in what is known."""
        d = []
        offset = step / 2
        while offset < w + h:
            x1, x2 = max(0.0, offset - h), min(w, offset)
            d.append(
                f"M{number(x + x1)} {number(y + offset - x1)}"
                f"L{number(x + x2)} {number(y + offset - x2)}"
            )
            offset += step
        self.path("".join(d), "control", width=1)

    def text(
        self,
        at: Point,
        text: str,
        role: str = "ink",
        *,
        size: float = 12,
        anchor: str = "start",
        bold: bool = False,
        halo: bool = False,
    ) -> None:
        """A line of text; with `halo` the ground shows around it where lines pass below."""
        attrs = f'x="{number(at[0])}" y="{number(at[1])}" font-size="{number(size)}"'
        attrs += f' text-anchor="{anchor}"' if anchor != "start" else ""
        attrs += ' font-weight="600"' if bold else ""
        if halo:
            self._parts.append(
                f'<text {attrs} {paint("page", self.theme, stroke=True)} stroke-width="3" '
                f'stroke-linejoin="round" aria-hidden="true">{escape(text)}</text>'
            )
        self._parts.append(f"<text {attrs} {paint(role, self.theme)}>{escape(text)}</text>")

    def svg(self, height: float, *, title: str, desc: str = "") -> str:
        """The finished drawing; on a plate it stands on an opaque white ground with a margin."""
        pad = 12 if self.theme == "plate" else 0
        w, h = math.ceil(self.width) + 2 * pad, math.ceil(height) + 2 * pad
        plate = ""
        open_group = close_group = ""
        if pad:
            plate = f'<rect width="{w}" height="{h}" fill="{TOKENS["page"][0]}"/>'
            open_group, close_group = f'<g transform="translate({pad} {pad})">', "</g>"
        describe = f"<desc>{escape(desc)}</desc>" if desc else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" '
            f'height="{h}" role="img" aria-label="{escape(title)}" font-family="{FONT}">'
            f"<title>{escape(title)}</title>{describe}{plate}{open_group}"
            f"{''.join(self._parts)}{close_group}</svg>"
        )

    def _shape(self, role: str, hollow: bool) -> str:
        if not hollow:
            return paint(role, self.theme)
        ground = "var(--page)" if self.theme == "page" else TOKENS["page"][0]
        how = "style" if self.theme == "page" else "fill"
        fill = f'{how}="fill:{ground}"' if how == "style" else f'fill="{ground}"'
        return f'{paint(role, self.theme, stroke=True)} {fill} stroke-width="2"'

    @staticmethod
    def _noted(start: str, tag: str, note: str) -> str:
        return f"{start}><title>{escape(note)}</title></{tag}>" if note else f"{start}/>"


def relative(x: Any, y: Any) -> str:
    """SVG path data through the points, in whole tenths of a pixel so that errors do not add up.

    Example:
        >>> relative([0, 1, 2], [0, 2, 2])
        'M0 0l1 2 1 0'
    """
    import numpy as np

    tenths = np.rint(np.array([x, y]) * 10).astype(int)
    start = f"M{_tenths(int(tenths[0, 0]))} {_tenths(int(tenths[1, 0]))}l"
    steps = " ".join(map(_tenths, np.diff(tenths).T.ravel().tolist()))
    return start + steps.replace(" -", "-")


@lru_cache(maxsize=20_000)
def _tenths(value: int) -> str:
    return number(value / 10)
