"""Scores in time -> what the report says of forecasts: skill in words, how time was read, stretches to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.forecast_facts import Backtest, ForecastFacts
from pipeline.stages.verdicts import LEVEL, percent
from pipeline.tabular.clocks import to_local
from pipeline.tabular.forecasts import Compared, badness, days, scored_origins
from pipeline.tabular.timelines import STEPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.fits import Fits, Scores
    from pipeline.forecast_facts import ForecastScores
    from pipeline.tables import Dataset, Design, Floats, Integers
    from pipeline.timeline import Clock, Timeline

MOST_STEPS = 480  # of a stretch that are shown
MOST_BEFORE = 120  # and before it
IN_BLOCKS = ("future", "interleaved")  # layouts in which many rows have one origin
LAYOUTS = {
    "future": "test rows are one block after all training rows",
    "interleaved": "test rows are blocks between training rows",
    "random": "test rows are single rows between training rows",
    "new_groups": "test rows are of series that the training rows have not",
    "rolling": "the truth keeps coming in, and test rows are forecast",
}
UNITS = {"s": "second", "min": "minute", "h": "hour", "D": "day", "MS": "month", "QS": "quarter", "YS": "year"}


def forecast_facts(dataset: Dataset, design: Design, fits: Fits, scores: Scores) -> ForecastFacts | None:
    """Gather them; None without time."""
    timeline, forecast = dataset.timeline, scores.forecast
    if timeline is None or forecast is None:
        return None
    return ForecastFacts(
        scores=forecast,
        sentences=(
            say_skill(forecast, scores.metric, fits.name, tuple(design.naive)),
            say_mase(forecast, len(scores.actual), fits.name),
        ),
        setting=_setting(timeline, design),
        backtests=backtests(timeline, design, scores.metric, fits.fold_predictions[-1], forecast.naive),
        roles=timeline.roles,
    )


# --- in words


def say_skill(forecast: ForecastScores, metric: str, model: str, naive: Sequence[str] = ()) -> str:
    """By how much the error is below that of repeating the past, and below that of the best of all naive forecasts."""
    if not forecast.skill:
        return f"{metric} is greater where it is better, so there is no skill in percent over {forecast.repeats}."
    skill = forecast.skill[model]
    if not np.isfinite(skill):
        return f"There is no skill over {forecast.repeats} ({forecast.naive}): one of the two errors is 0 or no number."
    said = f"{metric} is {_beside(skill)} {forecast.repeats} ({forecast.naive}): skill {skill:.3f}."
    best = max(naive, key=lambda name: forecast.skill[name], default=forecast.naive)
    if forecast.skill[best] <= LEVEL or forecast.skill[best] == 1:
        return said
    # a season that hardly repeats is no opponent
    ours = _beside(_over(forecast, model, best))
    return f"{said} {best.capitalize()} is the best naive forecast: the model is {ours} it."


def _over(forecast: ForecastScores, model: str, other: str) -> float:
    """Skill over another forecast than the naive one."""
    return 1 - (1 - forecast.skill[model]) / (1 - forecast.skill[other])


def _beside(skill: float) -> str:
    if abs(skill) <= LEVEL:
        return "level with"
    return f"{percent(abs(skill))} {'below' if skill > 0 else 'above'}"


def say_mase(forecast: ForecastScores, rows: int, model: str) -> str:
    """What the mean absolute error is beside how much a series changes anyway."""
    lag = f"{forecast.season} steps" if forecast.season else "one step"
    mase = forecast.mase[model]
    if not np.isfinite(mase):
        return f"There is no MASE: no series of a scored row has training rows {lag} apart that differ."
    left_out = rows - forecast.mase_rows
    few = f" {_counted(left_out, 'row')} of series without such a change left out." if left_out else ""
    return f"MASE {mase:.3f}: the mean absolute error, in multiples of a series' mean change over {lag}.{few}"


def _setting(timeline: Timeline, design: Design) -> dict[str, str]:
    """How time was read, line by line."""
    clock, own = timeline.clock, timeline.train.step[design.folds.scored_rows] - scored_origins(design)
    ahead = f" up to {_counted(timeline.horizon, 'step')} ahead" if timeline.layout == "rolling" else ""
    limits = {"gap": timeline.gap, "embargo": timeline.embargo}
    names = [column.name for column in timeline.stamped.groups]
    lines = {
        "layout": f"{timeline.layout}: {LAYOUTS[timeline.layout]}{ahead}",
        "steps": _frequency(clock),
        "seasons": ", ".join(f"{_counted(season, 'step')}" for season in clock.seasons) or "none",
        "series": f"{len(timeline.stamped.names):,}, by {', '.join(names)}" if names else "one",
        "training rows": _range(timeline.train.step, clock),
        "test rows": _range(timeline.test.step, clock),
        "steps ahead": f"{_ages(timeline.test.step - timeline.test_origin)} in the test, {_ages(own)} in the folds",
    }
    return lines | {name: _counted(steps, "step") for name, steps in limits.items() if steps}


def _frequency(clock: Clock) -> str:
    if clock.freq == STEPS:
        return "counted by the column of time itself"
    name = clock.freq.lstrip("0123456789")
    zone = f", in {clock.timezone}" if clock.timezone else ""
    return f"{_counted(int(clock.freq.removesuffix(name)), UNITS[name])}{zone}"


def _range(step: Integers, clock: Clock) -> str:
    bounds = np.array([step.min(), step.max()])
    if clock.freq == STEPS:
        return f"step {bounds[0]} to {bounds[1]}"
    unit = "D" if days(clock, 1) >= 1 else "s" if clock.freq.endswith("s") else "m"
    return " to ".join(str(text).replace("T", " ") for text in to_local(bounds, clock).astype(f"datetime64[{unit}]"))


def _ages(ages: Integers) -> str:
    low, high = int(ages.min()), int(ages.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


# --- stretches to look at


def backtests(
    timeline: Timeline, design: Design, metric: str, predicted: Floats, naive_name: str
) -> tuple[Backtest, ...]:
    """What the last fold scores last, of the series with most rows, of the worst and of the median one.

    predicted: by the last fold, of every training row [N].
    """
    rows, origins = design.folds.valid[-1], design.valid_origins[-1]
    naive, series = design.naive[naive_name][-1], timeline.train.series[rows]
    compared = Compared(metric, design.target[rows], predicted[rows], naive[rows])
    groups, codes = compared.by(series, str), np.unique(series)
    by_error = np.argsort([-badness(metric, group) for group in groups], kind="stable")
    chosen = {
        "most rows": int(np.argmax([group.rows for group in groups])),
        "largest error": int(by_error[0]),
        "median error": int(by_error[len(by_error) // 2]),
    }
    found = []
    for place in dict.fromkeys(chosen.values()):
        own = np.flatnonzero(series == codes[place])
        if timeline.layout in IN_BLOCKS:
            own = own[origins[own] == origins[own].max()]
        why = ", ".join(name for name, at in chosen.items() if at == place) if len(codes) > 1 else ""
        columns = {"actual": design.target, "predicted": predicted, "naive": naive}
        found.append(_backtest(timeline, rows[own], origins[own], columns, why))
    return tuple(found)


def _backtest(
    timeline: Timeline, rows: Integers, origins: Integers, columns: Mapping[str, Floats], chosen: str
) -> Backtest:
    """Of the scored rows of one stretch of one series, and what was true before."""
    train, clock, series = timeline.train, timeline.clock, int(timeline.train.series[rows[0]])
    origin = int(origins[0]) if timeline.layout in IN_BLOCKS else None
    first, begin, end = _window(timeline, rows, origin)
    own = np.flatnonzero((train.series == series) & (train.step >= first) & (train.step <= end))
    scored = rows[(train.step[rows] >= begin) & (train.step[rows] <= end)]
    step = np.arange(first, end + 1)
    return Backtest(
        series=timeline.stamped.names[series],
        chosen=chosen,
        when=None if clock.freq == STEPS else to_local(step, clock),
        step=step.astype(np.float64),
        actual=_by_step(train.step[own] - first, columns["actual"][own], len(step)),
        predicted=_by_step(train.step[scored] - first, columns["predicted"][scored], len(step)),
        naive=_by_step(train.step[scored] - first, columns["naive"][scored], len(step)),
        origin=-1 if origin is None or origin < first else origin - first,
        length=int(np.ptp(train.step[rows])) + 1,
    )


def _window(timeline: Timeline, rows: Integers, origin: int | None) -> tuple[int, int, int]:
    """The first step that is shown, the first and the last scored one: those after the origin, or else the latest."""
    step = timeline.train.step
    begin, end = int(step[rows].min()), int(step[rows].max())
    if origin is None:
        begin = max(begin, end - MOST_STEPS + 1)
    else:
        end = min(end, begin + MOST_STEPS - 1)
    first = begin - min(max(timeline.clock.seasons, default=MOST_BEFORE), end - begin + 1, MOST_BEFORE)
    if origin is not None:
        first = max(min(first, origin), begin - MOST_STEPS)
    return max(first, int(step.min())), begin, end


def _by_step(place: Integers, values: Floats, count: int) -> Floats:
    """The mean of rows of each step, NaN where there is none."""
    rows = np.bincount(place, minlength=count)
    return np.where(rows > 0, np.bincount(place, values, minlength=count) / rows.clip(min=1), np.nan)
