"""What the cells of a column are: dates, parts of time, yes or no, codes, groups, scales, numbers, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.settings import Preprocess
from pipeline.tabular.dates import find_formats
from pipeline.tabular.roles.looks import ROWS_LOOKED_AT, means_missing, present_cells
from pipeline.tabular.roles.names import (
    CODE_WORDS,
    FIRST_COMPACT_DATE,
    LAST_COMPACT_DATE,
    LEVEL_WORDS,
    TIME_PARTS,
    is_thing_name,
    last_word,
    squeezed,
    time_part,
)
from pipeline.tabular.roles.scales import ordered
from pipeline.tabular.roles.values import Found

if TYPE_CHECKING:
    from pipeline.tables import RawTable
    from pipeline.tabular.roles.looks import Look
    from pipeline.tabular.roles.values import Scene

MAX_LEVELS: int = Preprocess.model_fields["max_levels"].default
TRUTHS = ({"yes", "no"}, {"true", "false"}, {"y", "n"}, {"t", "f"}, {"on", "off"}, {"0", "1"})
MOST_LEVEL_NUMBERS = 50
STRAY_SHARE, DIRTY_SHARE = 0.01, 0.1  # texts among numbers: read as missing anyway; only where [schema] says numeric
FEWEST_COMPACT_DATES = 5  # eight digits that happen to be dates


def date(look: Look, scene: Scene) -> Found | None:
    """Dates or instants, in formats that read every text but a few that mean missing."""
    if look.kind == "date":
        return Found("date", "typed as a date in the file")
    if look.kind == "boolean" or not len(look.texts) or (look.is_numbers and not _eight_digits(look)):
        return None
    no_digits = look.texts.filter(pc.invert(pc.match_substring_regex(look.texts, "[1-9]"))).to_pylist()
    words = tuple(sorted(no_digits)) if len(no_digits) <= 3 and all(map(means_missing, no_digits)) else ()
    guess = find_formats(_without(pa.chunked_array([look.texts]), words))
    if guess is not None and any(table.rows > ROWS_LOOKED_AT for table in _holding(look, scene)):
        guess = find_formats(_without(_all_texts(look, scene), words))
    if guess is None:
        return None
    return Found("date", guess.evidence, formats=guess.formats, missing=words, listed=True)


def part_of_time(look: Look, _scene: Scene) -> Found | None:
    """A year, a month, a day or an hour as a whole number."""
    part = time_part(look.name)
    low, high = look.limits
    if part is None or not look.is_whole or not part[1] <= low <= high <= part[2]:
        return None
    evidence = f"whole numbers from {low:g} to {high:g}, named like a part of time ({part[0]})"
    return Found("time_part", evidence, missing=look.missing_words)


def boolean(look: Look, _scene: Scene) -> Found | None:
    """Yes or no, in any spelling."""
    texts = {text.lower() for text in look.texts.to_pylist()} if len(look.texts) == 2 else set()
    return Found("boolean", f"only {look.shown(2)}") if texts in TRUTHS or look.kind == "boolean" else None


def code(look: Look, _scene: Scene) -> Found | None:
    """Numbers that name things: leading zeros, few whole numbers called class or type, one number or none."""
    if not look.is_numbers or look.kind != "text" or look.written is not None:
        return _named_numbers(look)
    padded = look.texts.filter(pc.match_substring_regex(look.texts, r"^0\d+$"))
    if len(padded):
        shown = repr(padded[0].as_py())
        return Found("categorical", f"whole numbers with leading zeros, such as {shown}: a code", listed=True)
    if look.distinct == 1 and look.missing:
        evidence = f"{look.shown(1)} or missing ({look.missing} of {look.rows} rows): its absence is what it says"
        return Found("categorical", evidence, listed=True)
    return _named_numbers(look)


def group(look: Look, _scene: Scene) -> Found | None:
    """Named like an id, but its values repeat: what several rows are about."""
    repeats = 2 < look.distinct < look.rows - look.missing
    if not repeats or not is_thing_name(look.name) or not (look.is_whole or not look.is_numbers):
        return None
    evidence = f"named like an id, {look.distinct} distinct values on {look.rows} rows"
    return Found("group", evidence, listed=look.is_whole)


def ordinal(look: Look, _scene: Scene) -> Found | None:
    """Texts in an order that everybody knows."""
    levels = ordered(look.texts.to_pylist(), look.name) if len(look.texts) <= 20 else ()
    if not levels:
        return None
    return Found("ordinal", f"{len(levels)} levels of a known scale, lowest first", levels=levels, listed=True)


def numeric(look: Look, _scene: Scene) -> Found | None:
    """Numbers, perhaps with marks in them, a word for missing, or a few stray texts."""
    low, high = look.limits
    if look.is_numbers:
        words = look.missing_words
        if words:
            cells = int(look.counts[look.wrong].sum())
            shown = ", ".join(map(repr, words))
            return Found(
                "numeric",
                f"{shown} ({cells} of {look.counts.sum()} cells) is all that is no number",
                missing=words,
                listed=True,
            )
        marks = look.written.text.removeprefix("read as numbers") if look.written is not None else ""
        return Found("numeric", f"{'whole numbers' if look.is_whole else 'numbers'} from {low:g} to {high:g}{marks}")
    strays = int(look.counts[look.wrong].sum())
    if look.kind == "date" or look.number_share < 1 - DIRTY_SHARE or len(look.texts) - int(look.wrong.sum()) < 20:
        return None
    text = look.texts.filter(pa.array(look.wrong))[0].as_py()
    evidence = f"numbers but for {strays} of {look.counts.sum()} cells, such as {text!r}"
    return Found("numeric", evidence, listed=look.number_share < 1 - STRAY_SHARE)


def free_text(look: Look, _scene: Scene) -> Found | None:
    """Sentences: mostly distinct, three words or more."""
    present = look.rows - look.missing
    if look.distinct * 2 <= present or look.is_numbers:
        return None
    words = float(pc.mean(pc.count_substring_regex(look.texts, r"\S+")).as_py())
    if words < 3:
        return None
    return Found("text", f"{look.distinct} distinct texts on {present} rows, {words:.1f} words on average", listed=True)


def high_cardinality(look: Look, _scene: Scene) -> Found | None:
    """So many levels that few rows share one."""
    present = look.rows - look.missing
    if not (look.distinct > MAX_LEVELS or (look.distinct > 50 and look.distinct > 0.05 * present)):
        return None
    how = "hashed" if look.distinct > MAX_LEVELS else "one column each"
    return Found("high_cardinality", f"{look.distinct} distinct texts on {present} rows: {how}")


def categorical(look: Look, _scene: Scene) -> Found | None:
    """Texts that repeat."""
    evidence = f"{look.distinct} distinct texts on {look.rows} rows, such as {look.shown()}"
    # nearly all are numbers, and would be read as such if the config said nothing
    return Found("categorical", evidence, listed=look.number_share >= 1 - STRAY_SHARE)


def _named_numbers(look: Look) -> Found | None:
    word = last_word(look.name)
    if word not in LEVEL_WORDS or not look.is_whole or look.distinct < 3:
        return None
    if look.distinct > MOST_LEVEL_NUMBERS and word not in CODE_WORDS:
        return None
    evidence = f"{look.distinct} distinct whole numbers on {look.rows} rows, and the name of a {word}"
    return Found("categorical", evidence, missing=look.missing_words, listed=True)


def _eight_digits(look: Look) -> bool:
    low, high = look.limits
    named = "date" in squeezed(look.name) or squeezed(look.name) in TIME_PARTS
    return (
        look.is_whole
        and FIRST_COMPACT_DATE <= low <= high <= LAST_COMPACT_DATE
        and (named or look.distinct >= FEWEST_COMPACT_DATES)
    )


def _all_texts(look: Look, scene: Scene) -> pa.ChunkedArray:
    """Distinct texts of all rows: whether day or month stands first may hang on a single one."""
    cells = [present_cells(table, look.name) for table in _holding(look, scene)]
    return pa.chunked_array([pc.unique(pa.chunked_array([c for part in cells for c in part.chunks], pa.string()))])


def _holding(look: Look, scene: Scene) -> list[RawTable]:
    return [table for table in (scene.raw.train, scene.raw.test) if table is not None and look.name in table.names]


def _without(texts: pa.ChunkedArray, words: tuple[str, ...]) -> pa.ChunkedArray:
    return texts.filter(pc.invert(pc.is_in(texts, value_set=pa.array(words, pa.string())))) if words else texts
