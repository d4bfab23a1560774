"""Numbers that are written otherwise: grouped by thousands, with a unit, with a decimal comma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tabular.cells import LOOKED_AT, THOUSANDS, UNITS, plain_numbers, spread_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Texts
    from pipeline.tabular.cells import Numbers


@dataclass(frozen=True, slots=True)
class Written:
    """Numbers that are written otherwise: what is taken out of them, or their own decimal mark; and what to say."""

    removed: str
    decimal: str
    text: str
    cells: int


def how_written(read: Sequence[Numbers], present: int, decimal: str) -> Written | None:
    """How texts that are no plain numbers are numbers all the same; None where they are not.

    present: cells that are not missing. A share sign counts only where every cell has one: 5% and 0.05 are one number.
    """
    wrong = np.concatenate([numbers.wrong for numbers in read])
    cells = sum(numbers.wrong_cells for numbers in read)
    if not cells:
        return None
    if is_decimal_comma(wrong, decimal):
        return Written("", ",", "read as numbers, ',' in them as the decimal mark", cells)
    removed = removable(wrong, decimal)
    if not removed or ("%" in removed and cells < present):
        return None
    taken = " and ".join(map(repr, removed))
    return Written(removed, "", f"read as numbers, {taken} in them taken out", cells)


def removable(texts: Texts, decimal: str) -> str:
    """Characters that make numbers of these texts once they are gone: a thousands mark, a unit, or both.

    Those that leave the fewest texts over; "" unless at least half of the texts become numbers.
    """
    few = texts[spread_rows(len(texts), LOOKED_AT)]
    cells = pa.array(few, pa.string())
    best, fewest = "", len(few) // 2 + 1
    for mark in ("", *(mark for mark in THOUSANDS if mark != decimal)):
        for unit in ("", *UNITS):
            if not mark + unit:
                continue
            left = plain_numbers(cells, decimal, mark + unit).null_count
            if left < fewest:
                best, fewest = mark + unit, left
            if not fewest:
                return best
    return best


def is_decimal_comma(texts: Texts, decimal: str) -> bool:
    """Whether these texts of a file with points are numbers with a decimal comma, and cannot be grouped thousands."""
    if decimal == "," or not len(texts):
        return False
    cells = pa.array(texts, pa.string())
    commas = pc.all(pc.match_substring_regex(cells, r"^[+-]?\d+,\d+$")).as_py()
    return bool(commas) and plain_numbers(cells, decimal, ",").null_count > 0
