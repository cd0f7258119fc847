"""The colours, once: a page takes them as CSS variables, a plate as hex values.

Text has at least 4.9:1 and series at least 3.8:1 against their ground, in light and dark.
"""

from __future__ import annotations

from typing import Final, Literal

Theme = Literal["page", "plate"]

# role: (light, dark)
TOKENS: Final[dict[str, tuple[str, str]]] = {
    "page": ("#FFFFFF", "#14171C"),
    "raised": ("#F6F7F9", "#1C2027"),
    "ink": ("#1B1F24", "#E8ECF1"),
    "muted": ("#4A5361", "#A9B3C1"),
    "hair": ("#D5DAE1", "#323945"),
    "control": ("#7A8494", "#7D8899"),
    "link": ("#0B57A4", "#7CB8F5"),
    "sev1": ("#A3123A", "#FF7A96"),
    "sev1t": ("#FDE8EC", "#3A1620"),
    "sev2": ("#B34700", "#FF9A52"),
    "sev2t": ("#FFF0E3", "#38210F"),
    "ok": ("#00684A", "#4FC79A"),
    "okt": ("#E0F3EC", "#0F2E24"),
    "deploy": ("#5B3FA0", "#B9A3F2"),
    "deployt": ("#ECE7F8", "#272040"),
    "band": ("#E4EEF6", "#1D2A36"),
    "s1": ("#0072B2", "#5AA9F0"),
    "s2": ("#D55E00", "#FFB454"),
    "s3": ("#006B4F", "#2E9E78"),
    "s4": ("#B25A8F", "#D16BA5"),
}
SERIES: Final = ("s1", "s2", "s3", "s4")
DASHES: Final = ("", "7 3", "2 3", "9 3 2 3")
FONT: Final = "system-ui,'Segoe UI',Roboto,sans-serif"


def paint(role: str, theme: Theme, *, stroke: bool = False) -> str:
    """The attribute that paints a shape in a role: a class on a page, a hex value on a plate.

    Example:
        >>> paint("ink", "page"), paint("ink", "plate", stroke=True)
        ('class="f-ink"', 'stroke="#1B1F24"')
    """
    light = TOKENS[role][0]
    if theme == "page":
        return f'class="{"k" if stroke else "f"}-{role}"'
    return f'{"stroke" if stroke else "fill"}="{light}"'


def page_css() -> str:
    """The tokens as CSS variables (light, dark, print) and the paint classes for our SVG."""
    light = "".join(f"--{role}:{pair[0]};" for role, pair in TOKENS.items())
    dark = "".join(f"--{role}:{pair[1]};" for role, pair in TOKENS.items())
    paints = "".join(
        f".f-{role}{{fill:var(--{role})}}.k-{role}{{stroke:var(--{role})}}" for role in TOKENS
    )
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"@media print{{:root{{color-scheme:light}}}}{paints}"
    )
