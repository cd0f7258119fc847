"""Plotly in a real kernel, whichever renderer is on: no figure goes missing."""

from __future__ import annotations

import nbclient
from nbformat.v4 import new_code_cell, new_notebook

from runner.export.files import to_html


def test_figures_of_a_real_kernel_with_each_renderer(open_page):
    make = (
        "import plotly.graph_objects as go, plotly.io as pio\n"
        "fig = go.Figure(go.Scatter(y=[1, 3, 2]))"
    )
    cells = [make, "fig.show()", "fig"]
    for name in ("notebook", "notebook_connected", "plotly_mimetype", "plotly_mimetype+notebook"):
        cells.append(f"pio.renderers.default = {name!r}\nfig.show()\nfig")
    notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    html = to_html(notebook)
    seen = open_page(html, scripts=False)
    assert seen.page.locator("figure:has(> .still.broad svg:visible)").count() == 2 + 4 * 2
    assert seen.said == []
    assert seen.foreign == []
    assert len(html) < 1_500_000, "plotly's own copies of its script are gone"
