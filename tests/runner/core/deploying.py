"""A deploy script as a team has one: switches a version and appends to a history, once per key.

    deploying.py HOME SERVICE VERSION KEY

`HOME/cut` names a moment (`before` or `after` the switch) at which the runner and all that it
started are killed; with `and-survive` behind it the script itself lives on.
"""

import fcntl
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from killing import kill_tree


def cut(home: Path, moment: str) -> None:
    wanted = home / "cut"
    words = wanted.read_text().split() if wanted.exists() else []
    if words[:1] == [moment]:
        wanted.rename(home / "cut-done")
        survive = "and-survive" in words
        kill_tree(int((home / "pid").read_text()), spare_me=survive)
        if survive:
            time.sleep(1.5)  # the next runner is up before this one has switched


def main() -> None:
    home, service, version, key = Path(sys.argv[1]), *sys.argv[2:5]
    with (home / "deploy.lock").open("w") as held:
        history = home / "deploys.jsonl"
        cut(home, "before")
        fcntl.flock(held, fcntl.LOCK_EX)
        lines = [json.loads(line) for line in history.read_text().splitlines()]
        if any(line.get("key") == key for line in lines):
            print(f"{service} {version} was deployed under this key already")
            return
        line = {
            "time": datetime.now(UTC).isoformat(),
            "service": service,
            "version": version,
            "previous": lines[-1]["version"],
            "key": key,
        }
        with history.open("a") as file:
            file.write(json.dumps(line) + "\n")
        cut(home, "after")
        print(f"{service} runs {version}")


main()
