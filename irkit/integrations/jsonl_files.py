"""Logs from files of JSON lines in a folder of this machine."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator

from irkit.config import IntegrationConfig
from irkit.errors import BadQuery, LookFailed
from irkit.integrations._logfiles import Kept, Scan, files_below, lines_from
from irkit.integrations._request import check_op, number, text, window
from irkit.model.look import Request
from irkit.model.matchers import parse_matchers
from irkit.ports import Raw

if TYPE_CHECKING:
    from irkit.logs.jsonl import LogTable


class JsonlFiles(IntegrationConfig):
    """JSON-lines log files (also `.gz`) below a folder; op `search`.

    It takes a window, `match` (matchers on the lines' top-level fields, `level="error"`) and
    `limit`.  The reply is the selected lines as they stand, in the order of time.  A line that is
    no JSON or has no time belongs to the line before it, and is returned with the window that has
    that one.  Where a limit was reached, the newest lines are kept and the reply's media type says
    so: `truncated=lines` (or `bytes`, `time`, `scan`, `gzip`), and `bad=3` counts lines without
    JSON or time.

    Times are ISO 8601 (without a zone: UTC) or epoch seconds, milliseconds, microseconds or
    nanoseconds, told by their magnitude.
    """

    type: Literal["jsonl"] = Field(description="Always `jsonl`.")
    root: Path = Field(description="The folder, relative to the config; no link leads out of it.")
    glob: str = Field("**/*.jsonl*", description="Which files below it.")
    time_field: str = Field(
        "", description="The field with the time; empty: the first of the usual names."
    )
    max_lines: int = Field(50_000, ge=1, description="The most lines that one search returns.")
    max_mb: int = Field(32, ge=1, le=256, description="The most megabytes that it returns.")
    max_scan_mb: int = Field(1024, ge=1, description="The most megabytes that it reads for them.")

    ops: ClassVar[tuple[str, ...]] = ("search",)

    @field_validator("glob")
    @classmethod
    def _check_glob(cls, value: str) -> str:
        if not value or value.startswith("/") or ".." in value.split("/"):
            raise ValueError("a pattern below root, such as **/*.jsonl")
        return value

    def anchored(self, base: Path) -> Self:
        """The same, with the folder starting at `base`."""
        return self.model_copy(update={"root": base / self.root})

    def fetch(self, request: Request) -> Raw:
        """The lines of that window which match, as they stand.

        Raises:
            LookFailed: no such folder, or matchers that cannot be read.
        """
        check_op(request, self.ops, ("match", "limit"))
        span = window(request)
        limit = min(number(request, "limit", self.max_lines), self.max_lines)
        try:
            matchers = parse_matchers(text(request, "match", ""))
        except BadQuery as why:
            raise LookFailed(why.what, on=why.on, next=why.next) from None
        kept = Kept(limit, self.max_mb << 20)
        scan = Scan(
            window=span,
            matchers=matchers,
            time_field=self.time_field,
            left=self.max_scan_mb << 20,
            until=time.monotonic() + self.timeout.total_seconds(),
        )
        for file in files_below(self.root, self.glob, since=span.start):
            lines_from(file, scan, kept)
            if scan.over:
                break
        body = kept.body()
        notes = [f"truncated={why}" for why in (scan.cut or kept.truncated,) if why]
        notes += [f"bad={kept.bad}"] if kept.bad else []
        return Raw(body=body, media="; ".join(["application/x-ndjson", *notes]))

    @staticmethod
    def read(request: Request, body: bytes) -> LogTable:
        """Read the lines into a table; pure.  A broken line never fails the read."""
        from irkit.logs.jsonl import read_jsonl

        return read_jsonl(body)

    def probe(self) -> str:
        """Look for the files.

        Raises:
            LookFailed: the folder is not there.
        """
        found = files_below(self.root, self.glob)
        return f"{len(found)} log files below {self.root.name}"
