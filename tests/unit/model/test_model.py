"""The values: canonical forms, hashes, windows, matchers, principals, alerts."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.errors import BadInput, BadQuery, NotFound
from irkit.model import event as ev
from irkit.model.action import BlastRadius, Change, Check, Plan, Undo, plan_key
from irkit.model.alert import Alert, fingerprint, severity_of, worst
from irkit.model.base import canonical, decode, digest, utc
from irkit.model.catalog import Catalog, Service, Signal
from irkit.model.matchers import Matcher, parse_matchers
from irkit.model.principal import check_principal, is_person
from irkit.model.window import Window, format_duration, parse_duration, parse_rfc3339, parse_time

START = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


# -- canonical -----------------------------------------------------------------------------------


@given(json_values)
def test_canonical_is_one_form(value: Any) -> None:
    def shuffled(one: Any) -> Any:
        if isinstance(one, dict):
            return {k: shuffled(one[k]) for k in reversed(one)}
        return [shuffled(v) for v in one] if isinstance(one, list) else one

    assert canonical(shuffled(value)) == canonical(value)
    assert canonical(msgspec.json.decode(canonical(value))) == canonical(value)


@given(json_values, json_values)
def test_different_values_have_different_forms(one: Any, other: Any) -> None:
    same = msgspec.json.decode(canonical(one)) == msgspec.json.decode(canonical(other))
    if canonical(one) == canonical(other):
        assert same


def test_utc() -> None:
    there = datetime(2026, 3, 1, 15, 0, tzinfo=timezone(timedelta(hours=1)))
    assert utc(there) == START
    assert utc(there).tzinfo is UTC
    with pytest.raises(ValueError, match="without a zone"):
        utc(datetime(2026, 3, 1))  # noqa: DTZ001 - that is the mistake


# -- plans ---------------------------------------------------------------------------------------

PLAN = Plan(
    id="P-1", key="k", incident="IR-1", action="rollback", integration="deploy", target="checkout",
    arguments={"to": "previous"}, change=Change(what="checkout", current="2", target="1"),
    blast=BlastRadius(instances=1, of=2, environment="prod"),
    undo=Undo(how="deploy 2", action="deploy", arguments={"to": "2"}),
    check=Check(service="checkout", signal="error_rate", limit=0.05), requester="run:IR-1-r1",
    made_at=START, expires_at=START + timedelta(minutes=15),
)  # fmt: skip
DECIDED_ON: dict[str, Any] = {
    "incident": "IR-2", "action": "deploy", "integration": "other", "target": "payments",
    "arguments": {"to": "1"}, "change": Change(what="checkout", current="2", target="0"),
    "blast": BlastRadius(instances=2, of=2, environment="prod"), "undo": Undo(how="", cannot="no"),
    "check": None, "policy": "auto", "bounds": ("at most 3",), "undoes": "P-0",
}  # fmt: skip
NOT_DECIDED_ON: dict[str, Any] = {
    "id": "P-2", "key": "l", "approvers": ("oncall",), "approvals_needed": 2,
    "requester": "person:oncall", "reason": "why", "suspect": "s", "strength": 0.5,
    "contrary": "c", "gaps": ("g",), "evidence": ("L1",), "made_at": START + timedelta(1),
    "expires_at": START + timedelta(2),
}  # fmt: skip


def test_every_field_is_decided_on_or_not() -> None:
    assert {*DECIDED_ON, *NOT_DECIDED_ON} == set(Plan.__struct_fields__)


@pytest.mark.parametrize("field", DECIDED_ON)
def test_the_hash_covers_what_is_decided_on(field: str) -> None:
    changed = msgspec.structs.replace(PLAN, **{field: DECIDED_ON[field]})
    assert changed.hash != PLAN.hash


@pytest.mark.parametrize("field", NOT_DECIDED_ON)
def test_the_hash_leaves_out_who_and_when(field: str) -> None:
    changed = msgspec.structs.replace(PLAN, **{field: NOT_DECIDED_ON[field]})
    assert changed.hash == PLAN.hash


def test_the_hash_survives_storage() -> None:
    stored = decode(canonical(PLAN), Plan)
    assert stored == PLAN
    assert stored.hash == PLAN.hash
    assert re.fullmatch("[0-9a-f]{64}", PLAN.hash)
    assert PLAN.title == "Roll back checkout 2 -> 1 in prod"


def test_plan_keys() -> None:
    def key(**more: Any) -> str:
        given = {"incident": "IR-1", "action": "a", "target": "t", "arguments": {"x": 1, "y": None}}
        return plan_key(**{**given, **more})

    assert key() == key(arguments={"y": None, "x": 1}) == key(again=0)
    others = [key(incident="IR-2"), key(action="b"), key(target="u"), key(arguments={"x": 2}),
              key(arguments={"x": "1", "y": None}), key(undoes="P-1"), key(again=1)]  # fmt: skip
    assert len({key(), *others}) == 8
    with pytest.raises(BadInput, match=r"a\(x=\.\.\.\)"):
        key(arguments={"x": ["a"]})


def test_share_of_nothing_is_everything() -> None:
    assert BlastRadius(instances=0, of=0).share == 1.0
    assert BlastRadius(instances=1, of=4).share == 0.25


# -- windows -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("1h30m", 5400), ("15s", 15), ("250ms", 0.25), ("2d", 172800), (" 1.5h ", 5400),
     ("1w", 604800)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "1 h", "-5m", "1h30", "5x", "1h 30m", "٣m"])
def test_no_durations(text: str) -> None:
    with pytest.raises(BadQuery, match="90m"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9" * 400 + "w", "99999999999999w", "8000000w"])
def test_times_beyond_the_calendar(text: str) -> None:
    with pytest.raises(BadQuery, match="90m"):
        parse_time(text, now=START)


@given(st.integers(0, 10**7))
def test_durations_read_as_they_are_written(seconds: int) -> None:
    """Two units at the most are shown, so what is read back is less by less than the second."""
    span = timedelta(seconds=seconds)
    again = parse_duration(format_duration(span))
    assert timedelta(0) <= span - again <= span / 24
    assert format_duration(again) == format_duration(span)


def test_formats() -> None:
    spans = [0, 0.85, 192, 5400, 90061, -60]
    shown = [format_duration(timedelta(seconds=s)) for s in spans]
    assert shown == ["0s", "850ms", "3m12s", "1h30m", "1d1h", "-1m"]


def test_times() -> None:
    assert parse_time("90m", now=START) == START - timedelta(minutes=90)
    assert parse_time("2026-03-01T15:00:00+01:00", now=START) == START
    assert parse_rfc3339("2026-03-01T14:00:00.123456789Z").microsecond == 123456
    for text in ("2026-03-01T14:00:00", "yesterday", "2026-13-01T00:00:00Z", ""):
        with pytest.raises(BadQuery, match="not a time"):
            parse_time(text, now=START)


def test_windows() -> None:
    window = Window.before(START, "1h")
    assert window.length == timedelta(hours=1)
    assert START in window
    assert START + timedelta(seconds=1) not in window
    assert str(window) == "2026-03-01 13:00:00Z - 14:00:00Z"
    with pytest.raises(BadQuery, match="swap"):
        Window(start=START, end=START - timedelta(seconds=1))
    with pytest.raises(ValueError, match="without a zone"):
        Window(start=datetime(2026, 3, 1), end=START)  # noqa: DTZ001 - that is the mistake


# -- matchers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ('a="b"', {"a": "b"}, True),
        ('a="b"', {}, False),
        ('a!="b"', {}, True),
        ('a=""', {}, True),
        ('{a=~"b|c", d!~"x.*"}', {"a": "c", "d": "yx"}, True),
        ('a=~"b"', {"a": "bb"}, False),  # anchored
        ('a=~"b.c"', {"a": "b\nc"}, True),
        ("a=b, c=d", {"a": "b", "c": "d"}, True),
        ('a="x,y"', {"a": "x,y"}, True),
        (r'a="q\"q\\\n"', {"a": 'q"q\\\n'}, True),
        ("", {"a": "b"}, True),
        ('a="b",', {"a": "b"}, True),
    ],
)
def test_matchers(text: str, labels: dict[str, str], fits: bool) -> None:
    assert all(m.matches(labels) for m in parse_matchers(text)) is fits


@pytest.mark.parametrize("text", ["a", "a=", '="b"', 'a="b" c="d"', 'a=~"("', 'a="b', "a==b", ",,"])
def test_no_matchers(text: str) -> None:
    with pytest.raises(BadQuery):
        parse_matchers(text)


@given(st.text(max_size=12))
def test_a_matcher_reads_as_it_is_written(value: str) -> None:
    matcher = Matcher(name="a", op="=", value=value)
    assert parse_matchers(str(matcher)) == (matcher,)
    assert matcher.matches({"a": value})


# -- principals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["system", "person:a@b.c", "run:IR-1-r2", "hook:am"])
def test_principals(text: str) -> None:
    assert check_principal(text) == text
    assert is_person(text) == text.startswith("person:")


@pytest.mark.parametrize(
    "text",
    ["", "oncall", "person:", "person:a b", "person:a\n", "root:x", "system ", "systems",
     "person:<b>", "person:" + "a" * 81, "PERSON:a"],
)  # fmt: skip
def test_no_principals(text: str) -> None:
    with pytest.raises(BadInput, match="person:NAME"):
        check_principal(text)


# -- alerts --------------------------------------------------------------------------------------


def test_alert_keys_tell_news_from_repetition() -> None:
    def alert(**more: Any) -> Alert:
        given = {"source": "a", "fingerprint": "f", "firing": True, "name": "n", "starts_at": START}
        return Alert(**{**given, **more})

    same = [alert(), alert(summary="other words"), alert(labels={"a": "b"}), alert(severity="SEV1")]
    assert len({a.key for a in same}) == 1
    news = [alert(firing=False), alert(starts_at=START + timedelta(1)), alert(fingerprint="g")]
    assert len({a.key for a in (*same, *news)}) == 4


def test_fingerprints_and_severities() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})
    assert fingerprint({"a": "1"}) != fingerprint({"a": "2"})
    words = ["critical", " PAGE ", "p2", "Warning", "info", "whatever", ""]
    assert [severity_of(w)[-1] for w in words] == ["1", "1", "2", "3", "4", "3", "3"]
    assert worst(["SEV3", "SEV1", "SEV2"]) == "SEV1"
    assert worst([]) == "SEV4"


# -- catalog -------------------------------------------------------------------------------------


def test_who_is_affected() -> None:
    calls = {"web": ("shop",), "shop": ("pay", "stock"), "pay": (), "stock": ("shop",), "mail": ()}
    signal = Signal(name="errors", source="m", query="q", alerts=("TooMany",))
    services = {
        n: Service(name=n, depends_on=c, signals={"errors": signal}) for n, c in calls.items()
    }
    catalog = Catalog(services=services)
    assert catalog.affected("pay") == ("pay", "shop", "web", "stock")
    assert set(catalog.affected("shop")) == {"web", "shop", "pay", "stock"}
    assert catalog.affected("mail") == ("mail",)
    assert catalog.affected("gone") == ("gone",)
    assert catalog.affected("") == ()
    assert catalog.signal_of_alert("pay", "TooMany") == "errors"
    assert catalog.signal_of_alert("pay", "Other") == ""
    assert catalog.signal_of_alert("gone", "TooMany") == ""
    with pytest.raises(NotFound, match="did you mean 'stock'"):
        catalog.service("stok")


# -- events --------------------------------------------------------------------------------------


def test_every_kind_is_in_its_record_with_its_writer() -> None:
    """docs/adr/0001 lists each kind once, as the code has it."""
    page = Path(__file__).parents[3] / "docs" / "adr" / "0001-event-kinds.md"
    listed = re.findall(r"^\| `([a-z.]+)` \| (.+?) \| (.+?) \|$", page.read_text(), re.MULTILINE)
    assert [kind for kind, _, _ in listed] == list(ev.kinds())
    for kind, meaning, writer in listed:
        assert writer.strip(), kind
        assert meaning == (ev.kinds()[kind].__doc__ or "").split("\n")[0].split("; ")[0].rstrip(".")


def test_kinds_are_nouns_and_past_verbs() -> None:
    assert all(re.fullmatch(r"[a-z]+\.[a-z]+", kind) for kind in ev.kinds())
    assert len(ev.kinds()) == len(ev.AnyBody.__args__)


def test_a_chain_hash_covers_everything() -> None:
    given: list[Any] = ["p", "IR-1", 1, "k", START, START, "system", b"{}"]
    hashes = {ev.chain_hash(*given)}
    others: list[Any] = ["q", "IR-2", 2, "l", START + timedelta(1), START + timedelta(2), "hook:a",
                         b"{ }"]  # fmt: skip
    for place, other in enumerate(others):
        hashes.add(ev.chain_hash(*[other if n == place else g for n, g in enumerate(given)]))
    assert len(hashes) == 9
    assert digest(["a", "b"]) != digest(["ab"])
