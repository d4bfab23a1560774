"""What is fitted on folds, and what draws folds of a timeline, keeps the contracts; planted leaks break them."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.settings import FoldSettings, Preprocess
from pipeline.tables import Encoded, Folds
from pipeline.tabular.features import fit_features
from pipeline.tabular.replay import replay, replayed
from pipeline.tabular.splits import k_folds
from pipeline.tabular.targets import fit_target
from tests.tabular import poison
from tests.tabular.poison import SplitterContract, StateContract

LEVELS = ("none", "one", "two", "three", "more")


def arrays_of(state):
    """Everything that a state of features has learned."""
    own = [getattr(state, name) for name in ("fill", "log1p", "mean", "scale", "quantiles", "missing", "lowest")]
    own += [state.highest, np.array(state.grouped), *(np.array(kept, dtype=object) for kept in state.levels)]
    if state.whitening is None:
        return own
    return [*own, state.whitening.centre, state.whitening.loadings, state.whitening.variance, state.whitening.share]


def features_fitted(values, index, options):
    """The state of three numbers and of levels made of the last; a number that is none of them is a level too."""
    codes = np.where(np.isnan(values[:, 2]), -1, np.clip(np.nan_to_num(values[:, 2]), 0, 4)).astype(np.int32)
    return arrays_of(fit_features(Encoded(values, codes[:, None]), (LEVELS,), index, options))


class FeaturesContract(StateContract):
    """Of one way to fit columns."""

    options: Preprocess

    def fit(self, values, target, train_index):
        return features_fitted(values, train_index, self.options)


class TestZScoresIgnoreScoredRows(FeaturesContract):
    """Means and spreads."""

    options = Preprocess(scaler="zscore")


class TestMinimaAndMaximaIgnoreScoredRows(FeaturesContract):
    """Ranges, and the numbers that unseen ones are clipped to."""

    options = Preprocess(scaler="minmax", clip_unseen=True)


class TestRobustScalesIgnoreScoredRows(FeaturesContract):
    """Medians and quartiles."""

    options = Preprocess(scaler="robust", impute="median")


class TestNormalQuantilesIgnoreScoredRows(FeaturesContract):
    """All quantiles."""

    options = Preprocess(scaler="quantile_normal")


class TestComponentsIgnoreScoredRows(FeaturesContract):
    """Centres, loadings, variances and their share."""

    options = Preprocess(scaler="pca_whiten", impute="mean")


class TestRareLevelsAndGapsIgnoreScoredRows(FeaturesContract):
    """Levels with a column, indicators, skews and fills."""

    options = Preprocess(scaler="none", min_frequency=14, log1p_skew=0.5, indicators=True, impute="median")


class TargetContract(StateContract):
    """Of one transform of the target, alone and with a column taken from it."""

    transform: str

    def fit(self, values, target, train_index):
        states = [
            fit_target(target[train_index], transform=self.transform, standardize=True, base=base)
            for base in (None, values[train_index, 0])
        ]
        return [np.array([own.mean, own.scale, own.exponent, own.fallback, *own.quantiles]) for own in states]


class TestPlainTargetsIgnoreScoredRows(TargetContract):
    """Mean and spread."""

    transform = "none"


class TestLogsOfTargetsIgnoreScoredRows(TargetContract):
    """Of logarithms."""

    transform = "log"


class TestLogsOfOneMoreIgnoreScoredRows(TargetContract):
    """Of log(1 + y)."""

    transform = "log1p"


class TestBoxCoxIgnoresScoredRows(TargetContract):
    """The exponent too."""

    transform = "boxcox"


class TestYeoJohnsonIgnoresScoredRows(TargetContract):
    """The exponent too."""

    transform = "yeojohnson"


class TestQuantilesOfTargetsIgnoreScoredRows(TargetContract):
    """The quantiles too."""

    transform = "quantile"


class TestReplayKeepsTheContract(SplitterContract):
    """Folds in the layout of the test, every layout."""

    def split(self, timeline):
        return replay(timeline, FoldSettings(count=3))


class TestFoldsThatLearnOfThePastAloneKeepTheContract(SplitterContract):
    """Interleaved folds that train on nothing after what they score; the others as they are."""

    def split(self, timeline):
        return replay(replace(timeline, only_past=True), FoldSettings(count=3))


class TestAnEmbargoKeepsTheContract(SplitterContract):
    """Three steps after each block."""

    def split(self, timeline):
        return replay(replace(timeline, embargo=3), FoldSettings(count=3))


# --- planted leaks


def a_scaler_on_scored_rows(values, target, train_index):
    return features_fitted(values, np.arange(len(values)), Preprocess())


def a_target_encoding_on_all_rows(values, target, train_index):
    level = np.nan_to_num(values[:, 2], nan=-1)
    means = {own: target[level == own].mean() for own in np.unique(level)}
    return [np.array([means[own] for own in level[train_index]])]


def a_target_scale_on_all_rows(values, target, train_index):
    return [np.array([target.mean(), target.std()])]


def a_count_of_all_rows(values, target, train_index):
    return [np.array([np.nanmean(values[train_index]) / len(values)])]


def a_state_that_learns_nothing(values, target, train_index):
    return [np.zeros(3)]


def an_honest_encoding(values, target, train_index):
    level = np.nan_to_num(values[train_index, 2], nan=-1)
    own = target[train_index]
    return [np.array([own[level == one].mean() for one in np.unique(level)])]


STATE_CHECKS = {
    "scored": lambda fit: [poison.check_scored_rows(fit, fold, p) for fold in (0, 2) for p in poison.ROWS_POISONED],
    "gone": lambda fit: poison.check_scored_rows_are_gone(fit, 1),
    "trained": lambda fit: poison.check_trained_rows_matter(fit, 1),
}


@pytest.mark.parametrize(
    ("leak", "seen_by"),
    [
        (a_scaler_on_scored_rows, {"scored", "gone"}),
        (a_target_encoding_on_all_rows, {"scored", "gone"}),
        (a_target_scale_on_all_rows, {"scored", "gone"}),
        (a_count_of_all_rows, {"gone"}),
        (a_state_that_learns_nothing, {"trained"}),
        (an_honest_encoding, set()),
    ],
)
def test_the_contract_of_states_sees_a_planted_leak(leak, seen_by):
    """Each fails the checks that are there for it, and no other."""
    assert failed(leak, STATE_CHECKS) == seen_by


def random_folds(timeline):
    """Rows drawn one by one."""
    return replayed(timeline, k_folds(len(timeline.train.step), count=3, shuffle=True, seed=0))


def folds_that_hide_nothing(timeline):
    found = replay(timeline, FoldSettings(count=3))
    return replace(found, hidden=tuple(hidden & False for hidden in found.hidden))


def folds_that_train_on_everything(timeline):
    found = replay(timeline, FoldSettings(count=3))
    every = tuple(np.arange(len(timeline.train.step)) for _ in found.folds.valid)
    return replace(found, folds=Folds(train=every, valid=found.folds.valid))


def origins_at_the_step_before(timeline):
    found = replay(timeline, FoldSettings(count=3))
    return replace(found, origins=tuple(timeline.train.step[own] - 1 for own in found.folds.valid))


def folds_that_look_at_the_target(timeline):
    """The third with the highest values is scored last."""
    values = np.nan_to_num(timeline.known.values[:, 0])
    order = np.argsort(values[: len(timeline.train.step)], kind="stable")
    valid = tuple(np.sort(part) for part in np.array_split(order, 3))
    every = np.arange(len(order))
    return replayed(timeline, Folds(train=tuple(np.setdiff1d(every, own) for own in valid), valid=valid))


SPLIT_CHECKS = {
    "trained": poison.check_trains_on_nothing_it_scores,
    "ages": poison.check_scores_after_origins,
    "hidden": lambda split, layout: [poison.check_hidden_does_not_matter(split, layout, p) for p in poison.HIDDEN],
}


@pytest.mark.parametrize(
    ("leak", "layout", "seen_by"),
    [
        (random_folds, "future", {"trained", "ages"}),
        (random_folds, "interleaved", {"trained", "ages"}),
        (folds_that_hide_nothing, "interleaved", {"hidden"}),
        (folds_that_train_on_everything, "interleaved", {"trained"}),
        (origins_at_the_step_before, "future", {"ages"}),
        (folds_that_look_at_the_target, "future", {"trained", "ages", "hidden"}),
        (lambda timeline: replay(timeline, FoldSettings(count=3)), "future", set()),
        (lambda timeline: replay(timeline, FoldSettings(count=3)), "interleaved", set()),
    ],
)
def test_the_contract_of_splitters_sees_a_planted_leak(leak, layout, seen_by):
    """Before a test that is one future block, or between blocks of it."""
    assert failed(leak, SPLIT_CHECKS, layout) == seen_by


def failed(leak, checks, *options):
    """Names of the checks that do not pass."""
    found = set()
    for name, check in checks.items():
        try:
            check(leak, *options)
        except (AssertionError, pytest.fail.Exception):
            found.add(name)
    return found
