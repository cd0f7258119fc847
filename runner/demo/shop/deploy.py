"""Deploy, roll back, plan and ask, against a running shop.

    python -m runner.demo.shop.deploy SERVICE VERSION --home DIR [--by WHO] [--key KEY]
    python -m runner.demo.shop.deploy SERVICE --previous --home DIR
    python -m runner.demo.shop.deploy SERVICE VERSION --plan --home DIR
    python -m runner.demo.shop.deploy status SERVICE --home DIR

Exit codes: 0 done, done before under this key, or running already; 2 an argument is wrong or names
no such service or version; 3 no shop runs in DIR; 4 no answer, or an unreadable history: ask for
the status, or repeat it with the same key; 5 refused (--expect does not hold, nothing to go back
to, key used for another deploy); 6 the new version failed to start, the old one still runs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from irkit.errors import IrkitError
from runner.demo.shop.client import ask
from runner.demo.shop.releases import check_service, find

PRINCIPAL = re.compile(r"(person|run|hook):[\w.@-]{1,80}|system")
KEY = re.compile(r"[\w.:/@-]{1,200}")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        if words[:1] == ["status"]:
            return _status(words[1:])
        return _deploy(words)
    except IrkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _status(words: list[str]) -> int:
    parser = _parser("python -m runner.demo.shop.deploy status")
    given = parser.parse_args(words)
    check_service(given.service)
    print(json.dumps(ask(given.home, "status", service=given.service)))
    return 0


def _deploy(words: list[str]) -> int:
    parser = _parser("python -m runner.demo.shop.deploy")
    parser.add_argument("version", nargs="?")
    parser.add_argument("--previous", action="store_true", help="go back one release")
    parser.add_argument("--expect", metavar="VERSION", help="refuse unless this version runs now")
    parser.add_argument("--plan", action="store_true", help="print as JSON what would change")
    parser.add_argument("--by", default="person:ci", type=_matching(PRINCIPAL, "person:NAME"))
    parser.add_argument("--key", type=_matching(KEY, "up to 200 of A-Z a-z 0-9 ._:/@-"))
    parser.add_argument("--reason", default="", type=_matching(re.compile(r".{0,500}"), "a line"))
    given = parser.parse_args(words)
    if bool(given.version) == given.previous:
        parser.error("give a VERSION or --previous, and not both")
    check_service(given.service)
    if given.version:
        find(given.service, given.version)

    asked = {
        "service": given.service,
        "version": given.version,
        "expect": given.expect,
        "key": given.key or "",
    }
    if given.plan:
        plan = ask(given.home, "plan", **asked)
        print(json.dumps({name: plan[name] for name in ("service", "current", "to", "change")}))
        return 0
    print(_sentence(ask(given.home, "deploy", **asked, by=given.by, reason=given.reason)))
    return 0


def _sentence(answer: dict[str, Any]) -> str:
    if answer["outcome"] == "unchanged":
        return f"unchanged: {answer['service']} {answer['to']} runs already"
    entry = answer["entry"]
    went = f"{entry['service']} {entry['previous']} -> {entry['version']}"
    if answer["outcome"] == "done_before":
        return f"done before: {went} at {entry['time']}, under the same key"
    return f"deployed: {went} at {entry['time']} in {entry['seconds']:.2f} s"


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("service")
    parser.add_argument("--home", type=Path, required=True, help="the folder of the shop")
    return parser


def _matching(pattern: re.Pattern[str], means: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not {means}")
        return text

    return check


if __name__ == "__main__":
    sys.exit(main())
