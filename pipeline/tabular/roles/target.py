"""Which column is to be predicted, and how a prediction is scored: the first rule that speaks decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from pipeline.errors import DataError
from pipeline.tabular.cells import blank
from pipeline.tabular.notation import read_numbers
from pipeline.tabular.roles.looks import USUAL_MISSING
from pipeline.tabular.roles.names import (
    COUNT_WORDS,
    SURE_TARGETS,
    TARGET_WORDS,
    is_id_name,
    is_thing_name,
    last_word,
    names_folder,
    squeezed,
    time_part,
    words_of,
)
from pipeline.tabular.roles.values import Claim
from pipeline.tabular.schema import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tables import Floats, RawTables
    from pipeline.tabular.roles.looks import Look

SKEWED = 1.0


@dataclass(frozen=True, slots=True)
class Search:
    """Where a target is looked for."""

    raw: RawTables
    looks: Mapping[str, Look]
    folder: str
    asked: str  # what the user named; "" for nothing
    id: str

    @property
    def numbers(self) -> list[str]:
        """Columns of train that could be a target: numbers of more than two values, neither id nor clock nor code."""
        return [
            name
            for name in self.raw.train.names
            if _is_varied(self.looks[name])
            and name not in self.sample_ids
            and time_part(name) is None
            and not is_id_name(name)
            and not is_thing_name(name)
        ]

    @property
    def sample_ids(self) -> set[str]:
        """The id and the first column of the sample submission."""
        return {self.id, *(self.raw.sample.names[:1] if self.raw.sample is not None else [])}


def predicted_in_sample(raw: RawTables) -> tuple[str, ...]:
    """The sample submission's columns behind the first that train has and test has not."""
    if raw.sample is None:
        return ()
    known = set(raw.train.names) - set(raw.test.names if raw.test is not None else [])
    return tuple(name for name in raw.sample.names[1:] if name in known)


def find_target(search: Search) -> Claim:
    """The target. Raises DataError where no column could be one, or the one that is meant holds classes."""
    for rule in TARGET_RULES:
        claim = rule(search)
        if claim is not None:
            _check(search.looks[claim.value], search.raw.train.file)
            return claim
    raise DataError(
        f"{search.raw.train.file}: no column could be the target: none holds numbers of more than two values besides "
        f"ids and parts of time; name it with --target"
    )


def named_by_the_user(search: Search) -> Claim | None:
    """--target."""
    if not search.asked:
        return None
    if search.asked not in search.raw.train.names:
        remedy = nearest(search.asked, search.raw.train.names)
        raise DataError(f"{search.raw.train.file}: no column {search.asked!r}, which --target names; {remedy}")
    return Claim(search.asked, "named by the user", f"--target {search.asked}")


def in_the_sample_submission(search: Search) -> Claim | None:
    """What the sample submission asks for."""
    names = predicted_in_sample(search.raw)
    if not names:
        return None
    more = "" if len(names) == 1 else f", the first of {len(names)}"
    return Claim(names[0], "in the sample submission", f"a column of the sample submission that test has not{more}")


def absent_from_test(search: Search) -> Claim | None:
    """In train and not in test: the only one, or the only numbers, or the likeliest name, or the last."""
    test = search.raw.test
    if test is None:
        return None
    absent = [name for name in search.raw.train.names if name not in test.names and name not in search.sample_ids]
    numbers = [name for name in absent if _is_varied(search.looks[name])]
    if len(absent) == 1:
        return Claim(absent[0], "absent from test", "the only column of train that test has not")
    if not numbers:
        return None
    evidence = f"one of {len(absent)} columns of train that test has not"
    if len(numbers) == 1:
        return Claim(numbers[0], "absent from test", f"{evidence}, and the only numbers among them")
    named = _best_named(numbers)
    if named:
        return Claim(named, "absent from test", f"{evidence}, and named like a target")
    return Claim(numbers[-1], "absent from test", f"{evidence}, the last one with numbers")


def in_the_folder_name(search: Search) -> Claim | None:
    """The folder's name holds the column's."""
    named = [name for name in search.numbers if names_folder(name, search.folder)]
    if not named:
        return None
    name = max(named, key=lambda each: len(squeezed(each)))
    return Claim(name, "in the folder's name", f"the folder's name {search.folder!r} holds it")


def well_known(search: Search) -> Claim | None:
    """A name that targets have: target, price, SalePrice, median_house_value."""
    for name in search.raw.train.names:
        if squeezed(name) in SURE_TARGETS:
            return Claim(name, "well-known name", "the usual name of a target")
    named = _best_named(search.numbers)
    return Claim(named, "well-known name", f"named like a target ({_target_word(named)})") if named else None


def last_numbers(search: Search) -> Claim | None:
    """The last column of numbers, for want of anything better."""
    names = search.numbers
    return (
        Claim(names[-1], "last numbers", "the last column of numbers; nothing else points to a target")
        if names
        else None
    )


TARGET_RULES = (
    named_by_the_user,
    in_the_sample_submission,
    absent_from_test,
    in_the_folder_name,
    well_known,
    last_numbers,
)


def suggest_metric(name: str, raw: RawTables) -> Claim:
    """Rmsle for counts, log_rmse for skewed positive numbers whose logarithm is less so, else rmse."""
    column = blank(raw.train.columns[name], USUAL_MISSING)
    (numbers,), _ = read_numbers([column], [raw.train.decimal])
    values = np.asarray(numbers.values)
    values = values[np.isfinite(values)]
    if len(values) < 3:
        return Claim("rmse", "default", "too few numbers to say more")
    low = float(values.min())
    counted = sorted(COUNT_WORDS & set(words_of(name)))
    if counted and low >= 0 and bool((values == np.floor(values)).all()):
        return Claim("rmsle", "a count", f"whole numbers from {low:g} to {values.max():g}, named {counted[0]}")
    skew = _skewness(values)
    if low > 0 and skew > SKEWED:
        of_log = _skewness(np.log(values))
        if abs(of_log) < skew / 2:
            words = f"all above 0, skewness {skew:.2f}, of the logarithm {of_log:.2f}"
            return Claim("log_rmse", "skewed and positive", words)
    return Claim("rmse", "default", f"numbers from {low:g} to {values.max():g}, skewness {skew:.2f}")


def _skewness(values: Floats) -> float:
    return float(stats.skew(values)) if values.std() > 0 else 0.0


def _is_varied(look: Look) -> bool:
    return look.is_numbers and look.kind in {"text", "number"} and look.distinct > 2 and look.distinct_numbers > 2


def _target_word(name: str) -> str:
    words = {squeezed(name), last_word(name), *words_of(name)[-1:]}
    return next((word for word in TARGET_WORDS if word in words or word + "s" in words), "")


def _best_named(names: list[str]) -> str:
    """The likeliest name of several: a whole name before the last word of one; y is no target beside an x."""
    known = {squeezed(name) for name in names}
    ranked = []
    for place, name in enumerate(names):
        word = _target_word(name)
        if word and not (word == "y" and "x" in known):
            ranked.append((squeezed(name) != word, TARGET_WORDS.index(word), -place, name))
    return min(ranked)[-1] if ranked else ""


def _check(look: Look, file: str) -> None:
    where = f"{file}: target {look.name!r}"
    if look.kind == "date":
        raise DataError(f"{where} holds dates, expected numbers; name another column with --target")
    present = int(look.counts.sum())
    if not present:
        raise DataError(f"{where} has no value on any row; name another column with --target")
    if look.kind == "boolean" or look.number_share < 0.5:
        raise DataError(
            f"{where} holds texts such as {look.shown()}: that is classification, and Foldpack does regression; name a "
            f"column of numbers with --target"
        )
    if look.distinct_numbers <= 2:
        if look.distinct_numbers == 1:
            raise DataError(f"{where} is always {look.shown(1)}: there is nothing to learn; name another with --target")
        raise DataError(
            f"{where} is always {look.shown(2).replace(', ', ' or ')}: two values are two classes, and Foldpack does "
            f"regression, not classification; name another column with --target"
        )
