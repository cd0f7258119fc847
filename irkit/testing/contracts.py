"""What every integration must keep: checks to run against yours, and run against ours.

Each check takes one case and raises AssertionError with a sentence.  With pytest:

    @pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
    def test_my_source(check): check(SourceCase(source=MySource(...), requests=(...,)))
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from irkit.errors import BadAlert, IrkitError, LookFailed, Refused
from irkit.model.action import Argument, Plan
from irkit.model.look import Request
from irkit.ports import AlertSource, Source, Survey, Target

NONSENSE = (
    b"",
    b"\x00",
    b"\xff\xfe\xfd",
    b"<html>login</html>",
    b"{",
    b"[]",
    b"null",
    b'{"status":"success"}',
    b"[" * 5000,
    b'{"a":' * 5000,
)
ODD_NAMES = ("", " ", "--help", "-rf", "a b", "a;b", "$(id)", "../../x", "a\nb", "a\0b", "{key}")
_MADE_AT = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class SourceCase:
    """A source with a request for each of its ops, and the same source where it must fail.

    `broken` are sources of the same kind whose server is down, slow or talks nonsense, by name;
    the first request must fail at each.  `secrets` are texts that no error may hold.  `forgiving`
    sources read anything (log lines are what they are).
    """

    source: Source
    requests: tuple[Request, ...]
    broken: Mapping[str, Source]
    secrets: tuple[str, ...] = ()
    forgiving: bool = False
    within: float = 30.0


def answers_every_op(case: SourceCase) -> None:
    """Each op has an answer that its own `read` understands, and reading twice gives the same."""
    _must({r.op for r in case.requests} == set(case.source.ops), "give a request for each op")
    for request in case.requests:
        raw = case.source.fetch(request)
        first, second = (case.source.read(request, raw.body) for _ in range(2))
        _must(first is not None, f"{request.op} reads as nothing")
        _must(repr(first) == repr(second), f"reading {request.op} twice differs")


def refuses_what_it_does_not_know(case: SourceCase) -> None:
    """An unknown op or argument is a failed look, not a guess."""
    first = case.requests[0]
    odd = (
        msgspec.structs.replace(first, op="drop"),
        msgspec.structs.replace(first, arguments={**first.arguments, "shell": "id"}),
    )
    for request in odd:
        failure = _fails(LookFailed, partial(case.source.fetch, request))
        _must(bool(failure.next), "the error says what to do next")


def fails_clearly_where_it_cannot_answer(case: SourceCase) -> None:
    """Down, slow or talking nonsense: a LookFailed in time, on something, without a secret."""
    for name, source in case.broken.items():
        for act in (partial(source.fetch, case.requests[0]), source.probe):
            failure = _fails(LookFailed, partial(_in_time, act, case.within), name)
            _must(bool(failure.what and failure.on and failure.next), f"{name}: what, on, next")
            _no_secret(failure, case.secrets, name)


def reads_nonsense_as_failure(case: SourceCase) -> None:
    """Whatever the bytes, reading gives a value or LookFailed; a web page is never a value."""
    for request in case.requests:
        for body in NONSENSE:
            try:
                case.source.read(request, body)
            except LookFailed as failure:
                _must(bool(failure.what), "the error says what")
            else:
                _must(case.forgiving or b"<html>" not in body, "a web page was read as an answer")


def probe_says_that_it_works(case: SourceCase) -> None:
    """`probe` returns one sentence without a secret."""
    said = case.source.probe()
    _must(bool(said) and "\n" not in said, "probe returns one line")
    _must(not any(secret in said for secret in case.secrets), "probe tells a secret")


SOURCE_CHECKS: tuple[Callable[[SourceCase], None], ...] = (
    answers_every_op,
    refuses_what_it_does_not_know,
    fails_clearly_where_it_cannot_answer,
    reads_nonsense_as_failure,
    probe_says_that_it_works,
)


@dataclass(frozen=True, kw_only=True)
class TargetCase:
    """A target on which one act can be done: `state` is what runs, `changes` counts real changes.

    `key` begins the keys of its acts; where a target outlives a case, it must be new in each.
    """

    target: Target
    action: str
    service: str
    arguments: Mapping[str, Argument]
    state: Callable[[], str]
    changes: Callable[[], int]
    key: str = "key"
    secrets: tuple[str, ...] = ()


def plan_for(case: TargetCase, survey: Survey, *, key: str, **changes: Any) -> Plan:
    """The plan that a runner would make of a survey."""
    made: dict[str, Any] = {
        "id": "P1",
        "key": key,
        "incident": "IR-1",
        "action": case.action,
        "integration": "target",
        "target": case.service,
        "arguments": dict(case.arguments),
        "change": survey.change,
        "blast": survey.blast,
        "undo": survey.undo,
        "requester": "run:R1",
        "reason": "--errors since the deploy; $(touch x) `id` \n\"'",
        "made_at": _MADE_AT,
        "expires_at": _MADE_AT + timedelta(minutes=15),
    }
    return Plan(**{**made, **changes})


def survey_changes_nothing(case: TargetCase) -> None:
    """Asking what an act would do leaves everything as it is, and answers the same again."""
    before = case.state()
    first, second = (case.target.survey(case.action, case.service, case.arguments) for _ in "ab")
    _must(first == second, "two surveys differ")
    _must(case.state() == before and case.changes() == 0, "the survey changed something")
    _must(first.change.current != first.change.target and not first.already, "nothing to do")


def refuses_odd_acts(case: TargetCase) -> None:
    """Unknown actions and arguments, and names that a shell would read, are refused as such."""
    odd: list[tuple[str, str, dict[str, Argument]]] = [
        ("drop_database", case.service, {}),
        (case.action, case.service, {"shell": "id"}),
        (case.action, case.service, {"to": 1}),
        *((case.action, name, dict(case.arguments)) for name in ODD_NAMES),
    ]
    odd += [(case.action, case.service, {"to": name}) for name in ODD_NAMES]
    for action, service, arguments in odd:
        refusal = _fails(Refused, partial(case.target.survey, action, service, arguments))
        _must(refusal.reason == "impossible", f"{service!r} {arguments}: the reason is impossible")
    _must(case.changes() == 0, "a refused act changed something")


def applies_once(case: TargetCase) -> None:
    """The same key twice changes once, and `lookup` knows before and after."""
    plan = plan_for(
        case, case.target.survey(case.action, case.service, case.arguments), key=f"{case.key}1"
    )
    _must(case.target.lookup(plan) is None, "lookup knows an act that never happened")
    first = case.target.apply(plan)
    _must(first.status == "applied", f"the first is applied: {first.status}: {first.text}")
    _must(case.state() == plan.change.target, f"now {case.state()} runs")
    second = case.target.apply(plan)
    _must(second.status == "already", f"the second is already: {second.status}: {second.text}")
    _must(case.changes() == 1, f"{case.changes()} changes, not one")
    found = case.target.lookup(plan)
    _must(found is not None and found.status == "applied", "lookup finds it")
    for outcome in (first, second):
        _must(not any(s in outcome.text for s in case.secrets), "an outcome tells a secret")


def applies_once_at_the_same_time(case: TargetCase) -> None:
    """Two at once under one key change once."""
    plan = plan_for(
        case, case.target.survey(case.action, case.service, case.arguments), key=f"{case.key}1"
    )
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(case.target.apply(plan).status))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _must(sorted(outcomes) == ["already", "applied"], f"outcomes: {outcomes}")
    _must(case.changes() == 1, f"{case.changes()} changes, not one")


def undo_brings_it_back(case: TargetCase) -> None:
    """The survey's undo is an act of the same target that restores what was."""
    before = case.state()
    survey = case.target.survey(case.action, case.service, case.arguments)
    case.target.apply(plan_for(case, survey, key=f"{case.key}1"))
    _must(bool(survey.undo.action), "there is an undo")
    back = case.target.survey(survey.undo.action, case.service, survey.undo.arguments)
    plan = plan_for(
        case, back, key=f"{case.key}2", action=survey.undo.action, arguments=survey.undo.arguments
    )
    _must(case.target.apply(plan).status == "applied", "the undo is applied")
    _must(case.state() == before, f"{before} ran, now {case.state()}")


TARGET_CHECKS: tuple[Callable[[TargetCase], None], ...] = (
    survey_changes_nothing,
    refuses_odd_acts,
    applies_once,
    applies_once_at_the_same_time,
    undo_brings_it_back,
)


@dataclass(frozen=True, kw_only=True)
class AlertSourceCase:
    """An alert source, a delivery as its sender makes it, and the headers of an impostor."""

    source: AlertSource
    headers: Mapping[str, str]
    body: bytes
    wrong: tuple[Mapping[str, str], ...]
    secrets: tuple[str, ...]
    signs_body: bool = False


def takes_what_is_authentic(case: AlertSourceCase) -> None:
    """The sender's own delivery is accepted, whatever the case of its header names."""
    case.source.authenticate(case.headers, case.body)
    case.source.authenticate({n.upper(): v for n, v in case.headers.items()}, case.body)


def refuses_what_is_not(case: AlertSourceCase) -> None:
    """No header, another secret, or changed bytes: refused, and the refusal tells no secret."""
    attempts = [({}, case.body), *((headers, case.body) for headers in case.wrong)]
    attempts += [(dict.fromkeys(case.headers, ""), case.body)]
    if case.signs_body:
        attempts += [(case.headers, case.body + b" "), (case.headers, b"")]
    for headers, body in attempts:
        refusal = _fails(Refused, partial(case.source.authenticate, headers, body))
        _must(refusal.reason == "unauthenticated", f"the reason: {refusal.reason}")
        _no_secret(refusal, case.secrets, "refusal")


def reads_alerts(case: AlertSourceCase) -> None:
    """A delivery is one alert or more, in UTC, and the same delivery is the same news."""
    first, second = (case.source.alerts("hook", case.body) for _ in range(2))
    _must(bool(first) and first == second, "the same body reads the same")
    for alert in first:
        _must(alert.source == "hook" and bool(alert.name and alert.fingerprint), "it has a name")
        _must(alert.starts_at.utcoffset() == timedelta(0), "its times are UTC")
        msgspec.json.encode(alert)


def refuses_nonsense(case: AlertSourceCase) -> None:
    """Bytes that are no such delivery are a BadAlert that says what and where."""
    for body in NONSENSE:
        if body == b"[]":
            continue  # for a sender of lists, nothing has happened
        failure = _fails(BadAlert, partial(case.source.alerts, "hook", body), repr(body[:9]))
        _must(bool(failure.what and failure.on), "what, on what")


ALERT_CHECKS: tuple[Callable[[AlertSourceCase], None], ...] = (
    takes_what_is_authentic,
    refuses_what_is_not,
    reads_alerts,
    refuses_nonsense,
)


def _must(held: bool, sentence: str) -> None:
    if not held:
        raise AssertionError(sentence)


def _fails(kind: type[Any], act: Callable[[], Any], name: str = "it") -> Any:
    try:
        got = act()
    except IrkitError as failure:
        _must(isinstance(failure, kind), f"{name}: {type(failure).__name__}: {failure}")
        return failure
    raise AssertionError(f"{name} did not fail: {got!r}"[:200])


def _in_time(act: Callable[[], Any], seconds: float) -> Any:
    """Do it in a thread, so that a call without a time limit fails the check and not the suite."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append((act(), None))
        except BaseException as failure:  # noqa: BLE001 - handed to the caller below
            ended.append((None, failure))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    _must(bool(ended), f"no end within {seconds:g} s")
    value, failure = ended[0]
    if failure is not None:
        raise failure
    return value


def _no_secret(failure: IrkitError, secrets: tuple[str, ...], name: str) -> None:
    told = "".join(traceback.format_exception(failure)) + repr(failure) + repr(vars(failure))
    _must(not any(secret in told for secret in secrets), f"{name}: the error tells a secret")
