"""Numbers that are written otherwise: grouped by thousands, with a unit, with a decimal comma."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tabular.cells import LOOKED_AT, THOUSANDS, UNITS, numbers_of, plain_numbers, spread_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tables import Texts
    from pipeline.tabular.cells import Numbers

SLIPS = 0.01  # so many grouped numbers may have lost a digit; more, and the comma is no thousands mark


@dataclass(frozen=True, slots=True)
class Written:
    """Numbers that are written otherwise: what is taken out of them, or their own decimal mark."""

    removed: str = ""
    decimal: str = ""  # empty: the file's
    cells: int = 0  # that became numbers by it

    @property
    def text(self) -> str:
        """What to say about it."""
        if self.decimal:
            return f"read as numbers, {self.decimal!r} in them as the decimal mark"
        return f"read as numbers, {' and '.join(map(repr, self.removed))} in them taken out"


def read_numbers(cells: Sequence[pa.ChunkedArray], decimals: Sequence[str]) -> tuple[list[Numbers], Written | None]:
    """Blanked cells of one column in several files as numbers, and how they are written where that is not plainly.

    decimals: the decimal mark of each file. A notation that makes no more cells numbers than there were is none.
    """
    read = [numbers_of(own, decimal=mark) for own, mark in zip(cells, decimals, strict=True)]
    wrong_cells = sum(numbers.wrong_cells for numbers in read)
    if not wrong_cells:
        return read, None
    wrong = np.concatenate([numbers.wrong for numbers in read])
    present = sum(len(own) - own.null_count for own in cells)
    written = how_written(wrong, decimals[0], is_every_cell=wrong_cells == present)
    if written is None:
        return read, None
    again = [
        numbers_of(own, decimal=written.decimal or mark, removed=written.removed)
        for own, mark in zip(cells, decimals, strict=True)
    ]
    gained = wrong_cells - sum(numbers.wrong_cells for numbers in again)
    return (again, replace(written, cells=gained)) if gained > 0 else (read, None)


def how_written(wrong: Texts, decimal: str, *, is_every_cell: bool) -> Written | None:
    """How texts that are no plain numbers are numbers all the same; None where they are not.

    is_every_cell: no plain number stands beside them. A per cent sign counts only then: 5% and 0.05 are one number.
    """
    if is_decimal_comma(wrong, decimal):
        return Written(decimal=",")
    removed = removable(wrong, decimal) if len(wrong) else ""
    return Written(removed) if removed and ("%" not in removed or is_every_cell) else None


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
    """Whether at least half of these texts of a file with points are numbers with a decimal comma.

    They are no grouped thousands if one begins with a 0, or if more than one in a hundred has no group of three.
    """
    cells = pa.array(texts, pa.string())
    found = cells.filter(pc.match_substring_regex(cells, r"^[+-]?\d+,\d+$"))
    if decimal == "," or not len(found) or len(found) * 2 < len(cells):
        return False
    if pc.any(pc.match_substring_regex(cells, r",.*\.")).as_py():  # 1,234.5
        return False
    ungrouped = plain_numbers(found, decimal, ",").null_count
    return bool(pc.any(pc.match_substring_regex(found, r"^[+-]?0,")).as_py()) or ungrouped > SLIPS * len(found)
