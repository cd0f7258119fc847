"""Decides who answers a look, a source or a recording, and records what came back."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from irkit.clock import Clock
from irkit.errors import BadInput, IrkitError, LedgerBroken, LookFailed
from irkit.evidence.bundle import Bundle
from irkit.evidence.redact import Redactor
from irkit.evidence.writer import Writer
from irkit.model.base import Value
from irkit.model.look import LookRecord, Reply, Request
from irkit.ports import Raw

MODES = ("live", "resume", "replay")
_log = logging.getLogger("irkit.evidence")


class Limits(Value, frozen=True, kw_only=True):
    """How much one run may look: number of looks, bytes of one reply, bytes of all replies."""

    looks: int = 2000
    reply_bytes: int = 128 << 20
    total_bytes: int = 1 << 30


class Recorder:
    """Answers a run's looks and records them; may be used from several threads at once.

    `live` asks the sources.  `resume` lets the recording of the crashed run answer until the
    first look that it does not hold; from there on everything is live.  `replay` never asks.

    Args:
        folder: the bundle to write; None records nothing, which only a replay may do.
        now: the run's frozen now.
        clock: tells when each look was made.
        recorded: the earlier recording, for `resume` and `replay`.  It may be in `folder`.
        mode: `live`, `resume` or `replay`.
        on_live: called once, before the first look that a source answers, with the number of
            looks that the recording had answered.
        limits: how much the run may look.
        redactor: takes configured secrets out of replies before they are hashed and stored.
        repeat: a replay answers a look that is repeated more often than it was recorded with the
            last recorded reply, for people who run a cell again.

    Raises:
        BadInput: the arguments do not fit, or `folder` holds another recording.
    """

    def __init__(
        self,
        folder: str | Path | None,
        *,
        now: datetime,
        clock: Clock,
        recorded: Bundle | None = None,
        mode: str = "live",
        on_live: Callable[[int], None] | None = None,
        limits: Limits | None = None,
        redactor: Redactor | None = None,
        repeat: bool = False,
    ) -> None:
        if mode not in MODES or (mode != "live" and recorded is None):
            raise BadInput(
                "a recorder is live, or it resumes or replays a recording",
                on=f"mode={mode!r}, recorded={recorded!r}",
                next="give the recording, or use mode='live'",
            )
        if folder is None and mode != "replay":
            raise BadInput("every live look is recorded", next="give a folder for the bundle")
        self.now, self.mode, self.redactor = now, mode, redactor or Redactor()
        self.limits = limits or Limits()
        self._clock, self._recorded, self._on_live, self._repeat = clock, recorded, on_live, repeat
        self._writer = Writer(Path(folder), again=mode == "resume") if folder is not None else None
        self._lock = threading.Lock()
        self._announcing = threading.Lock()
        self._announced = False
        self._live = mode == "live"
        self._asked: Counter[str] = Counter()
        self._bytes = self._answered = 0
        self._number = (
            max((_number(r.evidence) for r in recorded.looks), default=0) if recorded else 0
        )
        self.looks = self.failed = 0

    def look(
        self,
        request: Request,
        ask: Callable[[Request], Raw],
        type: str,
        *,
        now: datetime | None = None,
    ) -> Reply:
        """Answer one look and record it; what fails is a reply with an `error`.

        `now` is the moment that the window was resolved from, where it is not the run's own.

        Raises:
            LedgerBroken: a sealed recording was changed.
        """
        key = request.key(now or self.now)
        with self._lock:
            over = self._over()
            if over:
                return Reply(
                    evidence="", type=type, at=self._clock.now(), error=over,
                    next="look at less, or in larger windows and steps",
                )  # fmt: skip
            self._asked[key] += 1
            nth = self._asked[key]
            self.looks += 1
            known = self._recall(key, nth)
            if known is None:
                self._number += 1
            evidence = f"L{self._number}"
        if known is not None:
            record, body = known
            return self._keep(replace(record, nth=nth), body, recorded=True)
        asked = LookRecord(
            evidence=evidence, key=key, nth=nth, request=request, type=type,
            at=self._clock.now(), seconds=0.0, bytes=0, sha256="",
        )  # fmt: skip
        if self.mode == "replay":
            missed = replace(
                asked, error="not recorded: the run that was recorded did not ask this",
                next="run the notebook without a replay to ask the source",
            )  # fmt: skip
            return self._keep(missed, b"", recorded=True)
        try:
            self._announce()
            record, body = self._ask(asked, ask)
        except BaseException:
            with self._lock:  # an interrupted look was not made: the next one takes its place
                self._asked[key] -= 1
                self.looks -= 1
            raise
        return self._keep(record, body, recorded=False)

    def flush(self) -> None:
        """Make every look so far durable; comes before anything that others see."""
        if self._writer is not None:
            self._writer.flush()

    def seal(self) -> str:
        """End the recording; returns the bundle's root hash, or empty text if none is written."""
        return self._writer.seal(self.now) if self._writer is not None else ""

    def close(self) -> None:
        """Close the files without a seal."""
        if self._writer is not None:
            self._writer.close()

    def _over(self) -> str:
        if self.looks >= self.limits.looks:
            return f"too many looks: this run has made its {self.limits.looks}"
        if self._bytes >= self.limits.total_bytes:
            return f"too much evidence: this run has read its {self.limits.total_bytes >> 20} MB"
        return ""

    def _recall(self, key: str, nth: int) -> tuple[LookRecord, bytes] | None:
        """What the recording answers; None makes the look, and in a resumed run the rest, live."""
        if self._live or self._recorded is None:
            return None
        record = self._recorded.find(key, nth, repeat=self._repeat)
        if record is not None:
            try:
                body = self._recorded.body(record)
            except LedgerBroken:
                # After a power cut the last replies may be missing; a sealed bundle has no excuse.
                if self.mode == "replay" or self._recorded.manifest is not None:
                    raise
            else:
                self._answered += 1
                return record, body
        self._live = self.mode == "resume"
        return None

    def _announce(self) -> None:
        with self._announcing:
            if not self._announced and self._on_live is not None:
                self._on_live(self._answered)
            self._announced = True

    def _ask(self, asked: LookRecord, ask: Callable[[Request], Raw]) -> tuple[LookRecord, bytes]:
        start = time.perf_counter()
        try:
            raw = ask(asked.request)
        except IrkitError as why:
            failure: IrkitError = why
        except Exception as why:  # noqa: BLE001 - boundary: an integration's own defect is a gap
            trace = "".join(traceback.format_exception(why))
            _log.error("%s", self.redactor.text(f"look at {asked.request.source} failed\n{trace}"))
            failure = LookFailed(
                f"internal error in the integration ({type(why).__name__})",
                on=asked.request.source,
                next="the runner's log has the details",
            )
        else:
            took = time.perf_counter() - start
            if len(raw.body) <= self.limits.reply_bytes:
                body = self.redactor.body(raw.body)
                return (
                    replace(
                        asked, seconds=took, bytes=len(body), sha256=sha256(body).hexdigest(),
                        media=raw.media,
                    ),
                    body,
                )  # fmt: skip
            failure = LookFailed(
                f"the reply is too large ({len(raw.body) >> 20} MB)",
                on=asked.request.source,
                next="ask for less: a shorter window, a longer step, a narrower query",
            )
        error = f"{failure.what}: {failure.on}" if failure.on else failure.what
        failed = replace(
            asked, seconds=time.perf_counter() - start, error=self.redactor.text(error),
            next=self.redactor.text(failure.next), retryable=failure.retryable,
        )  # fmt: skip
        return failed, b""

    def _keep(self, record: LookRecord, body: bytes, *, recorded: bool) -> Reply:
        try:
            if self._writer is not None:
                self._writer.add(record, body)
        except OSError as why:
            record, body = _unstored(record, why), b""
        with self._lock:
            self._bytes += len(body)
            self.failed += bool(record.error)
        return Reply(
            evidence=record.evidence, type=record.type, at=record.at, body=body,
            media=record.media, sha256=record.sha256, seconds=record.seconds, error=record.error,
            next=record.next, retryable=record.retryable, recorded=recorded,
        )  # fmt: skip


def _unstored(record: LookRecord, why: OSError) -> LookRecord:
    """No evidence, no answer: what cannot be stored must not be built on."""
    return replace(
        record, bytes=0, sha256="", retryable=True,
        error=f"the reply could not be recorded ({why.strerror})",
        next="make room on the disk that holds the runs",
    )  # fmt: skip


def _number(evidence: str) -> int:
    digits = evidence.removeprefix("L")
    return int(digits) if digits.isdigit() and len(digits) < 10 else 0
