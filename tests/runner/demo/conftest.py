"""The folder of tests on the path, and a demo that was played once for several tests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from playing_demo import irkit


@dataclass(frozen=True)
class Played:
    """A demo that ended: where it lies, and what it printed."""

    home: Path
    process: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """`irkit demo` without a network and without a terminal."""
    home = tmp_path_factory.mktemp("demo") / "home"
    return Played(home, irkit("demo", "--home", str(home)))
