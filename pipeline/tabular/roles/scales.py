"""Texts in an order that everybody knows: quality, size, frequency, agreement."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.tabular.roles.names import last_word

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_LEVELS = 3  # two levels are one column whatever their order
# lowest first; | stands between spellings of one level; case, hyphens and underscores do not count
SCALES = (
    "po < fa < ta < gd < ex",
    "poor < fair < good < very good < premium < ideal",
    "very poor < poor < fair < average|ok|okay < good < very good < excellent < outstanding",
    "very bad < bad < average|normal < good < very good < best",
    "none|no|zero < very low < low < lower middle < medium|mid|moderate|med < upper middle < high < very high",
    "none|no < minor < moderate < major < severe < critical < total",
    "none|no < mild < moderate < severe",
    "xxs < xs < s < m < l < xl < xxl|2xl < xxxl|3xl < 4xl < 5xl",
    "tiny < very small < small < medium < large|big < very large|extra large|huge",
    "i3 < i2 < i1 < si2 < si1 < vs2 < vs1 < vvs2 < vvs1 < if < fl",
    "never < rarely|seldom < sometimes|occasionally < often|frequently < usually < always",
    "strongly disagree < disagree < neutral|neither agree nor disagree < agree < strongly agree",
    "very dissatisfied < dissatisfied < neutral < satisfied < very satisfied",
    "freezing < cold < cool < mild < warm < hot",
    "bronze < silver < gold < platinum < diamond",
    "basic < standard < premium < deluxe|luxury",
    "beginner|novice < elementary < intermediate < advanced < expert",
    "intern < junior|jr|entry|entry level < mid|middle|mid level|intermediate < senior|sr < lead < principal",
    "daily < weekly < biweekly < monthly < quarterly < yearly|annually",
    "no < mn < av < gd",
    "unf < rfn < fin",
    "gtl < mod < sev",
)
# single letters are a scale only under a name that says so: the colour of diamonds, J the yellowest
LETTERS = {"color": "ponmlkjihgfed", "colour": "ponmlkjihgfed", "grade": "gfedcba"}
FEWEST_LETTERS = 4


def ordered(texts: Sequence[str], name: str) -> tuple[str, ...]:
    """The texts from lowest to highest, spelled as they stand, if all belong to one known scale; else nothing."""
    if not FEWEST_LEVELS <= len(texts) <= 20:
        return ()
    for scale in _PLACES if len(max(texts, key=len)) > 1 else [*_PLACES, *_letters(name, len(texts))]:
        places = {text: scale[folded] for text in texts if (folded := _folded(text)) in scale}
        # two spellings of one level would become two ranks: the column is left to be levels
        if len(places) == len(texts) == len(set(places.values())):
            return tuple(sorted(texts, key=places.__getitem__))
    return ()


def _folded(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text.strip()).lower()


def _places(scale: str) -> dict[str, int]:
    return {name.strip(): place for place, names in enumerate(scale.split("<")) for name in names.split("|")}


def _letters(name: str, count: int) -> list[dict[str, int]]:
    scale = LETTERS.get(last_word(name))
    return [{letter: place for place, letter in enumerate(scale)}] if scale and count >= FEWEST_LETTERS else []


_PLACES = [_places(scale) for scale in SCALES]
