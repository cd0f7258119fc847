"""The story on real servers, its recording, and that recording replayed: one test for the three."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import psutil
from playing_demo import irkit

SECONDS = 170  # the story takes about 110 s on an idle machine


def left_behind(home: Path) -> list[list[str]]:
    """The command lines of the processes that work in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(str(home) in word for word in line):
            found.append(line)
    return found


def kinds_of(home: Path) -> tuple[str, list[str]]:
    told = json.loads(irkit("-c", str(home / "irkit.yaml"), "show", "--json").stdout)
    return told["incident"]["state"], [event["kind"] for event in told["events"]]


def test_live_recorded_and_replayed(tmp_path: Path) -> None:
    for name in ("prometheus", "prometheus-alertmanager"):
        assert shutil.which(name), f"install it: apt-get install {name}"
    home, recording = tmp_path / "live", tmp_path / "made.irkit.zip"
    lived = irkit(
        "demo", "--live", "--home", str(home), "--record-to", str(recording), seconds=SECONDS
    )
    assert lived.returncode == 0, lived.stdout + lived.stderr
    assert left_behind(tmp_path) == []
    assert "without asking anybody" in lived.stdout
    assert "Traceback" not in lived.stderr
    state, kinds = kinds_of(home)
    assert state == "resolved"
    assert kinds.count("action.applied") == 1
    lines = (home / "shop" / "deploys.jsonl").read_text().splitlines()
    deploys = [json.loads(line) for line in lines]
    went_out = [d["version"] for d in deploys if d["service"] == "checkout"]
    assert went_out[-2:] == ["1.4.2", "1.4.1"], "one bad release, one rollback"
    assert went_out.count("1.4.2") == 1
    assert recording.stat().st_size < 3_000_000

    retold = irkit("demo", "--scenario", str(recording), "--home", str(tmp_path / "retold"))
    assert retold.returncode == 0, retold.stdout + retold.stderr
    state, again = kinds_of(tmp_path / "retold")
    assert state == "resolved"
    # A replay asks nobody, so no run goes live; else the same happens, by the same rules.
    assert sorted(again) == sorted(kind for kind in kinds if kind != "run.live")
    assert re.search(r"^post-mortem: ", retold.stdout, re.MULTILINE)
    assert left_behind(tmp_path) == []
