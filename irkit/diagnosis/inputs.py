"""What a diagnosis is given, put in order: any frame an engineer has, or a reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from irkit.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

Series = tuple[str, str]  # (service, metric)


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Checked inputs: `metrics` has a sorted UTC index and a float column per entry of `labels`.

    `bad_sides` has an entry per column: 1 where only a rise is bad, -1 where only a fall is, 0
    where that is not known.  `calm_since` is when trouble of earlier was over; nothing before it
    is kept.
    """

    metrics: pd.DataFrame
    labels: tuple[Series, ...]
    start: pd.Timestamp
    services: tuple[str, ...]
    target: Series | None
    graph: tuple[tuple[str, str], ...]
    logs: pd.DataFrame | None
    traces: pd.DataFrame | None
    bad_sides: tuple[int, ...] = ()
    calm_since: pd.Timestamp | None = None


def read_inputs(
    metrics: pd.DataFrame | None,
    incident_start: datetime | pd.Timestamp | str,
    *,
    columns: Mapping[Any, Series] | None = None,
    services: Sequence[str] = (),
    target: Series | None = None,
    graph: Sequence[tuple[str, str]] | None = None,
    logs: pd.DataFrame | None = None,
    traces: pd.DataFrame | None = None,
    bad_sides: Mapping[Any, int] | None = None,
    calm_since: datetime | None = None,
) -> Inputs:
    """Put everything into one form; raises BadInput naming what is wrong.

    A column of `metrics` belongs to a service by `columns`, by a two-level column index (service,
    metric), or by its name: `service|metric`, or `service_metric` for a known service.
    """
    import pandas as pd

    start = pd.Timestamp(incident_start)
    if start is pd.NaT or start.tzinfo is None:
        raise BadInput(
            "a time without a zone names no moment",
            on=f"incident_start={incident_start}",
            next="pass a datetime in UTC",
        )
    start = start.tz_convert("UTC").as_unit("ns")
    frame = pd.DataFrame() if metrics is None else metrics
    chosen, labels = _labels(frame, columns, services)
    frame = frame[chosen] if len(chosen) != frame.shape[1] else frame
    if len(frame) and not isinstance(frame.index, pd.DatetimeIndex):
        raise BadInput(
            "metrics must be indexed by time",
            on=str(type(frame.index).__name__),
            next="metrics.index = pandas.to_datetime(..., utc=True)",
        )
    if len(frame):
        index = pd.DatetimeIndex(frame.index)
        index = index.tz_localize("UTC") if index.tz is None else index.tz_convert("UTC")
        frame = frame.set_axis(index, axis=0)
        frame = frame[frame.index.notna()]
        if not frame.index.is_monotonic_increasing or frame.index.has_duplicates:
            frame = frame[~frame.index.duplicated(keep="last")].sort_index()
        frame = frame.apply(pd.to_numeric, errors="coerce") if _textual(frame) else frame
    else:
        frame = pd.DataFrame(index=pd.DatetimeIndex([], tz="UTC"))
        labels = ()
    calm = None if calm_since is None else pd.Timestamp(calm_since).tz_convert("UTC").as_unit("ns")
    sides = tuple((bad_sides or {}).get(column, 0) for column in chosen) if labels else ()
    return Inputs(
        metrics=frame if calm is None else frame[frame.index >= calm],
        labels=labels,
        start=start,
        services=tuple(dict.fromkeys([*services, *(service for service, _ in labels)])),
        target=(str(target[0]), str(target[1])) if target else None,
        graph=tuple((str(a), str(b)) for a, b in graph or ()),
        logs=_timed(logs, "logs", calm),
        traces=_timed(traces, "traces", calm),
        bad_sides=sides,
        calm_since=calm,
    )


def _labels(
    frame: pd.DataFrame, columns: Mapping[Any, Series] | None, services: Sequence[str]
) -> tuple[list[Any], tuple[Series, ...]]:
    chosen, labels = [], []
    longest_first = sorted(services, key=len, reverse=True)
    for column in frame.columns:
        if columns is not None and column in columns:
            service, metric = columns[column]
        elif columns is not None:
            continue
        elif isinstance(column, tuple) and len(column) == 2:
            service, metric = column
        elif "|" in str(column):
            service, metric = str(column).split("|", 1)
        else:
            known = (s for s in longest_first if str(column).startswith(f"{s}_"))
            found = next(known, None)
            if found is None:
                continue
            service, metric = found, str(column)[len(found) + 1 :]
        chosen.append(column)
        labels.append((str(service), str(metric)))
    return chosen, tuple(labels)


def _textual(frame: pd.DataFrame) -> bool:
    import pandas as pd

    return not all(pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes)


def _timed(
    table: pd.DataFrame | None, name: str, since: pd.Timestamp | None
) -> pd.DataFrame | None:
    """The table with a UTC time column, rows without a time or before `since` dropped, or None."""
    import pandas as pd

    if table is None or not len(table):
        return None
    missing = {"time", "service"} - set(table.columns)
    if missing:
        raise BadInput(
            f"{name} lack the column {sorted(missing)[0]!r}",
            on=", ".join(map(str, table.columns)),
            next="pass a frame with the columns time and service",
        )
    times = pd.to_datetime(table["time"], utc=True, errors="coerce").astype("datetime64[ns, UTC]")
    table = table.assign(time=times)
    table = table[table["time"].notna() & table["service"].notna()]
    table = table if since is None else table[table["time"] >= since]
    return table if len(table) else None
