"""Are the files beside the ledger what it names?  Each is compared; what it cannot tell is told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from irkit.errors import IrkitError, LedgerBroken
from irkit.evidence.bundle import Bundle, hash_of, read_blob
from irkit.model.base import Value
from irkit.model.event import Event, PostmortemExported
from irkit.model.incident import IncidentState, RunState
from irkit.model.look import LookRecord

_LOOKS = re.compile(r"looks-\d+/looks\.jsonl")
_IN_A_BUNDLE = re.compile(r"(?:looks\.jsonl|manifest\.json|briefing\.json)")
_SET_ASIDE = re.compile(r"(?:looks\.attempt-\d+\.jsonl|manifest\.attempt-\d+\.json)|.*\.half")


class Kept(Value, frozen=True, kw_only=True):
    """What was found of an incident's files.

    `same` lists those that are as the ledger names them, `broken` says what was changed, `edited`
    what people wrote since, `unproven` what no digest in the ledger covers.
    """

    same: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()


def compare(storage: Path, state: IncidentState, events: Iterable[Event]) -> Kept:
    """Compare every file that the ledger names with its digest there; changes nothing."""
    found = [_run(storage, run) for run in state.runs]
    named: dict[str, str] = {}
    for event in events:
        if isinstance(event.body, PostmortemExported):
            named |= event.body.files
    found += [_exported(storage, name, digest, state.id) for name, digest in named.items()]
    found.append(_not_named(storage, state, named))
    return _together(found)


def is_runbook_of(run: RunState, path: Path) -> None:
    """Check that a run's runbook is the one that was executed.

    Raises:
        LedgerBroken: it was changed, it is missing, or the ledger does not name it.
    """
    if hash_of(path) != run.runbook_sha256 or not run.runbook_sha256:
        raise LedgerBroken(
            "the runbook is not the one that was executed", on=str(path),
            next="restore it from a backup; what it says now is not executed",
        )  # fmt: skip


def _run(storage: Path, run: RunState) -> Kept:
    folder = storage / "runs" / run.run
    at = f"runs/{run.run}"
    digests = {"runbook.ipynb": run.runbook_sha256, "notebook.ipynb": run.notebook}
    found = [_file(storage, f"{at}/{name}", known) for name, known in digests.items() if known]
    if run.bundle:
        found.append(_bundle(folder / "bundle", f"{at}/bundle", run.bundle))
    names = {"journal", "work"} if run.bundle else {"journal", "work", "bundle"}
    beside = [p.name for p in (sorted(folder.iterdir()) if folder.is_dir() else [])
              if p.name in names or p.name.startswith(("attempt-", "replay-"))]  # fmt: skip
    if run.status == "running":
        found.append(Kept(unproven=(f"{at}: it has not ended",)))
    elif beside:
        found.append(Kept(unproven=(f"{at}: {', '.join(beside)} (no digest is kept of these)",)))
    return _together(found)


def _exported(storage: Path, name: str, digest: str, incident: str) -> Kept:
    path = storage / name
    if _LOOKS.fullmatch(name.removeprefix(f"incidents/{incident}/")):
        return _own_looks(path, name, digest)
    if path.suffix == ".ipynb" and path.exists() and hash_of(path) != digest:
        return Kept(edited=(f"{name}: edited since it was exported",))
    return _file(storage, name, digest)


def _not_named(storage: Path, state: IncidentState, named: dict[str, str]) -> Kept:
    """Files that a post-mortem's event will name, and none does yet."""
    paths = [storage / "runs" / run.run / "report.html" for run in state.runs]
    folder = storage / "incidents" / state.id
    paths += sorted([*folder.glob("looks-*/looks.jsonl"), *folder.glob("postmortem.*")])
    names = [str(p.relative_to(storage)) for p in paths if p.exists()]
    return Kept(
        unproven=tuple(
            f"{name}: its digest is recorded with the post-mortem, and was not yet"
            for name in names if name not in named
        )
    )  # fmt: skip


def _file(storage: Path, name: str, digest: str) -> Kept:
    try:
        same = hashlib.sha256((storage / name).read_bytes()).hexdigest() == digest
    except OSError as why:
        return Kept(broken=(f"{name}: it cannot be read ({(why.strerror or str(why)).lower()})",))
    if not same:
        return Kept(broken=(f"{name}: its bytes were changed since the ledger named them",))
    return Kept(same=(name,))


def _bundle(folder: Path, name: str, root: str) -> Kept:
    try:
        bundle = Bundle.open(folder)
        bundle.verify(root)
    except (IrkitError, OSError) as why:
        return Kept(broken=(f"{name}: {why}",))
    strange, aside = _strangers(folder, bundle.looks)
    told = _too_many(name, strange)
    unproven = tuple(f"{name}/{one}: left by an attempt that was cut off" for one in aside)
    return Kept(same=() if told else (name,), broken=told, unproven=unproven)


def _own_looks(path: Path, name: str, digest: str) -> Kept:
    """The runner's own looks: the list only grows, and its beginning is what was exported."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as why:
        return Kept(broken=(f"{name}: it cannot be read ({(why.strerror or str(why)).lower()})",))
    so_far, covered = hashlib.sha256(), None
    for number, line in enumerate(lines, 1):
        so_far.update(line)
        if so_far.copy().hexdigest() == digest:
            covered = number
    if covered is None:
        return Kept(broken=(f"{name}: its bytes were changed since the ledger named them",))
    try:
        looks = [msgspec.json.decode(line, type=LookRecord) for line in lines]
        for look in looks:
            if look.sha256:
                read_blob(path.parent, look.sha256, look.bytes)
    except (IrkitError, OSError, msgspec.MsgspecError) as why:
        return Kept(broken=(f"{name}: {why}",))
    strange, _ = _strangers(path.parent, looks)
    told = _too_many(str(Path(name).parent), strange)
    later = len(lines) - covered
    more = (f"{name}: {later} looks made since the post-mortem was written",) if later else ()
    return Kept(same=() if told else (name,), broken=told, unproven=more)


def _strangers(folder: Path, looks: Sequence[LookRecord]) -> tuple[list[str], list[str]]:
    """Files of a bundle that no look names, and those that a cut-off attempt leaves behind."""
    blobs = {look.sha256 for look in looks}
    strange: list[str] = []
    aside: list[str] = []
    for path in sorted(p for p in folder.rglob("*") if not p.is_dir()):
        name = str(path.relative_to(folder))
        packed = path.with_suffix(".gz")
        known = path.parent == folder / "blobs" and path.name.removesuffix(".gz") in blobs
        if (known and (path == packed or not packed.exists())) or _IN_A_BUNDLE.fullmatch(name):
            continue
        (aside if _SET_ASIDE.fullmatch(name) else strange).append(name)
    if any(name.startswith("looks.attempt-") for name in aside):  # their replies lie there too
        return [], [*aside, *strange]
    return strange, aside


def _too_many(name: str, strange: list[str]) -> tuple[str, ...]:
    return tuple(f"{name}/{one}: no look names it, so it was put there" for one in strange)


def _together(found: Iterable[Kept]) -> Kept:
    parts = list(found)

    def all_of(field: str) -> Iterator[str]:
        return (text for one in parts for text in getattr(one, field))

    return Kept(
        same=tuple(all_of("same")),
        broken=tuple(all_of("broken")),
        edited=tuple(all_of("edited")),
        unproven=tuple(all_of("unproven")),
    )
