"""The recorded story, told again without servers: same runner, same runbook, recorded replies."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

from irkit.clock import SetClock
from irkit.errors import IrkitError
from runner.decide import Effect
from runner.demo import setting
from runner.demo.narrator import Narrator
from runner.demo.recording import Arrival, Deed, Story, unpack
from runner.service import Runner

GIVE_UP_SECONDS = 120.0
POSTMORTEM = "post-mortem"
_POLL = 0.05


def replay(scenario: str, home: Path, narrator: Narrator, *, asks: bool = False) -> dict[str, Path]:
    """Replay a recording in `home`; returns where the results lie.

    Plans are decided as they were then, or, if `asks`, by whoever sits at the terminal.

    Raises:
        NotFound: no such recording.
        IrkitError: the story did not end; what happened is in the ledger under `home`.
    """
    story, recording = unpack(scenario, home / "recording")
    config = setting.write(
        home, prometheus="http://127.0.0.1:9", ports={}, listen="127.0.0.1:0", shop=home / "shop"
    )
    beats: list[Arrival | Deed] = sorted((*story.arrivals, *story.deeds), key=lambda b: b.at)
    clock = SetClock(beats[0].at)
    narrator.say(f"Replaying {scenario!r}, recorded {beats[0].at:%Y-%m-%d %H:%MZ} on a real shop.")
    runner = Runner(config, clock=clock, recording=recording)
    runner.ledger.listen(narrator.events)
    with runner:
        _Conductor(runner, clock, story, beats, narrator, asks).play()
        narrator.ends(runner.ledger.state(story.incident))
        return results(runner, story.incident)


def results(runner: Runner, incident: str) -> dict[str, Path]:
    """Where an incident's files lie, by what they are; those that there are."""
    folder = runner.exports.folder(incident)
    run = runner.runs.folder_of(runner.ledger.state(incident).runs[-1].run)
    paths = {
        POSTMORTEM: folder / "postmortem.html",
        "as Markdown": folder / "postmortem.md",
        "as a notebook": folder / "postmortem.ipynb",
        "the last run": run / "report.html",
        "its evidence": run / "bundle",
        "config": runner.config.file,
    }
    return {name: path for name, path in paths.items() if path.exists()}


class _Conductor:
    """Moves the clock from beat to beat; everything else is the runner's own doing."""

    def __init__(
        self,
        runner: Runner,
        clock: SetClock,
        story: Story,
        beats: list[Arrival | Deed],
        narrator: Narrator,
        asks: bool,
    ) -> None:
        self.runner, self.clock, self.story = runner, clock, story
        self.beats, self.narrator, self.asks = beats, narrator, asks
        self.denied = False

    def play(self) -> None:
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline:
            self._let_time_pass()
            if self._arrived():
                self._arrive(self.beats.pop(0))
            if not self.runner.idle():
                continue
            if self._over():
                return
            self._next()
        raise IrkitError(
            "the story did not end", on=self.story.incident,
            next=f"look at it with: irkit --config {self.runner.config.file} show",
        )  # fmt: skip

    def _over(self) -> bool:
        if self.denied:
            return True  # what would have happened then was not recorded
        states = self.runner.ledger.states()
        done = bool(states) and all(s.exported_seq >= s.last_seq for s in states)
        return done and not self.beats

    def _let_time_pass(self) -> None:
        """While a run executes, time flows, but not past the moment at which it ended then."""
        time.sleep(_POLL)
        for state in self.runner.ledger.states():
            for run in state.runs:
                ended = self.story.track.get(f"run:{run.ordinal}")
                if run.status == "running" and ended:
                    later = self.clock.now() + timedelta(seconds=_POLL)
                    self.clock.move_to(min(ended, later))

    def _arrived(self) -> bool:
        """Whether a delivery came at a moment that has been reached, whatever is under way."""
        first = self.beats[0] if self.beats else None
        return isinstance(first, Arrival) and first.at <= self.clock.now()

    def _arrive(self, arrival: Arrival | Deed) -> None:
        assert isinstance(arrival, Arrival)
        token = (self.runner.config.home / "tokens" / "alertmanager").read_text()
        headers = {"authorization": f"Bearer {token}"}
        self.runner.intake.receive(arrival.source, headers, arrival.body).result()
        self.runner.delivered()

    def _next(self) -> None:
        """The next thing that happened: a delivery, a deed, or something that falls due."""
        owed = [(self._moment(e), None) for s in self.runner.ledger.states()
                for e in self.runner.effects.owed(s.id)]  # fmt: skip
        moments: list[tuple[datetime, Arrival | Deed | None]] = list(owed)
        if self.beats:
            moments.append((self.beats[0].at, self.beats[0]))
        if not moments:
            return
        moment, beat = min(moments, key=lambda m: m[0])
        self.clock.move_to(moment)
        if beat is None:
            self.runner.effects.wake()
            return
        self.beats.pop(0)
        if isinstance(beat, Arrival):
            self._arrive(beat)
        else:
            self._do(beat)

    def _moment(self, effect: Effect) -> datetime:
        """When the effect was done then; when it falls due where the recording does not say."""
        return max(effect.due, self.story.track.get(effect.key, effect.due))

    def _do(self, deed: Deed) -> None:
        if deed.kind == "ack":
            self.runner.acknowledge(self.story.incident, deed.person, deed.note)
            return
        for known in self.runner.waiting_plans():
            state = self.runner.ledger.state(self.story.incident)
            self.narrator.card(known, state, self.clock.now())
            name, allow = deed.person.removeprefix("person:"), deed.kind == "approve"
            if self.asks:
                allow = self.narrator.asks(name)
            else:
                verb = "approves" if allow else "denies"
                self.narrator.say(f"  {name} {verb} it, as recorded.", style="magenta")
            note = deed.note if allow is (deed.kind == "approve") else "decided in the demo"
            self.runner.decide(
                known.plan.id, deed.person, allow=allow, plan_hash=known.plan.hash, note=note
            )
            if self.asks and not allow:
                self.denied = True
