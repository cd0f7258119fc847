"""What the runner makes of what a run says: its journal, its progress, its end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import IO, Literal

import msgspec

from irkit.clock import Clock
from irkit.evidence.redact import Redactor
from runner.runs import journal
from runner.runs.confine import Confinement, Limits

Status = Literal["succeeded", "failed", "timed_out", "stopped", "killed"]
UNKNOWN = Confinement(
    **dict.fromkeys(("files", "processes", "network", "memory", "cpu", "user"), "not known"),
    uid=-1,
    missing=("the run ended before it was confined",),
)


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run as it happens; `message` is what the journal keeps of it.

    `cells_done` and `cells_total` count code cells; `at` is UTC.
    """

    run: str
    at: datetime
    message: journal.Message
    cells_done: int
    cells_total: int


class Hearing:
    """What has been heard of one run so far: its place, its end, and why it was cut short."""

    def __init__(
        self,
        run: str,
        limits: Limits,
        kept: IO[bytes],
        on_progress: Callable[[Progress], None] | None,
        clock: Clock,
        redactor: Redactor | None = None,
    ) -> None:
        self._redactor = redactor
        self._run, self._limits = run, limits
        self._kept, self._tell, self._clock = kept, on_progress, clock
        self._room = int(limits.total_output_mb * 1e6) + (32 << 20)
        # One output, its escapes and its envelope; or the whole prepared notebook.
        self._longest = max(64 << 20, int(limits.output_mb * 2e6))
        self._rest = bytearray()
        self._stderr = bytearray()
        self.confinement = UNKNOWN
        self.ended: journal.Ended | None = None
        self._index: int | None = None
        self._numbers: list[int | None] = []
        self.done = self.total = 0
        self.cut: tuple[Status, str, str] | None = None
        self.disk_full = False
        self.code: int | None = None

    @property
    def cell(self) -> int | None:
        """The n in `In [n]` of the last cell that began; None before, and for given parameters."""
        if self._index is None or self._index >= len(self._numbers):
            return None
        return self._numbers[self._index]

    def cut_short(self, status: Status, name: str, text: str) -> None:
        """Note why the run is being ended from outside; the first reason counts."""
        early = "" if self._index is not None else " before its first cell"
        self.cut = self.cut or (status, name, text + early)

    def cut_short_by_disk(self) -> None:
        """Note that the run has more on the disk than it may."""
        self.disk_full = True
        most = f"{self._limits.disk_mb} MB to the disk; the limit is runs.disk_mb"
        self.cut_short("killed", "RunKilled", f"the run wrote more than {most}")

    def hear(self, part: bytes) -> bool:
        """Take in bytes from the child; False once it has said what it may not."""
        self._room -= len(part)
        lines: list[bytes] = []
        if b"\n" in part:
            first, *lines, rest = part.split(b"\n")
            lines.insert(0, bytes(self._rest + first))
            self._rest = bytearray(rest)
        else:
            self._rest += part
        try:
            for line in lines:
                self._take(line)
            if len(self._rest) > self._longest:
                raise journal.NotAMessage("a message without an end")
            if self._room < 0:
                most = self._limits.total_output_mb
                raise journal.NotAMessage(f"more output than {most:g} MB in all")
        except journal.NotAMessage as error:
            self.cut_short("killed", "RunKilled", f"the run sent {error}"[:500])
            return False
        return True

    def hear_aside(self, part: bytes) -> None:
        """Take in standard error: only its end matters, and only if the run fails without word."""
        self._stderr = (self._stderr + part)[-4000:]

    def said(self) -> str:
        """The last line of standard error."""
        lines = bytes(self._stderr).decode(errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else ""

    def _take(self, line: bytes) -> None:
        if self._redactor is not None:
            line = self._redactor.body(line)
        message = journal.decode(line)
        at = self._clock.now()
        self._kept.write(journal.stamped(at, line))
        self._kept.flush()
        match message:
            # Both come before any cell can speak, and only once.
            case journal.Confined() if self.confinement is UNKNOWN:
                self.confinement = message.confinement
            case journal.Prepared() if self._index is None:
                self._numbers = journal.numbers(message.notebook["cells"])
                self.total = sum(
                    cell.get("cell_type") == "code" and bool("".join(cell["source"]).strip())
                    for cell in message.notebook["cells"]
                )
            case journal.CellStarted():
                self._index = message.cell
            case journal.CellFinished():
                self.done += 1
            case journal.Ended():
                self.ended = message
            case journal.Confined() | journal.Prepared():
                raise journal.NotAMessage("what only a beginning holds")
        if self._tell is not None:
            self._tell(
                Progress(
                    run=self._run,
                    at=at,
                    message=message,
                    cells_done=self.done,
                    cells_total=self.total,
                )
            )

    def verdict(self) -> tuple[Status, str, str]:
        """Status, error name and error text."""
        if self.cut is not None:
            return self.cut
        if self.ended is None:
            how = f"exit code {self.code}"
            if self.code is not None and not 0 <= self.code <= 128:
                how = f"signal {-self.code if self.code < 0 else self.code - 128}"
            said = f": {self.said()}" if self.said() else ""
            return "killed", "RunKilled", f"the run's process ended with {how}{said}"
        self._index = self.ended.cell
        text = self.ended.error_text
        if self.ended.status == "failed" and self._index is None and self.said():
            text = f"{text}: {self.said()}"  # no cell shows it, so this is all there is
        return self.ended.status, self.ended.error_name, text
