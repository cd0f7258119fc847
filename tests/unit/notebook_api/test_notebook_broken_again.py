"""Broken, taken back, broken again within one window: what a notebook then says."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from notebook_world import ONSET, OPENED, MemorySession, chain, open_incident

from irkit.incident import Incident
from irkit.model.look import Request
from irkit.model.window import Window

EARLIER = (ONSET - timedelta(minutes=70), ONSET - timedelta(minutes=10))
DEPLOYS = (
    (EARLIER[0] - timedelta(seconds=10), "1.4.2", "1.4.1"),
    (EARLIER[1] - timedelta(seconds=10), "1.4.1", "1.4.2"),
    (ONSET - timedelta(seconds=10), "1.4.2", "1.4.1"),
)  # fmt: skip


class BrokenAgain(MemorySession):
    """The service is broken for most of the window, well for ten minutes, and broken again."""

    def _range(self, request: Request) -> bytes:
        reply = json.loads(super()._range(request))
        query = str(request.arguments["query"])
        for one in reply["data"]["result"]:
            for sample in one["values"]:
                if query.startswith("error_rate") and '"checkout"' in query and _earlier(sample[0]):
                    sample[1] = str(float(sample[1]) + 0.3)
        return json.dumps(reply).encode()

    def _history(self, request: Request) -> bytes:
        lines = [
            {"time": at.isoformat(), "service": "checkout", "version": new, "previous": old}
            for at, new, old in DEPLOYS
            if request.arguments["service"] == "checkout"
        ]
        return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _earlier(stamp: float) -> bool:
    return EARLIER[0].timestamp() <= stamp < EARLIER[1].timestamp()


def world(since: timedelta) -> Incident:
    session = BrokenAgain(events=chain(*OPENED))
    return open_incident(session, since=f"{since.total_seconds() / 60:.0f}m")


def close(found: datetime | None, moment: datetime) -> bool:
    return found is not None and abs((found - moment).total_seconds()) <= 10


def test_the_signal_tells_of_this_incident_and_not_of_the_recovery() -> None:
    inc = world(timedelta(minutes=60))
    errors = inc.signal("error_rate")
    assert errors.frame.iloc[0, 0] > 0.3
    assert close(errors.onset().time, ONSET)
    assert close(errors.onset().calm_since, EARLIER[1])
    assert "rose from 0.2" in repr(errors)
    drawn = errors.plot()
    assert drawn.normal is not None
    assert drawn.normal.high < 0.01


def test_the_suspect_is_the_deploy_that_broke_it_again_and_it_can_be_taken_back() -> None:
    for since in (timedelta(minutes=60), timedelta(minutes=90)):
        inc = world(since)
        suspects = inc.suspects()
        top = suspects.top
        assert (top.service, top.change) == ("checkout", "1.4.1 -> 1.4.2")
        assert top.suspect.change_at == DEPLOYS[2][0]
        assert close(suspects.onset, ONSET)
        assert inc.act("rollback", service="checkout", to="previous").addresses(top)
        assert any("well again after it" in one.why for one in suspects.ruled_out)


def test_a_signal_that_was_bad_all_the_time_is_not_called_usual() -> None:
    inc = world(timedelta(minutes=60))
    bad = Window(start=EARLIER[0] + timedelta(minutes=20), end=EARLIER[1] - timedelta(minutes=5))
    errors = inc.signal("error_rate", window=bad)
    assert not errors.onset()
    assert "was past its limit when the window began" in repr(errors)
