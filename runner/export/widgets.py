"""The static form of a Jupyter widget: what it said when the notebook was saved."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any, Final

import nbformat

VIEW: Final = "application/vnd.jupyter.widget-view+json"
STATE: Final = "application/vnd.jupyter.widget-state+json"
_REPR: Final = re.compile(r"[A-Za-z_]\w*\(")
_MOST: Final = 200  # models that one widget may be made of
Models = dict[str, Any]


def models_of(notebook: Any) -> Models:
    """The widgets' state that a notebook was saved with, by model id; {} where there is none."""
    saved = notebook.metadata.get("widgets", {})
    state = saved.get(STATE, {}).get("state", {}) if isinstance(saved, dict) else {}
    return state if isinstance(state, dict) else {}


def words(models: Models, view: Any) -> str:
    """What the labels of a widget said at the end, such as those of a progress bar."""
    said = [
        html.unescape(re.sub(r"<[^>]*>", "", str(state.get("value", ""))))
        for name, state in _within(models, view)
        if name in ("HTMLModel", "HTMLMathModel", "LabelModel")
    ]
    return " ".join(" ".join(said).split())


def shown_in(models: Models, view: Any) -> list[Any]:
    """The outputs that a widget had caught, such as the result below an `interact`."""
    caught: list[Any] = []
    for name, state in _within(models, view):
        outputs = state.get("outputs")
        if name == "OutputModel" and isinstance(outputs, list | tuple):
            caught += [nbformat.from_dict(o) for o in outputs if _is_output(o)]
    return caught


def plain(models: Models, view: Any, text: str) -> str:
    """A widget as one line: its `repr`, or its labels where it printed no `repr` (tqdm)."""
    return text if _REPR.match(text) else words(models, view) or text


def _within(models: Models, view: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """A widget's models, outermost first, each once."""
    waiting = [str(view.get("model_id", ""))] if isinstance(view, dict) else []
    seen: set[str] = set()
    while waiting and len(seen) < _MOST:
        model = waiting.pop(0)
        found = models.get(model)
        if model in seen or not isinstance(found, dict):
            continue
        seen.add(model)
        state = found.get("state")
        if isinstance(state, dict):
            yield str(found.get("model_name", "")), state
            children = state.get("children")
            names = children if isinstance(children, list | tuple) else []
            waiting += [str(name).removeprefix("IPY_MODEL_") for name in names]


def _is_output(output: Any) -> bool:
    if not isinstance(output, dict):
        return False
    if output.get("output_type") == "stream":
        return output.get("name") in ("stdout", "stderr") and isinstance(output.get("text"), str)
    kinds = ("display_data", "execute_result")
    return output.get("output_type") in kinds and isinstance(output.get("data"), dict)
