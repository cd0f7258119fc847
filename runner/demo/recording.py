"""A recorded story in one file: what came in, what people decided, and every reply from outside.

Recordings are made by `irkit demo --live --record`, never by hand.
"""

from __future__ import annotations

import zipfile
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from irkit.errors import BadInput, NotFound
from irkit.evidence.bundle import Bundle
from irkit.model.base import Value
from irkit.model.event import (
    Acknowledged,
    ApprovalDenied,
    ApprovalGiven,
    EffectChecked,
    EffectVerified,
    Event,
)
from irkit.model.principal import is_person
from runner.runs.execute import Recording
from runner.stores.inbox import Delivery

SUFFIX = ".irkit.zip"
FOLDER = Path(__file__).parent / "recordings"


class Arrival(Value, frozen=True, kw_only=True):
    """A delivery as it came: when, from which source, the raw body."""

    at: datetime
    source: str
    body: bytes


class Deed(Value, frozen=True, kw_only=True):
    """What a person did: `ack`, `approve` or `deny`, when, and who."""

    at: datetime
    kind: str
    person: str
    note: str = ""


class Story(Value, frozen=True, kw_only=True):
    """The script of a recorded incident.

    `track` maps the key of each event to when it was recorded, so that a replay keeps the times.
    """

    scenario: str
    incident: str
    made_with: str
    arrivals: tuple[Arrival, ...]
    deeds: tuple[Deed, ...]
    runs: dict[int, datetime]
    track: dict[str, datetime]
    head: str


def save(
    path: Path,
    *,
    scenario: str,
    events: tuple[Event, ...],
    deliveries: tuple[Delivery, ...],
    runs: dict[int, tuple[datetime, Path]],
    looks: Path,
) -> int:
    """Write the recording of one incident; returns its size in bytes.

    `runs` maps ordinals to the frozen now and the bundle's folder; `looks` is the bundle of what
    the runner itself asked and did.
    """
    story = Story(
        scenario=scenario,
        incident=events[0].incident,
        made_with=f"irkit {version('irkit')}",
        arrivals=tuple(
            Arrival(at=d.received, source=d.source, body=d.body)
            for d in sorted(deliveries, key=lambda d: d.id)
        ),
        deeds=tuple(deed for e in events if (deed := _deed(e))),
        runs={ordinal: now for ordinal, (now, _) in runs.items()},
        track={e.key: _moment(e) for e in events},
        head=events[-1].hash,
    )
    folders = {f"runs/{ordinal}": folder for ordinal, (_, folder) in runs.items()}
    folders["looks"] = looks
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        made.writestr("story.json", msgspec.json.format(msgspec.json.encode(story), indent=1))
        for name, folder in folders.items():
            for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                made.write(file, f"{name}/{file.relative_to(folder)}")
    return path.stat().st_size


def unpack(scenario: str, folder: Path) -> tuple[Story, Recording]:
    """Unpack a recording into `folder` and read it.

    `scenario` is the name of one that is shipped, or the path of a file.

    Raises:
        NotFound: there is none of that name.
        BadInput: the file is not a recording.
    """
    path = Path(scenario) if scenario.endswith(SUFFIX) else FOLDER / f"{scenario}{SUFFIX}"
    if not path.is_file():
        known = ", ".join(scenarios()) or "none is shipped"
        raise NotFound("no such recording", on=scenario, next=f"known: {known}")
    try:
        with zipfile.ZipFile(path) as packed:
            packed.extractall(folder)
        story = msgspec.json.decode((folder / "story.json").read_bytes(), type=Story)
    except (zipfile.BadZipFile, OSError, msgspec.MsgspecError) as why:
        raise BadInput(
            f"not a recording ({why})", on=str(path), next="make one: irkit demo --live --record"
        ) from None
    recording = Recording(
        runs={n: (now, folder / "runs" / str(n)) for n, now in story.runs.items()},
        looks=Bundle.open(folder / "looks"),
    )
    return story, recording


def scenarios() -> tuple[str, ...]:
    """The names of the shipped recordings."""
    return tuple(sorted(p.name.removesuffix(SUFFIX) for p in FOLDER.glob(f"*{SUFFIX}")))


def _moment(event: Event) -> datetime:
    """When it was recorded; a look at an effect counts from when it was made."""
    looked = isinstance(event.body, EffectChecked | EffectVerified)
    return event.at if looked else event.recorded


def _deed(event: Event) -> Deed | None:
    if not is_person(event.by):
        return None
    match event.body:
        case Acknowledged(note=note):
            return Deed(at=event.recorded, kind="ack", person=event.by, note=note)
        case ApprovalGiven(note=note):
            return Deed(at=event.recorded, kind="approve", person=event.by, note=note)
        case ApprovalDenied(note=note):
            return Deed(at=event.recorded, kind="deny", person=event.by, note=note)
    return None
