"""Starts and ends `irkit serve`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serving import Serving


@pytest.fixture
def serving() -> Iterator[Callable[[Path], Serving]]:
    """Starts `irkit serve` in a folder that has an irkit.yaml; ends it after the test."""
    started: list[Serving] = []

    def start(folder: Path) -> Serving:
        started.append(Serving(folder))
        return started[-1]

    yield start
    for one in started:
        one.end()
