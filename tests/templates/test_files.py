"""Files: what is written, that it repeats, Markdown to the letter, and what is cut or refused."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from sample import EVIL, sample_facts, sample_notebook

from irkit.errors import BadInput, NotFound
from irkit.postmortem import assemble
from runner.export.clean import clean_html, clean_text
from runner.export.figures import recover
from runner.export.files import export, read_notebook, to_html, to_markdown

GOLDEN = Path(__file__).parent / "golden"


def code(*outputs):
    return new_notebook(cells=[new_code_cell("x", outputs=list(outputs))])


def stream(text):
    return new_output("stream", name="stdout", text=text)


def test_the_markdown_is_the_golden_one():
    told = sample_facts()
    made = to_markdown(assemble(sample_notebook(), told), told)
    assert f"`{told.seal.head}`" in made
    # Hashes follow the model's canonical form, which may grow; all else is compared to the letter.
    # To renew: write `bare` there and read the difference before committing it.
    bare = re.sub(r"`[0-9a-f]{12,64}`", "`HASH`", made)
    assert bare == (GOLDEN / "postmortem.md").read_text(encoding="utf-8")


def test_export_writes_files_with_their_sums_and_repeats(tmp_path):
    told = sample_facts()
    made = assemble(sample_notebook(), told)
    first = export(made, told, folder=tmp_path / "a")
    second = export(made, told, folder=tmp_path / "b")
    assert first.sha256 == second.sha256
    assert set(first.paths) == {"html", "md"}
    for form, path in first.paths.items():
        assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == first.sha256[form]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "postmortem.html",
        "postmortem.md",
    ]
    assert (first.figures, first.drawn) == (2, 2)


def test_export_takes_a_path_and_writes_a_report(tmp_path):
    path = tmp_path / "notebook.ipynb"
    nbformat.write(sample_notebook(), path)
    made = export(path, folder=tmp_path, to=("html",), title="Run R1", head=[("runbook", EVIL)])
    html = (tmp_path / "report.html").read_text()
    assert made.paths == {"html": str(tmp_path / "report.html")}
    assert "<h1>Run R1</h1>" in html
    assert EVIL not in html
    assert "Four times" not in html


def test_pdf_is_printed(tmp_path):
    told = sample_facts()
    made = export(sample_notebook(), told, folder=tmp_path, to=("pdf",))
    assert Path(made.paths["pdf"]).read_bytes().startswith(b"%PDF-")


def test_warnings_name_the_words_of_people_only(tmp_path):
    told = sample_facts()
    made = assemble(sample_notebook(), told)
    assert export(made, told, folder=tmp_path, to=("md",)).warnings == ()
    made.cells[-1].source = "## Action items\n\nObviously human error."
    warned = export(made, told, folder=tmp_path, to=("md",)).warnings
    assert [w.split(":")[0] for w in warned] == ["human error", "obviously"]


def test_mistakes_are_explained(tmp_path):
    with pytest.raises(NotFound, match="no such notebook"):
        export(tmp_path / "none.ipynb", folder=tmp_path)
    (tmp_path / "bad.ipynb").write_text("{}")
    with pytest.raises(BadInput, match="not a notebook"):
        read_notebook(tmp_path / "bad.ipynb")
    with pytest.raises(BadInput, match="no such format: docx"):
        export(sample_notebook(), folder=tmp_path, to=("docx",))


def test_the_redactor_reaches_sources_outputs_and_figures():
    nb = sample_notebook()
    nb.cells[1].source = "token = 'hunter2'"
    nb.cells[5].outputs[0].text = "login with hunter2\n"
    nb.cells[3].outputs[0].data["application/vnd.plotly.v1+json"]["data"][0]["name"] = "hunter2"
    for render in (to_html, to_markdown):
        text = render(nb, redact=lambda t: t.replace("hunter2", "REDACTED"))
        assert "hunter2" not in text
        assert text.count("REDACTED") >= 3


def test_long_outputs_are_cut_with_a_notice():
    html = to_html(code(stream("a" * 30_000 + "END")))
    assert "10,003 characters left out here; they are in the notebook" in html
    assert "END" in html
    html = to_html(code(new_output("display_data", {"text/html": "<p>" + "x" * 500_000})))
    assert "An output of 0.5 MB (text/html) was left out" in html
    html = to_html(code(*[new_output("display_data", {"text/plain": f"o{i}"}) for i in range(250)]))
    assert "50 more outputs are in the notebook" in html


def test_terminal_codes_and_tricks_are_taken_out():
    assert (
        clean_text("\x1b[1;31mred\x1b[0m \x1b]8;;https://example.org\x07link\x1b]8;;\x07")
        == "red link"
    )
    assert clean_text("10%\r50%\r100%\ndone") == "100%\ndone"
    assert clean_text("a\u202egnp.exe") == "a[U+202E]gnp.exe"
    assert clean_text("a\x00b") == "a\ufffdb"


def test_streams_of_one_kind_are_joined():
    html = to_html(code(stream("one "), stream("two")))
    assert "<pre>one two</pre>" in html


def test_a_failed_cell_shows_its_code_and_a_readable_traceback():
    error = new_output(
        "error", ename="ValueError", evalue=EVIL, traceback=["\x1b[0;31mValueError\x1b[0m: bad"]
    )
    html = to_html(code(error))
    assert '<details class="code" open>' in html
    assert "\x1b" not in html
    assert "[0;31m" not in html
    assert EVIL not in html


def test_a_hidden_cell_stays_out():
    nb = new_notebook(cells=[new_code_cell("secret()", metadata={"tags": ["remove_cell"]})])
    assert "secret()" not in to_html(nb)
    assert "secret()" not in to_markdown(nb)


def test_recovery_reads_json_and_nothing_else():
    html = (
        '<div class="plotly-graph-div"></div><script>Plotly.newPlot("a", [{"x":[1]}], '
        '{"title":"t"}, {});Plotly.newPlot("b", evil(), {});</script>'
    )
    assert recover(html) == [{"data": [{"x": [1]}], "layout": {"title": "t"}}]
    assert recover('Plotly.newPlot("a", [], {})') == []


def test_cleaning_is_stable_and_headings_go_down():
    once = clean_html("<h1>a</h1><table><tr><td>1</td></tr></table>", demote=2)
    assert once.startswith("<h3>a</h3>")
    assert 'role="region"' in once
    assert "<h6>" in clean_html("<h6>x</h6>")


def test_numbers_in_tables_stand_right():
    made = clean_html("<table><tr><td>1,024.5</td><td>-3 %</td><td>v1.2</td></tr></table>")
    assert made.count('<td class="n">') == 2


def test_a_carried_image_keeps_its_data_and_a_remote_one_goes():
    png = "data:image/png;base64,iVBORw0KGgo="
    assert png in clean_html(f'<img src="{png}" alt="x">')
    for bad in (
        "http://example.org/x.png",
        "data:text/html;base64,AAAA",
        "x.png",
        'data:image/png;base64,AA" onerror=alert(1) x="',
    ):
        made = clean_html(f"<img src='{bad}'>")
        assert "src=" not in made
        assert "[image left out]" in made
