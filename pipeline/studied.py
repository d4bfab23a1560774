"""A study and its winner -> the facts of the sweep's page."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from pipeline.claims import WORKER, is_claimed
from pipeline.report.sweep_facts import Dimension, FinalistFacts, SweepFacts, TrialFacts, WinnerFacts
from pipeline.stages.trials import CAUSE, is_void, stands
from pipeline.tabular.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import optuna
    from optuna.trial import FrozenTrial

    from pipeline.outcomes import Winner
    from pipeline.report.sweep_facts import State
    from pipeline.search_settings import Range

STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "scored",
    TrialState.PRUNED: "given up",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "in flight",
}
PAUSE = timedelta(minutes=2)  # without a trial in flight: nobody trained, or the finalists were scored again
SILENCE = timedelta(minutes=15)  # after which nobody seems to train; a longer trial than that allows for more
FEWEST_SCORED = 20  # before importances mean anything
FEWEST_BEST = 5  # trials that importances are told from


def facts_of(
    study: optuna.Study,
    winner: Winner | None,
    *,
    space: Mapping[str, Range],
    metric: str,
    settings: Mapping[str, object],
) -> SweepFacts:
    """What there is to say of a study, finished or in progress. settings: the winner's, as they go into a config."""
    trials = study.get_trials(deepcopy=False)
    counted = [trial for trial in trials if is_claimed(trial)]
    dimensions = tuple(_dimension(key, one) for key, one in space.items())
    sign = -1.0 if METRICS[metric].greater_is_better else 1.0
    now = _last_heard(counted)
    clock = _Clock([_span(trial, now) for trial in counted])
    workers = list(dict.fromkeys(str(trial.user_attrs.get(WORKER, "")) for trial in counted))

    def told(trial: FrozenTrial) -> TrialFacts:
        begun, ended = _span(trial, now)
        return TrialFacts(
            trial.number,
            STATES[trial.state],
            sign * trial.value if trial.state == TrialState.COMPLETE and trial.value is not None else math.nan,
            tuple(_place(one, trial.params.get(one.key)) for one in dimensions),
            clock.seconds(begun),
            clock.seconds(ended),
            workers.index(str(trial.user_attrs.get(WORKER, ""))),
            str(trial.user_attrs.get(CAUSE, "")),
        )

    return SweepFacts(
        metric=metric,
        greater_is_better=METRICS[metric].greater_is_better,
        dimensions=dimensions,
        trials=tuple(map(told, counted)),
        interrupted=sum(map(is_void, trials)),
        workers=tuple(_short_names(workers)),
        seconds=clock.total,
        pauses=clock.pauses,
        importances=_importances(study),
        winner=_winner(winner, space, sign, settings) if winner else None,
        stands=next((trial.number for trial in counted if stands(trial)), None),
    )


def _winner(winner: Winner, space: Mapping[str, Range], sign: float, settings: Mapping[str, object]) -> WinnerFacts:
    finalists = tuple(
        FinalistFacts(
            one.trial,
            tuple(str_of(one.values.get(key)) for key in space),
            sign * one.score,
            sign * one.fresh,
            tuple(sign * score for score in one.again),
            one.fresh - one.score,
        )
        for one in sorted(winner.finalists, key=lambda one: (*one.rank, one.trial))
    )
    fresh = [one.fresh for one in finalists if one.number == winner.trial]
    optimism = winner.optimism
    return WinnerFacts(
        winner.trial,
        dict(settings),
        sign * winner.score,
        fresh[0] if fresh else math.nan,
        math.nan if optimism is None else optimism,
        finalists,
        winner.trials,
    )


def str_of(value: object) -> str:
    """A value of a setting in few letters."""
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _dimension(key: str, one: Range) -> Dimension:
    if one.choice is not None:
        return Dimension(key, "choice", 0, len(one.choice) - 1, tuple(map(str_of, one.choice)))
    if one.integer is not None:
        return Dimension(key, "integer", *one.integer)
    if one.log is not None:
        return Dimension(key, "log", *one.log)
    assert one.uniform is not None
    return Dimension(key, "linear", *one.uniform)


def _place(one: Dimension, value: object) -> float:
    if one.scale == "choice":
        text = str_of(value)
        return float(one.choices.index(text)) if text in one.choices else math.nan
    return float(value) if isinstance(value, (int, float)) else math.nan


def _importances(study: optuna.Study) -> tuple[tuple[str, float], ...]:
    scored = [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)) if trial.params]
    if len(scored) < FEWEST_SCORED or len({trial.value for trial in scored}) == 1:
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.simplefilter("ignore", UserWarning)  # of settings that few trials have: they are all asked alike
        judge = PedAnovaImportanceEvaluator(target_quantile=max(0.1, FEWEST_BEST / len(scored)))
        found = get_param_importances(study, evaluator=judge)
    return tuple(sorted(found.items(), key=lambda pair: -pair[1])) if sum(found.values()) > 0 else ()


def _span(trial: FrozenTrial, now: datetime) -> tuple[datetime, datetime]:
    begun = trial.datetime_start or trial.datetime_complete or now
    return begun, max(begun, trial.datetime_complete or now)


def _last_heard(trials: Sequence[FrozenTrial]) -> datetime:
    """Until when trials in flight are taken to train: now, unless the study has been silent for too long for that."""
    now = datetime.now()  # noqa: DTZ005 - Optuna's own are local times
    ended = [(t.datetime_start, t.datetime_complete) for t in trials if t.datetime_start and t.datetime_complete]
    begun = [t.datetime_start for t in trials if t.datetime_start]
    last = max([*begun, *(end for _, end in ended)], default=now)
    longest = max((end - begin for begin, end in ended), default=SILENCE)
    return now if now - last <= max(SILENCE, 3 * longest) else last


def _short_names(workers: Sequence[str]) -> list[str]:
    """Computer and process, the computer only where there are several."""
    parts = [[*worker.rsplit(" ", 2), "", ""][:2] for worker in workers]
    alone = len({host for host, _ in parts}) == 1
    return [f"process {process}" if alone else f"{host} {process}" for host, process in parts]


class _Clock:
    """Seconds since a study began, those without any trial in flight left out."""

    def __init__(self, spans: Sequence[tuple[datetime, datetime]]) -> None:
        self._starts: list[datetime] = []  # of stretches in which somebody trained
        self._before: list[float] = []  # seconds on the clock at each start
        self.pauses: tuple[tuple[float, float], ...] = ()
        self.total = 0.0
        end = None
        for begun, ended in sorted(spans):
            if end is None or begun - end > PAUSE:
                if end is not None:
                    self.total += (end - self._starts[-1]).total_seconds()
                    self.pauses += ((self.total, (begun - end).total_seconds()),)
                self._starts.append(begun)
                self._before.append(self.total)
            end = ended if end is None else max(end, ended)
        if end is not None:
            self.total += (end - self._starts[-1]).total_seconds()

    def seconds(self, moment: datetime) -> float:
        """Where the moment, of one of the spans, is on the clock."""
        place = bisect_right(self._starts, moment) - 1
        return self._before[place] + (moment - self._starts[place]).total_seconds()
