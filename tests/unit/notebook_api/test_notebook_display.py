"""Markup is made in one place, and foreign text never becomes any."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit import display
from irkit.model.finding import Gap
from irkit.text import one_line

TEXTS = st.text(max_size=60) | st.sampled_from(["</div><script>x</script>", '" onload="x', "&lt;"])


class Reader(HTMLParser):
    """Which elements and which text a browser would find."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(TEXTS)
def test_text_stays_text(text: str) -> None:
    seen = Reader(display.plate(display.line(text), display.code(text)))
    assert [tag for tag, _ in seen.tags] == ["div", "div", "code"]
    assert all(set(attrs) == {"style"} for _, attrs in seen.tags)
    if text.isprintable():
        assert seen.text == text * 2


@given(TEXTS)
def test_a_value_of_an_attribute_stays_in_it(text: str) -> None:
    seen = Reader(str(display.element("a", "", "x", title=text)))
    assert [tag for tag, _ in seen.tags] == ["a"]
    assert set(seen.tags[0][1]) == {"title"}


@given(TEXTS)
def test_only_web_addresses_become_links(text: str) -> None:
    for url in (text, f"javascript:{text}", f"data:text/html,{text}"):
        seen = Reader(str(display.link("here", url)))
        if seen.tags[0][0] == "a":
            assert url.startswith(("http://", "https://"))
    assert Reader(str(display.link("here", "https://x.example/a?b=1&c"))).tags[0][1]["href"] == (
        "https://x.example/a?b=1&c"
    )


@given(TEXTS, TEXTS, TEXTS)
def test_a_gap_is_a_dashed_box_of_text(what: str, why: str, cannot: str) -> None:
    seen = Reader(str(display.gap_box(Gap(what=what, why=why, cannot_say=cannot))))
    assert {tag for tag, _ in seen.tags} <= {"div", "span"}
    assert "2px dashed" in str(seen.tags[0][1]["style"])


def test_a_table_shows_twenty_rows_and_says_how_many_there_are() -> None:
    page = str(display.table(("a", "b"), [(i, "<b>") for i in range(50)], right=(0,)))
    seen = Reader(page)
    assert sum(tag == "tr" for tag, _ in seen.tags) == 21
    assert "20 of 50 rows shown" in seen.text
    assert "b" not in {tag for tag, _ in seen.tags}
    # a dark theme's own table rules must not win on the white plate
    cells = [attrs for tag, attrs in seen.tags if tag in ("td", "th")]
    assert all("color:#1B1F24" in str(attrs["style"]) for attrs in cells)


@given(st.text(max_size=400))
def test_a_line_is_one_line_and_not_longer_than_asked(text: str) -> None:
    line = one_line(text, 50)
    assert len(line) <= 50
    assert len(line.splitlines()) <= 1
    assert one_line(line, 50) == line


@pytest.mark.parametrize("hidden", ["\x1b[31m", "\u202e", "\u2066", "\u200b", "\x00", "\r\n"])
def test_what_cannot_be_seen_is_not_kept(hidden: str) -> None:
    assert hidden not in one_line(f"a{hidden}b")
    assert hidden.strip("\r\n") == "" or hidden not in display.clean(f"a{hidden}b")
