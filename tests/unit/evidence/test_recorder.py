"""Who answers a look: the rules of recording, resuming and replaying."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irkit.clock import SetClock
from irkit.errors import BadInput, IrkitError, LedgerBroken
from irkit.evidence.bundle import Bundle
from irkit.evidence.recorder import Limits, Recorder
from irkit.evidence.redact import REMOVED, Redactor
from irkit.model.look import Request
from irkit.model.window import Window
from irkit.ports import Raw

TEXTS = st.text(max_size=20)
ARGUMENTS = st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(-9, 9), st.booleans(), st.none()))
MINUTES = st.integers(0, 10**6)


@given(ARGUMENTS, MINUTES, MINUTES, st.timedeltas(timedelta(days=-999), timedelta(days=999)))
def test_the_key_is_the_same_when_now_and_window_move_together(now, arguments, a, b, shift):
    start, end = sorted((now - timedelta(minutes=a), now - timedelta(minutes=b)))

    def key(by):
        window = Window(start=start + by, end=end + by)
        return Request(source="s", op="range", arguments=arguments, window=window).key(now + by)

    assert key(timedelta(0)) == key(shift)


@given(ARGUMENTS, ARGUMENTS, MINUTES, MINUTES)
def test_another_question_has_another_key(now, one, two, a, b):
    def key(arguments, minutes, **more):
        window = Window.before(now - timedelta(minutes=minutes), "1h")
        fields = {"source": "s", "op": "range", **more}
        return Request(arguments=arguments, window=window, **fields).key(now)

    # JSON, unlike Python, tells 1 from True.
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True) and a == b
    assert (key(one, a) == key(two, b)) == same
    assert key(one, a) != key(one, a, source="t")
    assert key(one, a) != key(one, a, op="instant")


def play(recorder, source, requests):
    return [recorder.look(r, source.fetch, "counting") for r in requests]


def shown(replies):
    """What a notebook sees of a reply, but not whether a recording gave it."""
    return [(r.evidence, r.at, r.body, r.sha256, r.error, r.next, r.retryable) for r in replies]


def cut(folder, lines, to):
    """The bundle as a crash right after that many looks leaves it."""
    (to / "blobs").mkdir(parents=True)
    for blob in (folder / "blobs").iterdir():
        (to / "blobs" / blob.name).write_bytes(blob.read_bytes())
    kept = (folder / "looks.jsonl").read_bytes().splitlines(keepends=True)[:lines]
    (to / "looks.jsonl").write_bytes(b"".join(kept))
    return Bundle.open(to)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "down"]), min_size=1, max_size=6))
def test_resuming_after_any_look_gives_the_undisturbed_replies_and_asks_nothing_twice(
    tmp_path_factory, now, new_source, ask, queries
):
    folder, clock = tmp_path_factory.mktemp("resume"), SetClock(now)
    requests = [ask(query) for query in queries]
    source = new_source()
    recorder = Recorder(folder / "whole", now=now, clock=clock)
    undisturbed = play(recorder, source, requests)
    root = recorder.seal()
    for k in range(len(requests) + 1):
        crashed = cut(folder / "whole", k, folder / f"cut{k}")
        again, told = new_source(), []
        again.asked = list(source.asked[:k])  # it has been asked k times already
        resumed = Recorder(
            crashed.folder, now=now, clock=clock, recorded=crashed, mode="resume",
            on_live=told.append,
        )  # fmt: skip
        assert shown(play(resumed, again, requests)) == shown(undisturbed)
        assert again.asked == source.asked
        assert told == ([k] if k < len(requests) else [])
        assert len(Bundle.open(crashed.folder).looks) == len(requests)
        new = resumed.seal()
        Bundle.open(crashed.folder).verify(new)
        if not any(q == "down" for q in queries[k:]):
            looks = Bundle.open(crashed.folder).looks
            assert [r.sha256 for r in looks] == [
                r.sha256 for r in Bundle.open(folder / "whole").looks
            ]
        assert (crashed.folder / "looks.attempt-1.jsonl").exists()
    assert Bundle.open(folder / "whole").root == root


def test_after_the_first_miss_even_recorded_looks_are_asked(tmp_path, now, clock, source, ask):
    first = Recorder(tmp_path / "a", now=now, clock=clock)
    play(first, source, [ask("a"), ask("b")])
    first.close()
    told = []
    resumed = Recorder(
        tmp_path / "b", now=now, clock=clock, recorded=Bundle.open(tmp_path / "a"),
        mode="resume", on_live=told.append,
    )  # fmt: skip
    replies = play(resumed, source, [ask("a"), ask("new"), ask("b"), ask("a")])
    assert [r.recorded for r in replies] == [True, False, False, False]
    assert [r.evidence for r in replies] == ["L1", "L3", "L4", "L5"]
    assert told == [1]


def test_live_is_announced_once_before_the_source_is_asked(tmp_path, now, clock, ask):
    order = []

    def fetch(request):
        order.append("asked")
        return Raw(body=b"1")

    recorder = Recorder(
        tmp_path / "b", now=now, clock=clock, on_live=lambda n: order.append(("live", n))
    )
    for _ in range(2):
        recorder.look(ask(), fetch, "t")
    assert order == [("live", 0), "asked", "asked"]


def test_a_replay_never_asks_and_gives_equal_replies(tmp_path, now, clock, source, ask):
    requests = [ask("a"), ask("down"), ask("a"), ask("b", op="search")]
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    live = play(recorder, source, requests)
    recorder.seal()
    asked = len(source.asked)
    clock.advance(timedelta(days=900))
    for folder in (None, tmp_path / "copy"):
        replay = Recorder(
            folder, now=now, clock=clock, recorded=Bundle.open(tmp_path / "a"), mode="replay"
        )
        replies = play(replay, source, requests)
        assert shown(replies) == shown(live)
        assert all(r.recorded for r in replies)
        missed = replay.look(ask("other"), source.fetch, "t")
        assert missed.error.startswith("not recorded")
        assert missed.body == b""
        third = replay.look(ask("a"), source.fetch, "t")
        assert third.error.startswith("not recorded")
    assert len(source.asked) == asked
    replay.seal()
    copy = Bundle.open(tmp_path / "copy")
    copy.verify()
    assert copy.looks[:4] == Bundle.open(tmp_path / "a").looks


def test_a_cell_run_again_in_a_replay_sees_the_last_reply(tmp_path, now, clock, source, ask):
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    first, second = play(recorder, source, [ask(), ask()])
    recorder.seal()
    replay = Recorder(
        None, now=now, clock=clock, recorded=Bundle.open(tmp_path / "a"), mode="replay", repeat=True
    )
    bodies = [r.body for r in play(replay, source, [ask()] * 4)]
    assert bodies == [first.body, second.body, second.body, second.body]


def test_a_tampered_recording_is_not_replayed(tmp_path, now, clock, source, ask):
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    play(recorder, source, [ask()])
    recorder.seal()
    blob = next((tmp_path / "a" / "blobs").iterdir())
    blob.write_bytes(blob.read_bytes()[:-9])
    for mode in ("replay", "resume"):
        again = Recorder(
            tmp_path / mode, now=now, clock=clock, recorded=Bundle.open(tmp_path / "a"), mode=mode
        )
        with pytest.raises(LedgerBroken, match="was changed"):
            again.look(ask(), source.fetch, "t")


def test_a_reply_lost_in_a_power_cut_makes_the_rest_live(tmp_path, now, clock, source, ask):
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    play(recorder, source, [ask("a"), ask("b")])
    recorder.close()
    lost = Bundle.open(tmp_path / "a")
    (tmp_path / "a" / "blobs" / f"{lost.looks[1].sha256}.gz").write_bytes(b"")
    resumed = Recorder(tmp_path / "b", now=now, clock=clock, recorded=lost, mode="resume")
    replies = play(resumed, source, [ask("a"), ask("b")])
    assert [r.recorded for r in replies] == [True, False]
    assert not replies[1].error


def test_a_defect_in_an_integration_is_a_gap_without_its_secrets(
    tmp_path, now, clock, source, ask, caplog
):
    recorder = Recorder(
        tmp_path / "a", now=now, clock=clock, redactor=Redactor(["hunter2-hunter2"])
    )
    reply = recorder.look(ask("defect"), source.fetch, "counting")
    assert reply.error == "internal error in the integration (KeyError): prom"
    assert "KeyError" in caplog.text
    assert "hunter2" not in caplog.text
    recorder.seal()
    assert Bundle.open(tmp_path / "a").looks[0].error == reply.error


def test_a_configured_secret_in_a_reply_is_neither_stored_nor_returned(
    tmp_path, now, clock, source, ask
):
    recorder = Recorder(
        tmp_path / "a", now=now, clock=clock, redactor=Redactor(["hunter2-hunter2"])
    )
    reply = recorder.look(ask(), source.fetch, "counting")
    recorder.seal()
    assert json.loads(reply.body)["token"] == REMOVED
    bundle = Bundle.open(tmp_path / "a")
    assert bundle.body(bundle.looks[0]) == reply.body
    assert bundle.looks[0].sha256 == reply.sha256


def test_looks_and_bytes_are_capped(tmp_path, now, clock, source, ask):
    few = Recorder(tmp_path / "a", now=now, clock=clock, limits=Limits(looks=2))
    errors = [r.error for r in play(few, source, [ask()] * 4)]
    assert errors[:2] == ["", ""]
    assert all(e.startswith("too many looks") for e in errors[2:])
    small = Recorder(
        tmp_path / "b", now=now, clock=clock, limits=Limits(reply_bytes=10, total_bytes=15)
    )
    sizes = [11, 10, 9, 1]
    bodies = iter(sizes)
    replies = [small.look(ask(), lambda _: Raw(body=b"x" * next(bodies)), "t") for _ in sizes]
    assert replies[0].error.startswith("the reply is too large")
    assert [len(r.body) for r in replies] == [0, 10, 9, 0]
    assert replies[3].error.startswith("too much evidence")
    assert next(bodies) == 1  # the source was not asked
    assert len(source.asked) == 2
    few.seal()
    assert len(Bundle.open(tmp_path / "a").looks) == 2


def test_an_interrupted_look_was_not_made(tmp_path, now, clock, source, ask):
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)

    def interrupted(request):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recorder.look(ask(), interrupted, "t")
    recorder.look(ask(), source.fetch, "t")
    recorder.seal()
    assert [r.nth for r in Bundle.open(tmp_path / "a").looks] == [1]


def test_many_threads_at_once(tmp_path, now, clock, ask):
    recorder, told = None, []
    barrier = threading.Barrier(8)

    def fetch(request):
        if request.arguments["query"] == "first":
            barrier.wait(10)
        return Raw(body=json.dumps(request.arguments).encode())

    recorder = Recorder(tmp_path / "a", now=now, clock=clock, on_live=told.append)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: recorder.look(ask("first", i=i), fetch, "t"), range(8)))
        replies = list(pool.map(lambda i: recorder.look(ask("x", i=i % 7), fetch, "t"), range(200)))
    assert told == [0]
    assert len({r.evidence for r in replies}) == 200
    recorder.seal()
    bundle = Bundle.open(tmp_path / "a")
    bundle.verify()
    assert len(bundle.looks) == 208
    assert len({(r.key, r.nth) for r in bundle.looks}) == 208


def test_a_full_disk_gives_no_answer_and_leaves_no_half_line(
    tmp_path, now, clock, source, ask, monkeypatch
):
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    recorder.look(ask("a"), source.fetch, "t")
    recorder.flush()
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:20]))
    failed = recorder.look(ask("b"), source.fetch, "t")
    assert failed.error == "the reply could not be recorded (No space left on device)"
    assert failed.body == b""
    monkeypatch.undo()
    recorder.look(ask("c"), source.fetch, "t")
    recorder.seal()
    bundle = Bundle.open(tmp_path / "a")
    bundle.verify()
    assert [r.request.arguments["query"] for r in bundle.looks] == ["a", "c"]


def test_a_medium_that_fails_stops_the_run_from_speaking(
    tmp_path, now, clock, source, ask, monkeypatch
):
    def broken(fd):
        raise OSError(5, "Input/output error")

    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    recorder.look(ask(), source.fetch, "t")
    recorder.flush()
    monkeypatch.setattr(os, "fsync", broken)
    recorder.look(ask("b"), source.fetch, "t")
    with pytest.raises(IrkitError, match=r"could not be stored \(Input/output error\)"):
        recorder.flush()


def test_a_recording_is_never_overwritten(tmp_path, now, clock, source, ask):
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    recorder.look(ask(), source.fetch, "t")
    recorder.seal()
    with pytest.raises(BadInput, match="holds a recording already"):
        Recorder(tmp_path / "a", now=now, clock=clock)
    after = recorder.look(ask(), source.fetch, "t")
    assert after.error.startswith("the reply could not be recorded")
    assert len(Bundle.open(tmp_path / "a").looks) == 1


@pytest.mark.parametrize("mode", ["resume", "replay", "other"])
def test_a_recorder_without_what_it_needs_is_refused(tmp_path, now, clock, mode):
    with pytest.raises(BadInput, match="resumes or replays"):
        Recorder(tmp_path / "a", now=now, clock=clock, mode=mode)
    with pytest.raises(BadInput, match="every live look is recorded"):
        Recorder(None, now=now, clock=clock)


def test_a_killed_process_loses_no_look_that_was_answered(tmp_path, now):
    script = textwrap.dedent("""
        import os, signal, sys
        from irkit.clock import SystemClock
        from irkit.evidence.recorder import Recorder
        from irkit.model.look import Request
        from irkit.ports import Raw
        clock = SystemClock()
        recorder = Recorder(sys.argv[1], now=clock.now(), clock=clock)
        for i in range(5):
            request = Request(source="s", op="range", arguments={"i": i})
            recorder.look(request, lambda r: Raw(body=bytes([i]) * 3_000_000), "t")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], check=False)
    assert done.returncode == -signal.SIGKILL
    bundle = Bundle.open(tmp_path / "a")
    assert [bundle.body(r)[:1] for r in bundle.looks] == [bytes([i]) for i in range(5)]


def test_a_recording_ends_cleanly_while_others_still_look(tmp_path, now, clock, ask):
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    started = threading.Barrier(5)

    def looks(worker):
        started.wait(10)
        return [
            recorder.look(ask(w=worker, i=i), lambda _: Raw(body=bytes(50_000)), "t").error
            for i in range(50)
        ]

    with ThreadPoolExecutor(4) as pool:
        errors = pool.map(looks, range(4))
        started.wait(10)
        root = recorder.seal()
        said = {error for some in errors for error in some}
    assert said <= {"", "the reply could not be recorded (the recording has ended)"}
    bundle = Bundle.open(tmp_path / "a")
    bundle.verify(root)
    recorder.close()
    with pytest.raises(IrkitError, match="the recording has ended"):
        recorder.seal()


def test_more_replies_than_are_held_in_memory_wait_for_their_turn(tmp_path, now, clock, ask):
    recorder = Recorder(tmp_path / "a", now=now, clock=clock)
    bodies = [os.urandom(300_000) for _ in range(30)]
    for i, body in enumerate(bodies):
        recorder.look(ask(i=i), lambda _, body=body: Raw(body=body), "t")
    recorder.seal()
    bundle = Bundle.open(tmp_path / "a")
    assert [bundle.body(r) for r in bundle.looks] == bodies
    assert {p.suffix for p in (tmp_path / "a" / "blobs").iterdir()} == {".gz"}
