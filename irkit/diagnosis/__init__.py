"""Diagnosis: what probably broke, with evidence, and silence when nothing did."""

from __future__ import annotations

from typing import Any

_WHERE = {
    "Diagnosis": "writer",
    "Onset": "onsets",
    "Sketch": "writer",
    "diagnose": "verdict",
    "explain": "verdict",
    "onset": "onsets",
    "rank": "ranking",
    "rank_changes": "ranking",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        return getattr(import_module(f"irkit.diagnosis.{_WHERE[name]}"), name)
    raise AttributeError(name)
