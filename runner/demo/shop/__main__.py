"""Run a shop in the foreground: `python -m runner.demo.shop --home DIR [--seed N]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from irkit.errors import IrkitError
from runner.demo.shop import run_foreground


def main() -> int:
    """Parse the arguments and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m runner.demo.shop", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="a folder for logs and history")
    parser.add_argument("--seed", type=int, default=0, help="draws the load (default 0)")
    given = parser.parse_args()
    try:
        run_foreground(given.home, given.seed)
    except IrkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
