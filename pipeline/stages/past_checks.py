"""Columns of the past under fire: what happens after a row's origin, or to another series, must not change a bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.stages.hindsight import levels_in, taken_everywhere
from pipeline.tabular.clocks import to_local
from pipeline.tabular.differences import base_values
from pipeline.tabular.findings import SAMPLE_SEED, Check, Finding, drop_line
from pipeline.tabular.history import features_of
from pipeline.tabular.past import encoded_columns, in_scale, past_columns, past_matrix, training_origins, without
from pipeline.tabular.spreads import spreads
from pipeline.tabular.timelines import STEPS
from pipeline.timeline import Moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.tables import Booleans, Codes, Dataset, Floats, Integers, Taken, Texts
    from pipeline.time_settings import History
    from pipeline.timeline import Known, Timeline

POISONS = ("made NaN", "made 1e9", "shuffled", "deleted")
HUGE = 1e9
COLUMNS_TOLD = 3
TAKEN, DIVISOR = "what target.difference takes", "what target.scale divides by"
OURS = "a fault of Foldpack, not of your data: report it with this line"
WITHOUT: Mapping[str, str] = {  # kind of a feature -> the setting under [history] that leaves it out
    **dict.fromkeys(("last", "latest", "since"), "last = 0"),
    **dict.fromkeys(("mean", "std", "min", "max"), "statistics = []"),
    "season": "seasonal = 0",
    "phase_mean": "phase_mean = false",
    "difference": "differences = false",
}


@dataclass(frozen=True, slots=True)
class Past:
    """Rows of train and test, and how columns of the past are made for them."""

    timeline: Timeline
    options: History
    transform: str
    moments: Moments  # [R] train above test
    origin: Integers  # [R]
    ids: Texts  # [R]
    levels: Codes  # [R, columns that are encoded]
    taken: Taken | None = None  # from the target, with its map as it is: that is fitted, not made of a row's past
    is_scaled: bool = False  # whether the rest is divided by its series' spread

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        columns = past_columns(self.timeline, self.timeline.known, self.options)
        return (*columns, *[TAKEN] * bool(self.taken), *[DIVISOR] * self.is_scaled)

    def built(self, known: Known) -> Floats:
        """The columns [R, columns], if that had been known."""
        seen = in_scale(known, self.transform)
        made = past_matrix(self.timeline, seen, self.options, self.moments, self.origin, self.levels)
        if self.taken is not None:
            difference, ridge = self.taken.difference, self.taken.ridge
            base = base_values(self.timeline, seen, difference, self.moments, self.origin, ridge)
            made = np.column_stack([made, base])
        return np.column_stack([made, spreads(seen, self.moments, self.origin)]) if self.is_scaled else made


@dataclass(frozen=True, slots=True)
class _Change:
    how: str
    differs: Booleans  # [R, columns]


def past_of(
    dataset: Dataset,
    timeline: Timeline,
    options: History,
    transform: str,
    difference: str = "none",
    scale: str = "none",
) -> Past:
    """Every row of a dataset, forecast from where it is when networks train. difference, scale: as in [target]."""
    train, test = timeline.train, timeline.test
    moments = Moments(np.append(train.series, test.series), np.append(train.step, test.step))
    origin = np.append(training_origins(timeline), timeline.test_origin)
    ids = np.append(dataset.train_ids, dataset.test_ids)
    levels = np.concatenate([levels_in(frame, dataset, options.encode) for frame in (dataset.train, dataset.test)])
    taken = taken_everywhere(timeline, difference, transform)
    return Past(timeline, options, transform, moments, origin, ids, levels, taken, scale != "none")


def poisoned(known: Known, where: Booleans, poison: str) -> Known:
    """What is known, with some of its rows made NaN or 1e9, shuffled among themselves, or deleted."""
    if poison == "deleted":
        return without(known, where)
    values = known.values.copy()
    if poison == "shuffled":
        values[where] = np.random.default_rng(SAMPLE_SEED).permutation(values[where])
    else:
        values[where] = {"made NaN": np.nan, "made 1e9": HUGE}[poison]
    return replace(known, values=values)


def past_checks(past: Past, origins: Integers) -> tuple[Check, ...]:
    """Poison what happened after each of some origins; one value; one series. Rows that may not know it are compared.

    origins: candidates; those that rows are forecast from, and after which something happened, are used.
    """
    clean, known = past.built(past.timeline.known), past.timeline.known
    usable = [c for c in origins.tolist() if (past.origin <= c).any() and (known.step > c).any()]
    if not usable:  # whole series are forecast from before they begin
        usable = np.unique(np.quantile(past.origin, [0.25, 0.5, 0.75], method="lower")).tolist()
    return _later(past, clean, usable), _impulses(past, clean, usable), _other_series(past, clean)


def _later(past: Past, clean: Floats, cutoffs: Sequence[int]) -> Check:
    known, changes, rows = past.timeline.known, [], []
    for cutoff in cutoffs:
        before = past.origin <= cutoff
        rows.append(int(before.sum()))
        for poison in POISONS:
            found = past.built(poisoned(known, known.step > cutoff, poison))
            how = f"what happened after {instant(past.timeline, cutoff)} {poison} changes"
            changes.append(_Change(how, differing(found, clean) & before[:, None]))
    when = ", ".join(instant(past.timeline, cutoff) for cutoff in cutoffs)
    looked = (
        f"{named(known.columns)} after {when} {', '.join(POISONS)}; {clean.shape[1]} columns of the past compared on "
        f"{' / '.join(f'{count:,}' for count in rows)} rows forecast from before"
    )
    return Check("the future of an origin", looked, _findings(past, "know what comes after an origin", changes))


def _impulses(past: Past, clean: Floats, cutoffs: Sequence[int]) -> Check:
    """One known value each, of another series each time where there are several."""
    known, changes, moved = past.timeline.known, [], 0
    peak = 1e3 * (1.0 + np.nanmax(np.abs(known.values), initial=0.0))
    for nth, cutoff in enumerate(cutoffs):
        earlier = known.step[known.step <= cutoff]
        step = int(earlier.max()) if len(earlier) else int(known.step.min())
        at = np.flatnonzero(known.step == step)
        values = known.values.copy()
        values[at[nth * len(at) // len(cutoffs)]] = peak
        found = past.built(replace(known, values=values))
        differs = differing(found, clean)
        moved += int(differs.any(axis=1).sum())
        how = f"one value on {instant(past.timeline, step)} made {peak:.3g} changes"
        changes.append(_Change(how, differs & (past.origin < step)[:, None]))
    looked = (
        f"{len(changes)} single values made {peak:.3g}: they change {moved:,} rows, all with an origin from then on"
    )
    return Check("a single value", looked, _findings(past, "see a value before it happened", changes))


def _other_series(past: Past, clean: Floats) -> Check:
    known = past.timeline.known
    counts = np.bincount(known.series)
    what = "one series for another"
    if (counts > 0).sum() < 2:
        return Check(what, "there is one series", ())
    longest = int(counts.argmax())
    others, name = past.moments.series != longest, past.timeline.stamped.names[longest]
    # encodings pool series, as [history] encode says
    own = others[:, None] & ~np.isin(past.names, encoded_columns(known, past.options))
    changes = [
        _Change(f"series {name!r} {poison} changes", differing(past.built(attacked), clean) & own)
        for poison in POISONS
        if len((attacked := poisoned(known, known.series == longest, poison)).step)
    ]
    looked = f"series {name!r} {', '.join(POISONS)}; {int(others.sum()):,} rows of other series compared"
    return Check(what, looked, _findings(past, "follow another series", changes))


def _findings(past: Past, what: str, changes: Iterable[_Change]) -> tuple[Finding, ...]:
    """One finding of all columns that change, with the change that hits most rows."""
    hit = [change for change in changes if change.differs.any()]
    if not hit:
        return ()
    columns = [past.names[at] for at in np.flatnonzero(np.any([own.differs.any(axis=0) for own in hit], axis=0))]
    worst = max(hit, key=lambda own: int(own.differs.any(axis=1).sum()))
    rows = worst.differs.any(axis=1)
    text = (
        f"{named(columns)} {what}: {worst.how} {int(rows.sum()):,} rows that must not know of it, "
        f"the first with id {str(past.ids[int(np.argmax(rows))])!r}"
    )
    return (Finding(what, tuple(columns), text, _remedy(past, columns), "leak"),)


def _remedy(past: Past, columns: Sequence[str]) -> str:
    known = past.timeline.known.columns
    leaking = [own for own in features_of(past.options, past.timeline.clock, known) if own.name in columns]
    settings = dict.fromkeys(WITHOUT[own.kind] for own in leaking if own.column == 0 and own.kind in WITHOUT)
    sources = list(dict.fromkeys(known[own.column] for own in leaking if own.column > 0))
    lines = [f"under [history]: {' and '.join(settings)}"] * bool(settings) + [drop_line(sources)] * bool(sources)
    return OURS + (f"; until it is mended train without: {'; '.join(lines)}" if lines else "")


def named(columns: Sequence[str]) -> str:
    """The first few names, and how many more."""
    more = len(columns) - COLUMNS_TOLD
    return ", ".join(map(repr, columns[:COLUMNS_TOLD])) + (f" and {more} more" if more > 0 else "")


def differing(found: Floats, expected: Floats) -> Booleans:
    """Where two arrays differ in a bit; missing on both sides is equal."""
    return np.asarray((found != expected) & ~(np.isnan(found) & np.isnan(expected)))


def instant(timeline: Timeline, step: int) -> str:
    """A step as the clock on the wall shows it."""
    if timeline.clock.freq == STEPS:
        return f"step {step}"
    text = str(to_local(np.array([step]), timeline.clock)[0].astype("datetime64[s]")).replace("T", " ")
    return text.removesuffix(":00")
