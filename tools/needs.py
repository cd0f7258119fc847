"""Names what the tests need and this machine lacks; in CI nothing may be missing."""

from __future__ import annotations

import os
import shutil
import sys

PROGRAMS = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "chromium": "chromium",
    "git": "git",
}


def main() -> int:
    """Print what is missing; 1 if anything is, for the tests would fail."""
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if not missing:
        return 0
    print(f"missing: {', '.join(sorted(missing))}", file=sys.stderr)
    print(f"install: apt-get install {' '.join(sorted(missing))}", file=sys.stderr)
    if os.environ.get("CI"):
        return 1
    print("the tests that need them will fail", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
