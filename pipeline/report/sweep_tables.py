"""The sweep's tables as plain cells: the finalists, the best of the search, and why trials failed."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from pipeline.report.score_scale import short_keys
from pipeline.report.tables import Cell, Table, words
from pipeline.report.text import LONGEST_HINT, clean, column, count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.report.sweep_facts import SweepFacts

MOST_BEST = 10  # trials of the search in its table
MOST_REPEATS = 6  # scores of single splits shown; of more, the mean says enough
STANDS = "as it stands"


def finalist_table(facts: SweepFacts) -> Table:
    """The trials that were scored again, best first."""
    own = facts.winner.finalists if facts.winner else ()
    repeats = max((len(one.again) for one in own), default=0)
    shown = repeats if 1 < repeats <= MOST_REPEATS else 0
    scored = [(*one.again, *[math.nan] * (repeats - len(one.again))) for one in own]
    both = column([score for one, again in zip(own, scored, strict=True) for score in (one.fresh, one.score, *again)])
    rows = []
    for place, one in enumerate(own):
        fresh, score, *again = both[place * (2 + repeats) : (place + 1) * (2 + repeats)]
        rows.append((_trial(facts, one.number), *_numbers([fresh, *again[:shown], score, _signed(one.flattered)])))
    splits = [f"split {place + 1}" for place in range(shown)]
    header = [Cell("trial"), *map(_label, ("on fresh folds", *splits, "in the search", "flattered by"))]
    note = (
        "The best of the search, scored again on folds, or with seeds, that did not choose them: after each split the "
        "better half goes on, and the configuration as it stands beside them. Of those that were on all splits the "
        "best mean wins. “Flattered by” is how much better the score in the search was."
    )
    return Table("Finalists", note, tuple(header), tuple(rows), strong=1)


def best_table(facts: SweepFacts) -> Table:
    """The best trials by the score of the search, with what they tried."""
    sign = -1 if facts.greater_is_better else 1
    order = sorted(facts.of("scored"), key=lambda trial: (sign * trial.score, trial.number))
    best = [*order[:MOST_BEST], *(trial for trial in order[MOST_BEST:] if trial.number == facts.stands)]
    scores = column([trial.score for trial in best])
    rows = [
        (
            _trial(facts, trial.number),
            Cell(score, is_number=True),
            *[Cell(_value(facts, place, at), is_number=True) for place, at in enumerate(trial.places)],
            Cell(duration(trial.ended - trial.begun), is_number=True),
        )
        for trial, score in zip(best, scores, strict=True)
    ]
    header = (Cell("trial"), _label("in the search"), *_settings(facts), _label("took"))
    of = f"{len(best)} of {count(len(order), 'scored trial')}"
    note = f"{of}, by the out-of-fold score that the search went by; it flatters the best of many."
    return Table("Best in the search", note, header, tuple(rows))


def failure_table(facts: SweepFacts) -> Table:
    """Causes of failed trials, the most frequent first."""
    causes = Counter(trial.cause for trial in facts.of("failed"))
    rows = [
        (
            Cell(f"{times:,}", is_number=True),
            words(cause or "no cause was written down", 300),
            _numbers_of(facts, cause),
        )
        for cause, times in causes.most_common()
    ]
    note = "A failed trial counts: the same values would fail again, and the sampler learns to keep away from them."
    header = (_label("trials"), Cell("what it looks like"), Cell("which"))
    return Table("Failed trials", note, header, tuple(rows), is_prose=True)


def _trial(facts: SweepFacts, number: int) -> Cell:
    return Cell(f"{number}, {STANDS}" if number == facts.stands else f"{number}")


def _settings(facts: SweepFacts) -> list[Cell]:
    keys = tuple(one.key for one in facts.dimensions)
    return [
        Cell(clean(name, 16), is_number=True, hint=clean(key, LONGEST_HINT))
        for name, key in zip(short_keys(keys), keys, strict=True)
    ]


def _value(facts: SweepFacts, place: int, at: float) -> str:
    one = facts.dimensions[place]
    if not math.isfinite(at):
        return ""
    if one.choices:
        return clean(one.choices[int(at)], 16)
    return f"{at:.0f}" if one.scale == "integer" else f"{at:.3g}"


def _numbers_of(facts: SweepFacts, cause: str, most: int = 8) -> Cell:
    numbers = [str(trial.number) for trial in facts.of("failed") if trial.cause == cause]
    more = f" and {len(numbers) - most:,} more" if len(numbers) > most else ""
    return Cell(", ".join(numbers[:most]) + more)


def _signed(value: float) -> str:
    if not math.isfinite(value):
        return ""
    return f"{value:+.5f}".replace("-", "\u2212") if abs(value) < 1000 else f"{value:+,.0f}".replace("-", "\u2212")


def _label(name: str) -> Cell:
    return Cell(name, is_number=True)


def _numbers(texts: Sequence[str]) -> list[Cell]:
    return [Cell(text, is_number=True) for text in texts]
