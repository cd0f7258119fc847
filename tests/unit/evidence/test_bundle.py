"""A bundle: what was written comes back, and whatever was changed since is found."""

import gzip
import json

import msgspec
import pytest

from irkit.errors import IrkitError, LedgerBroken, NotFound
from irkit.evidence.bundle import Bundle, hash_of, root_of, write_briefing
from irkit.evidence.recorder import Recorder
from irkit.evidence.redact import Redactor
from irkit.model.catalog import Catalog
from irkit.session import Briefing


@pytest.fixture
def sealed(tmp_path, now, clock, source, ask):
    folder = tmp_path / "bundle"
    write_briefing(folder, Briefing(principal="run:r1", now=now, catalog=Catalog()), Redactor())
    recorder = Recorder(folder, now=now, clock=clock)
    for query in ("up", "down", "rate", "up"):
        recorder.look(ask(query), source.fetch, "counting")
    root = recorder.seal()
    return folder, root


def test_what_was_recorded_is_read_back_and_verifies(sealed, now):
    folder, root = sealed
    bundle = Bundle.open(folder)
    assert [r.evidence for r in bundle.looks] == ["L1", "L2", "L3", "L4"]
    assert [r.nth for r in bundle.looks] == [1, 1, 1, 2]
    assert json.loads(bundle.body(bundle.looks[2]))["answer"] == 3
    assert bundle.looks[1].error == "it is down: prom"
    assert bundle.looks[1].retryable
    assert bundle.body(bundle.looks[1]) == b""
    assert bundle.now == now
    assert bundle.root == root == root_of(now, bundle.looks, hash_of(folder / "briefing.json"))
    bundle.verify(root)


def test_equal_replies_are_stored_once_and_the_files_do_not_tell_the_time(
    tmp_path, now, clock, ask
):
    from irkit.ports import Raw

    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        recorder = Recorder(folder, now=now, clock=clock)
        for query in ("a", "b", "c"):
            recorder.look(ask(query), lambda _: Raw(body=b"same" * 99), "t")
        recorder.seal()
    one, two = (list((folder / "blobs").iterdir()) for folder in folders)
    assert len(one) == len(two) == 1
    assert one[0].read_bytes() == two[0].read_bytes()
    assert gzip.decompress(one[0].read_bytes()) == b"same" * 99


def test_any_changed_byte_of_a_reply_is_found(sealed):
    folder, _ = sealed
    blob = sorted((folder / "blobs").glob("*.gz"))[0]
    whole = blob.read_bytes()
    content = gzip.decompress(whole)
    for place in range(len(whole)):
        blob.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        bundle = Bundle.open(folder)
        record = next(r for r in bundle.looks if r.sha256 == blob.name.removesuffix(".gz"))
        if 4 <= place < 10:  # gzip's own time, level and system: no part of the reply
            assert bundle.body(record) == content
            continue
        with pytest.raises(LedgerBroken, match="was changed"):
            bundle.body(record)
        with pytest.raises(LedgerBroken, match="was changed"):
            bundle.verify()
    blob.write_bytes(whole + b"x")
    with pytest.raises(LedgerBroken, match="was changed"):
        Bundle.open(folder).verify()
    blob.unlink()
    with pytest.raises(LedgerBroken, match="is missing"):
        Bundle.open(folder).verify()


def test_a_removed_exchanged_or_edited_look_is_found(sealed):
    folder, _ = sealed
    file = folder / "looks.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    for changed in (
        lines[:-1],
        lines[1:],
        [lines[1], lines[0], *lines[2:]],
        [*lines, lines[0]],
        [lines[0].replace(b'"query":"up"', b'"query":"ok"'), *lines[1:]],
        [*lines, b'{"torn'],
    ):
        file.write_bytes(b"".join(changed))
        with pytest.raises(LedgerBroken):
            Bundle.open(folder).verify()
    file.write_bytes(b"".join(lines))
    Bundle.open(folder).verify()


def test_a_changed_manifest_or_briefing_is_found(sealed):
    folder, root = sealed
    manifest = folder / "manifest.json"
    written = json.loads(manifest.read_bytes())
    for field, value in {
        "now": "2026-03-01T14:00:01Z",
        "looks": 3,
        "root": "0" * 64,
        "briefing": "0" * 64,
        "version": 2,
    }.items():
        manifest.write_text(json.dumps({**written, field: value}))
        with pytest.raises(LedgerBroken):
            Bundle.open(folder).verify()
    manifest.write_text(json.dumps(written))
    with pytest.raises(LedgerBroken, match="not the one that the ledger names"):
        Bundle.open(folder).verify("1" * 64)
    briefing = folder / "briefing.json"
    briefing.write_bytes(briefing.read_bytes().replace(b"run:r1", b"run:r2"))
    with pytest.raises(LedgerBroken, match="briefing was changed"):
        Bundle.open(folder).verify(root)


def test_everything_consistently_rewritten_is_found_by_the_ledgers_root(sealed, now):
    folder, root = sealed
    bundle = Bundle.open(folder)
    kept = bundle.looks[:2]
    forged = root_of(now, kept, hash_of(folder / "briefing.json"))
    (folder / "looks.jsonl").write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in kept))
    manifest = msgspec.structs.replace(bundle.manifest, looks=2, root=forged)
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    Bundle.open(folder).verify()
    with pytest.raises(LedgerBroken, match="not the one that the ledger names"):
        Bundle.open(folder).verify(root)


def test_a_torn_last_line_is_left_out_and_counted(sealed):
    folder, _ = sealed
    file = folder / "looks.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    (folder / "manifest.json").unlink()
    bundle = Bundle.open(folder)
    assert (len(bundle.looks), bundle.torn) == (3, 1)
    with pytest.raises(LedgerBroken, match="never sealed"):
        bundle.verify()


def test_a_broken_line_in_the_middle_is_no_torn_line(sealed):
    folder, _ = sealed
    file = folder / "looks.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    backwards = lines[1].replace(b'"end":"2026-', b'"end":"2025-')
    for broken in (b"{\n", lines[1].replace(b"down", b"do\xffn"), b"[" * 99_999 + b"\n", backwards):
        file.write_bytes(b"".join([lines[0], broken, *lines[2:]]))
        with pytest.raises(LedgerBroken, match=r"looks\.jsonl:2"):
            Bundle.open(folder)


def test_a_foreign_list_cannot_name_a_file_outside(sealed, tmp_path):
    folder, _ = sealed
    secret = tmp_path / "secret"
    secret.write_text("outside")
    record = msgspec.structs.replace(
        Bundle.open(folder).looks[0], sha256="../../secret", bytes=len("outside")
    )
    (folder / "looks.jsonl").write_bytes(msgspec.json.encode(record) + b"\n")
    bundle = Bundle.open(folder)
    with pytest.raises(LedgerBroken, match="not a hash"):
        bundle.body(bundle.looks[0])


def test_a_blob_that_swells_is_not_unpacked(sealed):
    folder, _ = sealed
    bundle = Bundle.open(folder)
    record = bundle.looks[0]
    bomb = gzip.compress(bytes(50_000_000))
    (folder / "blobs" / f"{record.sha256}.gz").write_bytes(bomb)
    with pytest.raises(LedgerBroken, match="was changed"):
        bundle.body(record)


def test_no_bundle_and_no_briefing_say_what_to_do(tmp_path, sealed):
    with pytest.raises(NotFound, match="name a run's bundle folder"):
        Bundle.open(tmp_path / "nothing")
    folder, _ = sealed
    (folder / "briefing.json").unlink()
    with pytest.raises(NotFound, match="what its run was told"):
        Bundle.open(folder).briefing()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path, now):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IrkitError, match="evidence cannot be stored"):
        write_briefing(
            tmp_path / "file", Briefing(principal="system", now=now, catalog=Catalog()), Redactor()
        )
