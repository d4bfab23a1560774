"""Dates to numbers: the calendar columns of an instant, each by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.tables import Floats

    Moments = pd.Series[pd.Timestamp]
    Parts = pd.Series[float] | pd.Series[int] | np.ndarray[tuple[int, ...], np.dtype[np.float64]]

CALENDAR: Mapping[str, Callable[[Moments], Parts]] = {
    "year": lambda moments: moments.dt.year,
    "quarter": lambda moments: moments.dt.quarter,
    "month": lambda moments: moments.dt.month,
    "day": lambda moments: moments.dt.day,
    "day_of_week": lambda moments: moments.dt.day_of_week,
    "day_of_year": lambda moments: moments.dt.day_of_year,
    "week": lambda moments: moments.dt.isocalendar().week.astype("Float64"),
    "is_weekend": lambda moments: (moments.dt.day_of_week >= 5).where(moments.notna()).astype("Float64"),
    "hour": lambda moments: moments.dt.hour,
    "minute": lambda moments: moments.dt.minute,
    "elapsed_days": lambda moments: (moments - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1),
    "sin_year": lambda moments: np.sin(2 * np.pi * moments.dt.day_of_year / 365.25),
    "cos_year": lambda moments: np.cos(2 * np.pi * moments.dt.day_of_year / 365.25),
    "sin_day": lambda moments: np.sin(2 * np.pi * (moments.dt.hour + moments.dt.minute / 60) / 24),
    "cos_day": lambda moments: np.cos(2 * np.pi * (moments.dt.hour + moments.dt.minute / 60) / 24),
}


def calendar_column(moments: pd.Series[pd.Timestamp], part: str) -> Floats:
    """One calendar column as float64, NaN where the date is missing. elapsed_days: since 1970, with fractions."""
    values: Floats = np.asarray(pd.Series(CALENDAR[part](moments)).to_numpy(dtype=np.float64, na_value=np.nan))
    return values
