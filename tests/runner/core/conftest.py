"""One process that tells stories for each worker, and the folder of tests on the path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from story import Teller


@pytest.fixture(scope="session")
def teller() -> Iterator[Teller]:
    """Forks runners that may be killed."""
    teller = Teller()
    yield teller
    teller.close()
