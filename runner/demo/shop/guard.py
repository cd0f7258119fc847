"""Runs one foreign program and makes sure that it does not outlive whoever asked for it.

`python -m runner.demo.shop.guard --parent PID -- PROGRAM ARGUMENT...` ends the program when its
own standard input is closed or its parent is gone; when the guard itself is killed, the kernel
kills the program. The exit code is the program's.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys

from runner.demo.shop.lifeline import die_with_parent, environment, starter_is_gone

END_WITHIN = 3.0
"""Seconds the program has to end by itself before it is killed."""


def main() -> int:
    """Run the program until it or the starter ends; returns its exit code."""
    parser = argparse.ArgumentParser(prog="guard", description=__doc__)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("program", nargs="+")
    given = parser.parse_args()
    program = subprocess.Popen(
        given.program,
        stdin=subprocess.DEVNULL,
        env=environment(),
        # Safe here: the guard has one thread, and it lives as long as the program.
        preexec_fn=functools.partial(die_with_parent, os.getpid()),
    )
    while program.poll() is None and not starter_is_gone(given.parent, 0.5):
        pass
    program.terminate()
    try:
        return program.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        program.kill()
        return program.wait()


if __name__ == "__main__":
    sys.exit(main())
