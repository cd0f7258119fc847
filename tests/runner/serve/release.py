"""The library's deploy script, as a team writes one: `release.py HOME SERVICE VERSION KEY BY`."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

home, service, version, key, by = Path(sys.argv[1]), *sys.argv[2:6]
history = home / "releases.jsonl"
lines = [json.loads(line) for line in history.read_text().splitlines()] if history.exists() else []
if any(line["key"] == key for line in lines):
    sys.exit(0)
(home / "release").write_text(version)
line = {
    "time": datetime.now(UTC).isoformat(),
    "service": service,
    "version": version,
    "previous": lines[-1]["version"] if lines else "",
    "key": key,
    "by": by,
}
with history.open("a") as file:
    file.write(json.dumps(line) + "\n")
print(f"{service} runs {version}")
