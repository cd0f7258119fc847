"""The pages' runbook is executed in the same small world as the shipped ones."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "notebook_api"))
