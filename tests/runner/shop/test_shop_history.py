"""The deploy history as a file and as a fold, without processes."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.errors import BadInput, LookFailed
from runner.demo.shop import history
from runner.demo.shop.faults import FAULTS
from runner.demo.shop.releases import CALLS, FIRST, RELEASES, SERVICES, THEN, find


def entries(*versions: str) -> list[history.Entry]:
    return [{"service": "checkout", "version": version} for version in versions]


@pytest.mark.parametrize(
    ("went", "back_to"),
    [
        ((), None),
        (("1",), None),
        (("1", "2"), "1"),
        (("1", "2", "3", "2"), "1"),
        (("1", "2", "1", "3"), "1"),
        (("1", "1"), None),
    ],
)
def test_previous(went: tuple[str, ...], back_to: str | None) -> None:
    assert history.previous(entries(*went), "checkout") == back_to


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12))
def test_going_back_again_and_again_ends_at_the_first_version(went: list[str]) -> None:
    done = entries(*went)
    visited = [went[-1]]
    while back := history.previous(done, "checkout"):
        assert back not in visited, "it went forward again"
        visited.append(back)
        done += entries(back)
    assert visited[-1] == went[0]


def test_other_services_do_not_count() -> None:
    mixed = [*entries("1", "2"), {"service": "payments", "version": "9"}]
    assert history.previous(mixed, "checkout") == "1"
    assert history.current(mixed) == {"checkout": "2", "payments": "9"}


@given(st.lists(st.text(max_size=40), max_size=6))
def test_what_is_appended_is_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("history") / "deploys.jsonl"
    written = [{**entry, "reason": text} for text in texts for entry in entries("1")]
    for entry in written:
        history.append(path, entry)
    assert history.read(path) == written


def test_an_append_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "deploys.jsonl"
    history.append(path, entries("1")[0])
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(OSError, match="deploys"):
            history.append(path, entries("2")[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before


@pytest.mark.parametrize("line", ['{"service": "checkout", "vers', "[]", '"x"', "{}", "null"])
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "deploys.jsonl"
    history.append(path, entries("1")[0])
    with path.open("a") as file:
        file.write(line)
    with pytest.raises(LookFailed, match=r"deploys\.jsonl line 2"):
        history.read(path)


def test_the_tables_agree() -> None:
    names = {(r.service, r.version) for r in RELEASES}
    assert len(names) == len(RELEASES)
    assert {service for service, _ in names} == set(SERVICES) == set(FIRST)
    assert set(CALLS) | set(CALLS.values()) == set(SERVICES)
    for service, version in [*FIRST.items(), *THEN]:
        assert not find(service, version).faults
    for fault in (fault for release in RELEASES for fault in release.faults):
        assert fault.kind in FAULTS
        assert 0 < fault.share <= 1


def test_a_release_that_does_not_exist_is_explained() -> None:
    with pytest.raises(BadInput, match=r"1\.4\.9.*1\.4\.0, 1\.4\.1, 1\.4\.2"):
        find("checkout", "1.4.9")
    with pytest.raises(BadInput, match="did you mean 'checkout'"):
        find("chekout", "1.4.2")
