"""Public holidays as columns of a row's own date, which is known ahead."""

from __future__ import annotations

import difflib
import warnings
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tables import Floats, Integers
    from pipeline.tabular.dates import Instants

COLUMNS = ("holiday", "days to holiday", "days since holiday")
PARTS_TOLD = 20
PARTLY_KNOWN = "Requested Holidays are available only"  # how the package warns of years that it knows in part
MOST_DAYS = 7  # beyond which a holiday is none that a date lies near


def holiday_columns(local: Instants, place: str) -> Floats:
    """[R, 3] 1 on a holiday, else 0; days to the next and since the last, 0 on one, at most 7; NaN in unknown years.

    place: country, or country and subdivision, such as DE or DE-BY. Raises ConfigError for one that is none.
    """
    date = local.astype("datetime64[D]")
    dates, row = np.unique(date, return_inverse=True)
    by_year = _holidays(place, np.unique([_years(dates - MOST_DAYS), _years(dates + MOST_DAYS)]))
    found = np.array(sorted(day for days in by_year.values() for day in days), dtype=np.int64)
    beyond = np.iinfo(np.int64).max // 2
    day = dates.astype(np.int64)
    after = np.append(found, beyond)[np.searchsorted(found, day)] - day
    since = day - np.append(-beyond, found)[np.searchsorted(found, day, side="right")]
    columns = np.stack([after == 0, after.clip(max=MOST_DAYS), since.clip(max=MOST_DAYS)], axis=1).astype(np.float64)
    columns[~np.isin(_years(dates), list(by_year))] = np.nan
    taken: Floats = columns[row]
    return taken


def _years(dates: Instants) -> Integers:
    return dates.astype("datetime64[Y]").astype(np.int64) + 1970


def _holidays(place: str, years: Integers) -> Mapping[int, list[int]]:
    """Days since 1970 of each year of which the package knows all holidays of a place."""
    import holidays  # noqa: PLC0415  # whoever asks for no holidays does not pay for it

    country, _, part = place.partition("-")
    _check(place, holidays.list_supported_countries())
    whole = holidays.country_holidays(country, subdiv=part or None)
    found: dict[int, list[int]] = {}
    for year in years[(years >= whole.start_year) & (years <= whole.end_year)].tolist():
        with warnings.catch_warnings():
            warnings.filterwarnings("error", PARTLY_KNOWN, UserWarning)
            try:
                own = holidays.country_holidays(country, subdiv=part or None, years=year)
            except UserWarning:
                continue
        found[year] = [int(np.datetime64(date, "D").astype(np.int64)) for date in own]
    return found


def _check(place: str, parts_of: Mapping[str, list[str]]) -> None:
    """Raise ConfigError, with the nearest that is one, for what is no country or none of its subdivisions."""
    from holidays.registry import COUNTRIES  # noqa: PLC0415

    country, _, part = place.partition("-")
    found = f"history.holidays is {place!r}"
    if country not in parts_of:
        names = {name.replace("_", " "): codes[1] for name, codes in COUNTRIES.items()}
        nearest = _nearest(country, names | {code.casefold(): code for code in parts_of})
        remedy = f"did you mean {nearest!r}?" if nearest else "expected is a code such as 'DE', 'US' or 'DE-BY'"
        raise ConfigError(f"{found}, and {country!r} is no country whose holidays are known; {remedy}")
    parts = parts_of[country]
    if "-" in place and part not in parts:
        nearest = _nearest(part, {own.casefold(): own for own in parts})
        shown = ", ".join(parts[:PARTS_TOLD]) + (", …" if len(parts) > PARTS_TOLD else "")
        one_of = f"expected is one of {shown}" if parts else f"its holidays are those of {country!r}"
        remedy = f"did you mean {f'{country}-{nearest}'!r}?" if nearest else one_of
        raise ConfigError(f"{found}, and {part!r} is no subdivision of {country!r} with holidays of its own; {remedy}")


def _nearest(text: str, names: Mapping[str, str]) -> str:
    """What is meant by the most similar name; empty where none is similar."""
    sought = text.casefold()
    alike = [name for name in names if name[:1] == sought[:1]]  # of two letters, the first is rarely the wrong one
    for among in (alike, names):
        if near := difflib.get_close_matches(sought, among, n=1, cutoff=0.5 if len(sought) == 2 else 0.6):
            return names[near[0]]
    return ""
