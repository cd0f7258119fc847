"""Counts before and after, compared: the arithmetic that logs and spans share."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_GUARD = timedelta(minutes=5)
_MOST = 3.0  # a rate that grew twentyfold says no more than one that grew a hundredfold


def rate_change(
    after: np.ndarray, before: np.ndarray, exposure_after: np.ndarray, exposure_before: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How much rates changed: (strength from 0 to about 7, log of the ratio).

    The strength grows with the ratio and with how little chance explains it (the root of the
    Poisson likelihood ratio, damped since real counts vary more than Poisson's).

    Source: Cash, "Parameter estimation in astronomy through application of the likelihood ratio",
    ApJ 228 (1979), for the statistic.
    """
    import numpy as np

    shared = (after + before) / (exposure_after + exposure_before)

    def deviance(count: np.ndarray, exposure: np.ndarray) -> np.ndarray:
        expected = np.maximum(shared * exposure, 1e-12)
        logs = np.log(np.where(count > 0, count, 1.0) / expected)
        return np.where(count > 0, count * logs, 0.0) - (count - expected)

    root = np.sqrt(
        np.maximum(2 * (deviance(after, exposure_after) + deviance(before, exposure_before)), 0)
    )
    damped = np.minimum(root, 2 * np.sqrt(root))
    ratio = np.log(
        (after + 0.5) / (exposure_after + 0.5) * (exposure_before + 0.5) / (before + 0.5)
    )
    return np.log1p(damped) * np.minimum(np.abs(ratio), _MOST), ratio


def split_rows(
    table: pd.DataFrame, first: pd.Timestamp, bin_seconds: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of before and of the incident.

    A column `phase` with the values `normal` and `incident`, where there is one, says which rows
    were sampled from a quiet time (which may lie after the incident); otherwise time decides.
    `first` is when the incident begins; rows stand for the `bin_seconds` after their time.  The
    minutes right before `first` (a fifth of the time before, at the most five minutes) belong to
    neither: the alert may have been late.
    """
    import pandas as pd

    during = table["time"] > first - pd.Timedelta(seconds=bin_seconds)
    earliest = table["time"].min()
    doubtful = first - min(_GUARD, (first - earliest) / 5)
    before = table["time"] <= doubtful - pd.Timedelta(seconds=bin_seconds)
    if "phase" in table:
        quiet = table["phase"] == "normal"
        during &= ~quiet
        before = quiet | (before & ~during)
        if not during.any():
            during = ~quiet
    return table[before], table[during]


def bin_width(times: pd.Series) -> float:
    """The seconds for which a row stands: 60 where all times are whole minutes, else 0."""
    whole = (times.dt.second == 0) & (times.dt.microsecond == 0)
    return 60.0 if len(times) and whole.all() else 0.0
