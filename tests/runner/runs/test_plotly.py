"""Plotly in real runs: every figure arrives, whichever renderer its author left on."""

from __future__ import annotations

from typing import Any

from runs_seen import executed

from runner.export.figures import PLOTLY
from runner.export.files import export

DRAW = (
    "import plotly.graph_objects as go, plotly.io as pio\nfig = go.Figure(go.Scatter(y=[1, 3]))\n"
)
REST = (
    "go.Figure(go.Bar(x=['a', 'b'], y=[1, 2]))",
    "go.Figure(go.Pie(labels=['a', 'b'], values=[1, 2]))",
    "go.Figure(go.Heatmap(z=[[1, 2], [3, 4]]))",
)
RENDERERS = (
    "plotly_mimetype", "notebook", "notebook_connected", "jupyterlab", "iframe", "browser", "svg",
    "png", "notebook+pdf",
)  # fmt: skip


def test_every_figure_arrives_whichever_renderer_is_on(run: Any, tmp_path: Any) -> None:
    cells = [DRAW + "fig", "fig.show()", *REST]
    for name in RENDERERS:
        cells += [f"pio.renderers.default = {name!r}\nfig", "fig.show()", *REST]
    result = run(*cells)
    assert (result.status, result.error_text) == ("succeeded", "")
    outputs = [out for cell in executed(result).cells for out in cell.outputs]
    assert [sorted(out.get("data", {})) for out in outputs] == [[PLOTLY]] * len(cells)
    made = export(result.notebook, folder=tmp_path, to=("html",))
    assert made.figures == len(cells)


def test_a_renderer_named_for_one_figure_and_figures_written_as_html(
    run: Any, tmp_path: Any
) -> None:
    result = run(
        DRAW + "fig.show(renderer='iframe')\nfig.show('png')\npio.show(fig, 'browser')",
        "from plotly.offline import init_notebook_mode, iplot\ninit_notebook_mode()\niplot(fig)",
        "from IPython.display import HTML, display\ndisplay(HTML(fig.to_html(full_html=False)))",
        "try: fig.show('no such renderer')\nexcept ValueError as why: print('refused')",
    )
    assert result.status == "succeeded", result.error_text
    made = export(result.notebook, folder=tmp_path, to=("html",))
    assert made.figures == 5
    assert "refused" in (tmp_path / "report.html").read_text()
    with open(result.notebook, encoding="utf-8") as file:
        text = file.read()
    assert len(text) < 200_000, "plotly's own script is kept"
    assert "was not kept" not in text


def test_a_notebook_without_plotly_does_not_load_it(run: Any) -> None:
    result = run(
        "import sys\n[name for name in sys.modules if name.startswith('plotly')], sorted(globals())"
    )
    [output] = executed(result).cells[0].outputs
    assert output.data["text/plain"].startswith("([],")
    assert "irkit" not in output.data["text/plain"], "a name of ours is in the notebook's way"
