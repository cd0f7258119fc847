"""Kill -9 after every event: the incident ends the same way, and the act was done exactly once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from killing import living_in
from story import KINDS, SOMETIMES, Story, Teller, world

LAST = 23
"""The undisturbed story has this many events where the signal is looked at twice."""


def check_end(story: Story, told: dict[str, Any], *, person: bool) -> None:
    """The same kinds of events, one rollback, an intact chain, all files, nothing left running."""
    also = {"incident.acknowledged"} if person else set()
    assert set(told["kinds"]) - SOMETIMES == KINDS | also, told["events"]
    assert told["incidents"] == 1
    assert told["broken"] == []
    assert told["plans"] == ["recovered"]
    assert [status for _, status, _ in told["runs"]] == ["succeeded", "succeeded"]
    assert told["times"]["mitigate"] == told["times"]["resolve"] == ""
    assert len(story.rollbacks()) == 1, story.rollbacks()
    assert story.rollbacks()[0]["version"] == "1.4.1"
    state = story.home / "state"
    for run, _, _ in told["runs"]:
        assert (state / "runs" / run / "report.html").stat().st_size
    assert (state / "incidents" / "IR-1" / "postmortem.html").stat().st_size
    assert not living_in(story.home)


def test_undisturbed(tmp_path: Path, teller: Teller) -> None:
    with world(tmp_path / "home", policy="approve") as story:
        told = story.tell(teller)
        check_end(story, told, person=True)
    assert told["deaths"] == 0
    assert told["acked"] == "person:oncall"
    looked = told["kinds"].count("effect.checked")
    assert told["last"] - looked <= LAST - 1


# Events 1 and 2 are one commit: incident.opened and alert.fired.
@pytest.mark.parametrize("event", range(2, LAST + 1))
def test_killed_with_all_children_after_event(event: int, tmp_path: Path, teller: Teller) -> None:
    with world(tmp_path / "home", policy="approve") as story:
        told = story.tell(teller, kill_at=event)
        check_end(story, told, person=True)
    # A story in which the signal was looked at once has an event less and may end before LAST.
    assert told["deaths"] == (1 if event < LAST - 1 or told["last"] >= event else 0)


@pytest.mark.parametrize("event", [4, 10, 18])
def test_runner_alone_killed_after_event(event: int, tmp_path: Path, teller: Teller) -> None:
    def orphans_end() -> None:
        end = time.monotonic() + 20
        while living_in(story.home):
            assert time.monotonic() < end, living_in(story.home)
            time.sleep(0.05)

    with world(tmp_path / "home", policy="auto") as story:
        told = story.tell(teller, kill_at=event, whom="runner", between=orphans_end)
        check_end(story, told, person=False)
    assert told["deaths"] == 1


@pytest.mark.parametrize("end", ["", "and-survive"], ids=["script dies", "script survives"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_while_the_script_runs(
    moment: str, end: str, tmp_path: Path, teller: Teller
) -> None:
    with world(tmp_path / "home", policy="auto") as story:
        (story.home / "cut").write_text(f"{moment} {end}")
        told = story.tell(teller)
        assert (story.home / "cut-done").exists()
        check_end(story, told, person=False)
    assert told["deaths"] == 1


def test_lost_engine_is_rebuilt(tmp_path: Path, teller: Teller) -> None:
    def lose() -> None:
        for file in (story.home / "state").glob("engine.db*"):
            file.unlink()

    with world(tmp_path / "home", policy="approve") as story:
        told = story.tell(teller, kill_at=10, between=lose)
        check_end(story, told, person=True)
    assert told["deaths"] == 1
