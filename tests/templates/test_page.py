"""The page as a reader's browser sees it: complete, silent, alone, and readable."""

from __future__ import annotations

import re
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sample import EVIL, sample_facts, sample_notebook

from irkit.errors import IrkitError
from irkit.postmortem import assemble
from runner.export.files import to_html
from runner.export.page import BUNDLE_SHA256, bundle_script, policy, script
from runner.shipped import shipped

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def page_html() -> str:
    told = sample_facts()
    return to_html(assemble(sample_notebook(), told), told)


def notebook_of(*bundles: dict[str, Any]) -> Any:
    return new_notebook(
        cells=[new_code_cell("show()", outputs=[new_output("display_data", b)]) for b in bundles]
    )


def plotly_figures() -> list[Any]:
    """Figures of many kinds, made by plotly itself; the last one is of none of our kinds."""
    import numpy as np
    import pandas as pd
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    times = pd.date_range("2026-03-01", periods=400, freq="5s")
    values = np.sin(np.arange(400) / 20)
    two = make_subplots(rows=2, cols=1, shared_xaxes=True)
    two.add_scatter(x=times, y=values, name="up", row=1, col=1)
    two.add_scatter(x=times, y=values * 2, name="down", row=2, col=1)
    lines = go.Figure(go.Scatter(x=times, y=values, name="requests"))
    lines.add_vline(x="2026-03-01 00:10:00")
    return [
        lines,
        go.Figure(go.Scatter(x=times, y=values, fill="tozeroy")),
        go.Figure(go.Bar(x=["a", "b"], y=[1, 2])),
        go.Figure(go.Histogram(x=values)),
        go.Figure(go.Heatmap(z=values.reshape(20, 20))),
        go.Figure(go.Box(y=values, name="all")),
        go.Figure(go.Pie(labels=["a", "b"], values=[3, 1])),
        two,
        go.Figure(go.Contour(z=values.reshape(20, 20))),
        go.Figure(go.Scatterternary(a=[1, 2], b=[2, 1], c=[1, 1])),
    ]


def drawn(seen: Any) -> int:
    """How many figures show a drawing: a still one of ours, or a live one."""
    return int(seen.page.locator(
        "figure:has(> .still.broad svg:visible), figure:has(.live .main-svg)"
    ).count())  # fmt: skip


def test_post_mortem_is_silent_and_alone_with_and_without_scripts(page_html, open_page):
    for scripts in (True, False):
        seen = open_page(page_html, scripts=scripts)
        assert seen.page.locator("h1").count() == 1
        assert seen.page.locator("h2").count() == 12
        assert drawn(seen) == 5, "timeline, signals, durations and the notebook's two"
        assert seen.said == []
        assert seen.foreign == []


def test_first_screen_says_effect_span_end_review_and_trust(page_html, open_page):
    for width in (1280, 390):
        seen = open_page(page_html, width=width)
        for words in (
            "30 % of checkout requests fail",
            "14:01:45Z to 14:09:12Z",
            "7m 27s",
            "recovered after",
            "review: draft",
            "chain verified to",
            "1 gap",
        ):
            box = seen.page.get_by_text(words).first.bounding_box()
            assert box, words
            assert box["y"] + box["height"] < 844, f"{words} is below the first screen at {width}"


def test_no_sideways_scroll_and_no_small_text(page_html, open_page):
    for width in (320, 390, 1280):
        seen = open_page(page_html, width=width)
        seen.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        wide = seen.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} px of content at {width}"
        if width < 390:
            continue
        smallest = seen.page.evaluate("""() => Math.min(...[...document.querySelectorAll('*')]
          .filter(e => e.checkVisibility() && [...e.childNodes].some(
            n => n.nodeType === 3 && n.textContent.trim()))
          .map(e => {
            const svg = e.ownerSVGElement;
            const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
            return parseFloat(getComputedStyle(e).fontSize) * scale;
          }))""")
        assert smallest >= 11.9, f"text of {smallest} px at {width}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(page_html, open_page, scheme):
    seen = open_page(page_html, color_scheme=scheme)
    seen.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    poor = seen.page.evaluate("""() => {
      const rgb = (t) => (t.match(/[\\d.]+/g) || []).map(Number);
      const light = (c) => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const ground = (e) => { for (; e; e = e.parentElement) {
        const c = rgb(getComputedStyle(e).backgroundColor);
        if (c.length && (c.length < 4 || c[3] > 0)) return c; } return [255, 255, 255]; };
      const out = [];
      for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
        if (!own || !e.checkVisibility() || e.tagName === 'SCRIPT' || e.ariaHidden) continue;
        const style = getComputedStyle(e);
        const a = light(rgb(e.ownerSVGElement ? style.fill : style.color));
        const b = light(ground(e));
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) out.push([ratio.toFixed(2), e.tagName, e.textContent.slice(0, 40)]);
      }
      return out; }""")
    assert poor == []


def test_hostile_text_is_inert_everywhere(page_html, open_page):
    seen = open_page(page_html)
    for button in seen.page.locator("figure[data-live] .tools button").all():
        button.click()
    seen.page.wait_for_function("document.querySelectorAll('.live .main-svg').length >= 4")
    assert seen.page.locator("img[src='x'], [onerror]").count() == 0
    assert seen.page.get_by_text(EVIL).count() >= 2, "hostile text is shown as text"
    assert seen.said == []
    assert seen.foreign == []


def test_the_live_figure_offers_no_upload(page_html, open_page):
    seen = open_page(page_html)
    seen.page.locator("figure[data-live] .tools button").first.click()
    seen.page.wait_for_selector(".live .main-svg")
    names = seen.page.eval_on_selector_all(
        ".modebar-btn", "b => b.map(x => x.getAttribute('data-title'))"
    )
    assert names
    assert not [n for n in names if re.search("share|cloud|download|edit", n or "", re.IGNORECASE)]


@pytest.mark.parametrize(
    "renderer", ["plotly_mimetype", "notebook", "notebook_connected", "default"]
)
def test_every_plotly_figure_appears_whichever_renderer_was_left_on(renderer, open_page):
    import plotly.io as pio

    figures = plotly_figures()
    name = "plotly_mimetype" if renderer == "default" else renderer
    made = pio.renderers[name]
    bundles = [made.to_mimebundle(f.to_plotly_json()) for f in figures]
    html = to_html(
        notebook_of(
            *[{k: v if isinstance(v, str) else _plain(v) for k, v in b.items()} for b in bundles]
        )
    )
    still = open_page(html, scripts=False)
    assert still.page.locator("figure").count() == len(figures)
    assert drawn(still) == len(figures) - 1, "all but the ternary one are drawn without scripts"
    assert still.page.locator("figure:not(:has(svg)) details[open] table").count() == 1
    live = open_page(html)
    live.page.wait_for_selector(".live .main-svg")
    assert drawn(live) == len(figures)
    assert live.said == still.said == []
    assert live.foreign == still.foreign == []


def _plain(value: Any) -> Any:
    import json

    from plotly.utils import PlotlyJSONEncoder

    return json.loads(json.dumps(value, cls=PlotlyJSONEncoder))


def test_the_loader_of_plotly_leaves_nothing_behind():
    loader = (
        "<script>window.PlotlyConfig = {};</script><script>/* plotly.js v4 */ eval('1')</script>"
    )
    html = to_html(notebook_of({"text/html": loader}))
    assert "PlotlyConfig" not in html
    assert policy(explore=False).replace("'", "&#39;") in html
    assert "<script" not in html


def test_author_markup_keeps_tables_and_loses_scripts_frames_forms_and_remote_images(open_page):
    source = (
        "# Title\n\n<details><summary>More</summary>inside</details>\n\n| a | b |\n| - | - |\n"
        "| 1 | 2 |\n\n<script>alert(1)</script><iframe src='https://example.org'></iframe>"
        "<form action='https://example.org'><input></form>"
        "<img src='https://example.org/x.png'><a href='javascript:alert(1)'>go</a>"
        "<p style='position:fixed;background:url(https://example.org/y)'>p</p>"
        "<svg onload=alert(1)><script>alert(2)</script></svg>"
        "<img src='data:image/png;base64,iVBORw0KGgo=' onload=alert(1)>"
    )
    html = to_html(new_notebook(cells=[new_markdown_cell(source)]))
    seen = open_page(html)
    assert seen.page.locator("details, table").count() == 2
    assert seen.page.locator("script, iframe, form, input, svg, [onload], [style]").count() == 0
    assert seen.page.locator("a[href^=javascript]").count() == 0
    assert seen.page.locator("h1").count() == 1
    assert seen.page.locator("img[alt]").count() == 1
    assert seen.said == []
    assert seen.foreign == []


def test_outputs_that_need_a_kernel_or_a_script_leave_a_note():
    html = to_html(notebook_of(
        {"application/javascript": "alert(1)"},
        {WIDGET: {"model_id": "m"}},
        {WIDGET: {"model_id": "m"},
         "text/html": "<p>static form</p>"},
    ))  # fmt: skip
    assert "this page runs no foreign scripts" in html
    assert "works in JupyterLab only" in html
    assert "static form" in html
    assert "alert(1)" not in html
    assert "model_id" not in html


def test_a_control_shows_its_static_form():
    """What it printed; a progress bar's last words; and what an `interact` gave."""
    state = {
        "bar": {"model_name": "HBoxModel", "state": {"children": ["IPY_MODEL_l", "IPY_MODEL_r"]}},
        "l": {"model_name": "HTMLModel", "state": {"value": "<b>100%</b>"}},
        "r": {"model_name": "HTMLModel", "state": {"value": " 3/3 [00:00&lt;00:00]"}},
        "box": {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_out"]}},
        "out": {"model_name": "OutputModel", "state": {"outputs": [
            {"output_type": "display_data", "metadata": {},
             "data": {"text/html": "<i>caught</i><script>alert(1)</script>"}},
            {"output_type": "nonsense"}, 7,
        ]}},
        "odd": ["no model"],
    }  # fmt: skip
    notebook = notebook_of(
        {WIDGET: {"model_id": "s"}, "text/plain": "IntSlider(value=3, description='<b>')"},
        {WIDGET: {"model_id": "bar"}, "text/plain": "  0%| | 0/3 [00:00<?, ?it/s]"},
        {WIDGET: {"model_id": "box"}, "text/plain": "interactive(children=())"},
        {WIDGET: {"model_id": "odd"}, "text/plain": "Odd()"},
    )
    notebook.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {"state": state, "version_major": 2}
    }
    html = to_html(notebook)
    shown = ("IntSlider(value=3, description=&#39;&lt;b&gt;&#39;)", "100% 3/3 [00:00&lt;00:00]",
             "interactive(children=())", "<i>caught</i>", "Odd()")  # fmt: skip
    assert [text for text in shown if text not in html] == []
    assert "0/3" not in html
    assert "works in JupyterLab only" not in html
    assert "alert(1)" not in html


def test_latex_is_shown_as_its_source():
    bare = "<IPython.core.display.Latex object>"
    html = to_html(notebook_of(
        {"text/latex": "$\\alpha < 1$", "text/plain": bare},
        {"text/latex": "$$x$$", "text/plain": "x in words"},
    ))  # fmt: skip
    assert "<code>$\\alpha &lt; 1$</code>" in html
    assert "x in words" in html
    assert "IPython.core" not in html


def test_the_page_names_the_cell_that_failed_as_its_author_saw_it():
    tagged = {"tags": ["papermill-error-cell-tag"]}
    failed = new_output("error", ename="MemoryError", evalue="", traceback=["MemoryError: "])
    notebook = new_notebook(
        cells=[
            new_markdown_cell("An Exception was encountered", metadata=tagged),
            new_code_cell("n = 2", metadata={"tags": ["injected-parameters"]}),
            new_code_cell("1", execution_count=1),
            new_markdown_cell("Execution using papermill stopped", metadata=tagged),
            new_code_cell("raise MemoryError", execution_count=2, outputs=[failed]),
            new_code_cell("never()"),
        ],
        metadata={"irkit": {"status": "failed", "cell": 2, "error": "MemoryError"}},
    )
    html = to_html(notebook)
    summaries = re.findall(r"<summary>(Code.*?)</summary>", html)
    assert summaries == [
        "Code: parameters of this run", "Code, In [1]", "Code, In [2]: it failed",
        "Code: not executed",
    ]  # fmt: skip
    assert "This run failed in cell In [2]: MemoryError" in html
    assert "<strong>MemoryError</strong></p>" in html
    assert "papermill stopped" not in html
    assert "was encountered" not in html


def test_a_page_that_fails_says_so_in_words(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: Any, **__: Any) -> str:
        raise KeyError("odd")

    monkeypatch.setattr("runner.export.steps.clean_html", broken)
    with pytest.raises(IrkitError, match=r"the page could not be made \(KeyError: 'odd'\)"):
        to_html(notebook_of({"text/html": "<p>x</p>"}))


def test_foreign_svg_appears_only_as_an_image(open_page):
    svg = "<svg xmlns='http://www.w3.org/2000/svg' width='9'><script>alert(1)</script></svg>"
    seen = open_page(to_html(notebook_of({"image/svg+xml": svg, "text/plain": "a drawing"})))
    assert seen.page.locator("img[alt='a drawing'][src^='data:image/svg+xml;base64,']").count() == 1
    assert seen.page.locator("svg").count() == 0
    assert seen.said == []


def test_the_policy_names_the_scripts_by_their_hash_and_nothing_else(page_html):
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page_html)
    assert found
    text = found[1].replace("&#39;", "'")
    assert text == policy(explore=True)
    assert text.startswith("default-src 'none'")
    assert "unsafe-eval" not in text
    assert "unsafe-inline" not in text.replace("style-src 'unsafe-inline'", "")
    assert "http:" not in text
    assert "https:" not in text


def test_the_vendored_bundle_is_the_pinned_one():
    import hashlib

    note = (shipped("templates") / "postmortem" / "vendor" / "README.md").read_text()
    assert hashlib.sha256(bundle_script()).hexdigest() == BUNDLE_SHA256
    assert BUNDLE_SHA256 in note


def test_sizes_stay_within_their_budgets(page_html):
    css = re.search(r"<style>(.*?)</style>", page_html, re.DOTALL)
    assert css
    assert len(css[1].encode()) < 24_000
    assert len(script().encode()) < 8_000
    drawings = re.findall(r"<svg.*?</svg>", page_html, re.DOTALL)
    assert drawings
    assert max(len(d.encode()) for d in drawings) < 40_000
    inert = sum(
        len(m) for m in re.findall(r'<script type="text/plain".*?</script>', page_html, re.DOTALL)
    )
    assert len(page_html.encode()) - inert < 400_000


def test_keyboard_reaches_the_explore_button_and_every_scrolling_region(page_html, open_page):
    seen = open_page(page_html, width=390)
    regions = seen.page.locator(".wide")
    assert regions.count() > 0
    assert seen.page.locator(".wide:not([tabindex='0'])").count() == 0
    button = seen.page.locator("figure[data-live] .tools button").first
    button.focus()
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector(".live .main-svg")
    assert button.inner_text() == "Show the still drawing"
    button.press("Enter")
    assert seen.page.locator(".live").count() == 0


def test_print_is_light_and_shows_no_code(page_html, open_page):
    seen = open_page(page_html, color_scheme="dark")
    seen.page.emulate_media(media="print")
    assert seen.page.locator("details.code:visible").count() == 0
    ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
