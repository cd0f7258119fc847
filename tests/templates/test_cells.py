"""The post-mortem's notebook: people's texts survive, drafts are renewed, facts are never typed."""

from __future__ import annotations

import copy

import nbformat
import pytest
from sample import at, events, sample_facts, sample_notebook

from irkit.errors import BadInput
from irkit.postmortem import assemble, facts, read_texts
from runner.export.files import to_html


def cell(notebook, name):
    return next(c for c in notebook.cells if c.id == f"irkit-{name}")


def edit(notebook, name, text):
    edited = copy.deepcopy(notebook)
    cell(edited, name).source = text
    return edited


def test_assembled_is_a_valid_copy_with_three_tagged_cells():
    run = sample_notebook()
    untouched = copy.deepcopy(run)
    made = assemble(run, sample_facts())
    nbformat.validate(made)
    assert run == untouched
    assert [c.id for c in made.cells if c.id.startswith("irkit-")] == [
        "irkit-summary",
        "irkit-lessons",
        "irkit-actions",
    ]
    assert made.cells[0].metadata.tags == ["irkit-summary"]
    assert all(c.metadata.editable is False for c in made.cells if not c.id.startswith("irkit-"))
    assert made == assemble(run, sample_facts())


def test_an_untouched_draft_is_marked_as_drafted_and_renewed():
    early = facts(events()[:20], as_of=at("14:04:00"))
    made = assemble(sample_notebook(), early)
    assert "not over yet" in cell(made, "summary").source
    again = assemble(sample_notebook(), sample_facts(), previous=made)
    assert "not over yet" not in cell(again, "summary").source
    html = to_html(made, sample_facts())
    assert "drafted by run:R2 from events 1-42" in html
    assert "edited by" not in html


def test_an_edited_text_is_kept_marked_and_its_original_shown():
    made = assemble(sample_notebook(), sample_facts())
    edited = edit(made, "summary", "## Summary\n\nPayments failed for **7 minutes**.")
    again = assemble(sample_notebook(), sample_facts(), previous=edited)
    assert cell(again, "summary").source == cell(edited, "summary").source
    texts = read_texts(again, edited_by="person:lead")
    assert texts
    assert texts.summary.edited
    assert not texts.lessons.edited
    html = to_html(again, sample_facts(), edited_by="person:lead")
    assert "<strong>7 minutes</strong>" in html
    assert "edited by person:lead, drafted by run:R2 from events 1-42" in html
    assert "The original draft" in html


def test_facts_are_folded_anew_at_each_export_whatever_the_cells_say():
    made = edit(assemble(sample_notebook(), sample_facts()), "summary", "It was nothing.")
    html = to_html(made, sample_facts())
    assert "7m 27s" in html
    assert "It was nothing." in html


def test_a_removed_cell_is_drafted_again():
    made = assemble(sample_notebook(), sample_facts())
    made.cells = [c for c in made.cells if c.id != "irkit-lessons"]
    html = to_html(made, sample_facts())
    assert "<strong>Hindered</strong>" in html


def test_a_run_without_the_cells_has_no_texts():
    assert read_texts(sample_notebook()) is None


def test_another_format_is_refused():
    with pytest.raises(BadInput, match="format 4"):
        assemble({"nbformat": 3}, sample_facts())
