"""Made-up systems come from tools/made_up.py, which the learner uses too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "tools"))
