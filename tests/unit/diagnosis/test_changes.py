"""Changes: the one that did it, past the decoys, or none."""

import pandas as pd
import pytest

from irkit.diagnosis import rank_changes
from irkit.diagnosis.difftext import ChangeText, words_of

START = pd.Timestamp("2026-03-01T12:00:00Z")


def minutes(count):
    return START + pd.Timedelta(minutes=count)


def broken(service="shop", others=("web", "store")):
    """Metrics in which `service` begins to fail two minutes before the alert."""
    times = pd.date_range(minutes(-60), minutes(10), freq="1min", name="time")
    frame = pd.DataFrame(index=times)
    for name in (service, *others):
        frame[f"{name}|error_ratio"] = 0.001
        frame[f"{name}|latency_p99_ms"] = 120.0
    frame.loc[frame.index >= minutes(-2), f"{service}|error_ratio"] = 0.4
    return frame


def lines(service="shop", bad="charge failed: pool exhausted, max_conns 10", fields=None):
    rows = [(minutes(-m), service, "INFO", f"order {m} done") for m in range(60, 2, -2)]
    rows += [(minutes(-2 + m / 4), service, "ERROR", bad) for m in range(20)]
    table = pd.DataFrame(rows, columns=["time", "service", "level", "message"])
    if fields:
        table["fields"] = [fields if level == "ERROR" else "{}" for level in table["level"]]
    return table


def change(name, at, **more):
    return {"id": name, "time": minutes(at), "kind": "deploy", "service": "shop"} | more


LIMIT = change(
    "limit", -6, message="refactor: simplify pool defaults", files=["db/pool.go"],
    diff="@@ pool.go @@\n-const maxConns = 50\n+const maxConns = 10\n",
)  # fmt: skip
TIDY = change(
    "tidy", -3, message="refactor: tidy charge handler", files=["handler.go"],
    diff="-\treq := decode(r)\n-\twrite(w, req.Sum)\n+\tin := decode(r)\n+\twrite(w, in.Sum)\n",
)  # fmt: skip


def ask(changes, logs=None, **more):
    logs = lines() if logs is None else logs
    return rank_changes(broken(), START, changes=changes, logs=logs, **more)


def test_a_changed_limit_that_the_errors_speak_of_beats_the_latest_deploy():
    assert ask([LIMIT, TIDY])[0] == "limit"
    assert ask([TIDY, LIMIT])[0] == "limit"


def test_what_came_after_the_onset_did_not_do_it():
    assert ask([LIMIT | {"time": minutes(4)}])[0] == "none"
    later = change("later", 5, diff="-a.lock()\n", files=["a.go"])
    assert ask([LIMIT, later])[0] == "limit"


def test_a_commit_that_no_deploy_carried_is_not_running():
    commit = LIMIT | {"id": "commit", "kind": "commit", "service": None, "time": minutes(-4)}
    assert ask([commit, LIMIT])[0] == "limit"
    assert ask([commit, change("docs", -50, files=["docs/a.md"], service="web")])[0] == "none"


@pytest.mark.parametrize(
    "files", [["docs/pool.md"], ["a_test.go"], ["static/pool.css"], [".github/workflows/ci.yml"]]
)
def test_what_does_not_run_cannot_break(files):
    assert ask([LIMIT | {"files": files}])[0] == "none"


@pytest.mark.parametrize(
    "line",
    [
        "remote error: tls: x509: certificate has expired or is not yet valid",
        "POST https://api.paycorp.com/v1/charges returned 503",
        "write /var/lib/data: no space left on device",
    ],
)
def test_none_when_the_lines_name_a_cause_outside(line):
    named = ask([TIDY, change("retry", -9, diff="-tries = 2\n+tries = 3\n", message="tune")],
                lines(bad=line))  # fmt: skip
    assert named[0] == "none"
    assert set(named) == {"none", "tidy", "retry"}


def test_our_own_hosts_are_not_outside():
    assert ask([LIMIT], lines(bad="GET http://store.svc.cluster.local/x pool max_conns 10"))[0] == (
        "limit"
    )


def test_a_stack_trace_through_a_changed_file_tells():
    trace = '{"stack": "Limiter.Allow(ratelimit.go:38) -> Serve(http.go:90)"}'
    race = change("race", -9, message="refactor: simplify counter", files=["mw/ratelimit.go"],
                  diff="-\tl.mu.Lock()\n-\tdefer l.mu.Unlock()\n \tl.counts[id]++\n")  # fmt: skip
    logs = lines(bad="fatal error: concurrent map writes", fields=trace)
    assert ask([race, TIDY], logs)[0] == "race"


def test_a_deploy_without_a_diff_right_before_the_onset_is_named():
    plain = change("1.4.2", -3, message="new discounts", version="1.4.2")
    other = change("2.0", -240, service="store", message="tidy")
    assert ask([other, plain])[0] == "1.4.2"


def test_when_the_old_version_fails_as_much_the_new_one_did_not_do_it():
    logs = lines()
    errors = logs["level"] == "ERROR"
    new = change("new", -3, version="2")
    only_new = logs.assign(version="2")
    only_new = pd.concat([only_new, logs[~errors].assign(version="1", time=minutes(1))])
    both = pd.concat([logs.assign(version="1"), logs.assign(version="2")])
    assert ask([new], only_new)[0] == "new"
    assert ask([new], both)[0] == "none"


def test_without_changes_there_is_none():
    assert rank_changes(broken(), START) == ["none"]
    assert rank_changes(None, START, changes=[]) == ["none"]


def test_what_a_diff_really_changes():
    moved = ChangeText({"diff": "-a = pool.open()\n-b = 1\n+b = 1\n+a = pool.open()\n"})
    assert not moved.removed
    assert not moved.added
    assert ChangeText({"diff": "-limit = 500\n+limit = 20\n"}).risk == 2
    assert ChangeText({"diff": '-log.Debug("x")\n+log.Info("x", id)\n'}).risk == 0
    assert ChangeText({"diff": "-  mu.Lock()\n"}).risk > 1
    assert ChangeText({"diff": "-f(a)\n+f(a, b)\n"}).risk < 0.5
    assert ChangeText({"files": ["go.mod", "go.sum"]}).parts


def test_words_leave_out_what_every_program_says():
    assert set(words_of("return http.StatusBadGateway 502 pool_max 300")) == {
        "statusbadgateway", "bad", "gateway", "pool_max", "pool", "max", "300",
    }  # fmt: skip
