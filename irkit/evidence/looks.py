"""What every session does with a look: only configured sources, only what they can do."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from irkit.errors import BadQuery, NotFound
from irkit.evidence.recorder import Recorder
from irkit.model.look import Reply, Request
from irkit.ports import Source


class Looks:
    """Looks at configured sources through a recorder."""

    def __init__(self, recorder: Recorder, sources: Mapping[str, Source]) -> None:
        self.recorder, self._sources = recorder, sources
        self._types = types_of(sources)

    def look(self, request: Request) -> Reply:
        """Answer one look; in a replay the recording alone decides what there is.

        Raises:
            NotFound: no source of that name is configured.
            BadQuery: the source cannot do that.
        """
        if self.recorder.mode == "replay":
            return self.recorder.look(request, _never, self._types.get(request.source, ""))
        source = self._sources.get(request.source)
        if source is None:
            close = get_close_matches(request.source, self._sources, 1)
            known = ", ".join(sorted(self._sources)) or "none"
            hint = f"did you mean {close[0]!r}?" if close else f"configured sources: {known}"
            raise NotFound("no such source is configured", on=repr(request.source[:80]), next=hint)
        if request.op not in source.ops:
            raise BadQuery(
                "the source cannot do that",
                on=f"{request.source}: {request.op[:80]!r}",
                next=f"it can: {', '.join(source.ops)}",
            )
        return self.recorder.look(request, source.fetch, self._types[request.source])


def sources_in(integrations: Mapping[str, Any]) -> dict[str, Source]:
    """The integrations that answer looks, by name."""
    return {name: one for name, one in integrations.items() if isinstance(one, Source)}


def types_of(integrations: Mapping[str, Any]) -> dict[str, str]:
    """Each integration's type, by name: what the briefing tells so that replies can be read."""
    return {name: str(getattr(one, "type", "")) for name, one in integrations.items()}


def _never(request: Request) -> Any:
    raise AssertionError(f"a replay asked {request.source}")
