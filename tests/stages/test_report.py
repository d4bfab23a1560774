"""The facts of a report: every number is one that the stages computed, every judgement follows from numbers."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import design_of

from pipeline.facts import Advice, Curves, LargeError, ModelRow
from pipeline.fits import Bag, Curve, Fits, FoldScore, Job, ModelScore, Network, Scores, Submission
from pipeline.stages.report import band, errors_of, report
from pipeline.stages.verdicts import Evidence, advise, error_ratio, judge_baseline, judge_fit
from pipeline.tables import Compute, Dataset, Folds, Notice
from pipeline.tabular.metrics import METRICS, score

TARGET = np.array([100.0, 200.0, 50.0, 400.0, 80.0])  # no fold scores the last row
ACTUAL = TARGET[:4]
ERRORS = np.array([0.1, -0.3, 0.0, 0.2])  # of logarithms
OOF = ACTUAL * np.exp(ERRORS)
FOLD_OF_ROW = np.array([0, 0, 1, 1])
NETWORK = Network(inputs=3, hidden=(2,), activation="relu", init="pytorch", init_scale=0.01)


def model_score(metric, valid, train, pooled):
    """A model whose metric is `valid[k]` and `train[k]` in fold k."""
    folds = tuple(FoldScore(k, 2, {metric: v}, {metric: t}) for k, (v, t) in enumerate(zip(valid, train, strict=True)))
    return ModelScore(folds, {metric: pooled}, 1.5)


def curve(valid, train=None, best=0, stopped="finished"):
    valid = np.asarray(valid, dtype=float)
    return Curve(np.full(len(valid), np.nan) if train is None else np.asarray(train, dtype=float), valid, best, stopped)


@pytest.fixture
def values():
    """Five training rows in two folds, two test rows, two seeds and a refit; one notice of each stage."""
    names = [Notice(f"column {i}", f"seen by stage {i}", i) for i in range(4)]
    ids, test_ids = np.array(list("abcde"), dtype=object), np.array(["t1", "t2"], dtype=object)
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 3)), columns=["x", "y", "z"])
    dataset = Dataset(
        train=frame, test=frame[:2], target=TARGET, held_out=None, train_ids=ids, test_ids=test_ids, columns=(),
        numeric=("x", "y", "z"), categorical=(), dates=(), fold_columns={}, submission_header=("id", "price"),
        submission_ids=test_ids, notices=(names[0],),
    )  # fmt: skip
    folds = Folds((np.array([2, 3]), np.array([0, 1])), (np.array([0, 1]), np.array([2, 3])))
    design = replace(design_of(dataset, folds=2), folds=folds, notices=(names[1],))
    jobs = (*(Job(0, fold, seed) for fold in range(2) for seed in range(2)), Job(0, 2, 0))
    curves = (*(curve([0.4, 0.2], [0.3, 0.1], best=1) for _ in range(4)), curve([np.nan, np.nan], [0.2, 0.01]))
    weights = {name: np.ones((5, *shape), np.float32) for name, shape in NETWORK.trained.items()}
    fits = Fits(
        name="mlp", bag=Bag(NETWORK, jobs, np.array([0, 0, 0, 0, 1.0]), weights), curves=curves, metric="log_rmse",
        fold_predictions=np.zeros((2, 5)), seed_oof=np.zeros((2, 4)), test_predictions=np.zeros(2), seconds=60.0,
        compute=Compute("cpu", 2, "fp32"), notices=(names[2],),
    )  # fmt: skip
    scores = Scores(
        metric="log_rmse",
        models={"mlp": model_score("log_rmse", [0.1, 0.3], [0.1, 0.2], pooled=0.2)},
        baselines={
            "mean": model_score("log_rmse", [0.9, 0.9], [0.9, 0.9], pooled=0.9),
            "ridge": model_score("log_rmse", [0.2, 0.28], [0.2, 0.2], pooled=0.25),
        },
        seed_oof=(0.21, 0.22), validation_looks=8, ids=ids[:4], fold_of_row=FOLD_OF_ROW, actual=ACTUAL,
        oof={"mlp": OOF, "ridge": OOF}, unscored_rows=1,
    )  # fmt: skip
    return {
        "dataset": dataset, "design": design, "fits": fits, "scores": scores,
        "submission": Submission(b"", 2, "5ha", (names[3],)),
    }  # fmt: skip


def row(name, pooled, by_fold=(0.2, 0.2), *, is_baseline=False, metric="log_rmse"):
    return ModelRow(name, is_baseline, {metric: pooled}, by_fold, float(np.mean(by_fold)), 0.0, 1.0)


def evidence(metric="log_rmse", *, ours=0.2, ridge=0.3, train=0.18, by_fold=None, **changes):
    """A model that beats ridge, does not overfit and has nothing special about it."""
    empty = band([])
    plain = Evidence(
        metric=metric, ours=row("mlp", ours, by_fold or (ours, ours), metric=metric),
        baselines=(row("ridge", ridge, (ridge, ridge), is_baseline=True, metric=metric),), train_mean=train,
        curves=Curves(empty, empty, (), 0), largest=(), networks_not_finite=0, seeds=2,
    )  # fmt: skip
    return replace(plain, **changes)


def test_the_headline_is_the_pooled_score_with_mean_and_deviation_over_folds(values):
    """Folds of 0.1 and 0.3: mean 0.2, deviation with ddof 1 sqrt(0.02); training 0.1 and 0.2: mean 0.15."""
    headline = report(**values).headline
    assert (headline.metric, headline.model, headline.score) == ("log_rmse", "mlp", 0.2)
    assert (headline.fold_mean, headline.fold_std) == pytest.approx((0.2, np.sqrt(0.02)))
    assert headline.train_mean == pytest.approx(0.15)


def test_the_best_baseline_is_named_with_the_distance_and_the_folds_won(values):
    """0.2 is 20 % below ridge's 0.25; 0.1 < 0.2 but 0.3 > 0.28, so one fold of two; the mean's 0.9 plays no part."""
    verdict = report(**values).headline.baseline
    assert verdict.claim == "20 % below ridge"
    assert "0.25" in verdict.detail
    assert "better in 1 of 2 folds" in verdict.detail
    assert verdict.is_good


@pytest.mark.parametrize(
    ("metric", "ours", "ridge", "claim", "won"),
    [
        ("rmse", 5.0, 4.0, "25 % above ridge", 0),
        ("rmse", 3.9, 4.0, "2.5 % below ridge", 2),
        ("rmse", 4.0, 4.001, "Level with ridge", 2),
        ("rmse", 1.0, 0.0, "Worse than ridge", 0),
        ("r2", 0.9, 0.8, "0.100 above ridge", 2),
        ("r2", 0.7, 0.8, "0.100 below ridge", 0),
    ],
)
def test_better_and_worse_follow_the_metrics_direction(metric, ours, ridge, claim, won):
    """Below is better for an error and worse for r2; within half a percent is level, whoever wins the folds."""
    verdict = judge_baseline(evidence(metric, ours=ours, ridge=ridge))
    assert (verdict.claim, verdict.is_good) == (claim, won == 2 and "Level" not in claim)
    assert f"better in {won} of 2 folds" in verdict.detail


def test_without_a_finite_baseline_the_report_still_stands(values):
    """No baseline is said so; a baseline of infinite error comes last."""
    assert judge_baseline(replace(evidence(), baselines=())).claim == "No baseline"
    wild = model_score("log_rmse", [np.inf, np.inf], [1.0, 1.0], pooled=np.inf)
    scores = replace(values["scores"], baselines={"wild": wild} | dict(values["scores"].baselines))
    assert [model.name for model in report(**values | {"scores": scores}).models] == ["mlp", "ridge", "mean", "wild"]


@pytest.mark.parametrize(
    ("train", "valid", "ridge", "claim"),
    [
        (0.1, 0.2, 0.3, "Overfits strongly"),
        (0.1, 0.15, 0.3, "Overfits somewhat"),
        (0.1, 0.11, 0.3, "Does not overfit"),
        (0.1, 0.11, 0.05, "Underfits"),
        (0.1, 0.2, 0.05, "Overfits strongly"),
        (0.0, 0.2, 0.3, "Overfits strongly"),
        (0.0, 0.0, 0.3, "Does not overfit"),
    ],
)
def test_over_and_underfitting_are_read_off_the_gap(train, valid, ridge, claim):
    """Twice the training error is strong; little gap and worse than ridge is underfitting."""
    assert judge_fit(evidence(train=train, ours=valid, ridge=ridge)).claim == claim


def test_every_metric_is_judged_by_the_same_residuals():
    """Residuals twice as large: rmse doubles, mse is four times as large, 1 - r2 too."""
    assert error_ratio("rmse", 3.0, 6.0) == pytest.approx(2)
    assert error_ratio("mse", 9.0, 36.0) == pytest.approx(2)
    assert error_ratio("r2", 0.9, 0.6) == pytest.approx(2)


@pytest.mark.parametrize(("metric", "sign"), [("log_rmse", 1), ("r2", -1)])
def test_a_fold_keeps_its_scores_and_its_gap_says_how_much_worse_unseen_rows_are(values, metric, sign):
    """Positive where validation rows are scored worse, whichever way the metric points; folds count from 1."""
    models = {"mlp": model_score(metric, [0.1, 0.3], [0.1, 0.2], pooled=0.2)}
    scores = replace(values["scores"], metric=metric, models=models, baselines={})
    folds = report(**values | {"scores": scores}).folds
    assert [fold.fold for fold in folds] == [1, 2]
    assert [fold.rows for fold in folds] == [2, 2]
    assert [fold.gap for fold in folds] == pytest.approx([0.0, sign * 0.1])
    assert folds[1].valid == {metric: 0.3}


@pytest.mark.parametrize("metric", ["log_rmse", "rmsle", "rmse"])
def test_the_errors_add_up_to_the_metric(metric):
    """The root mean square of the errors is the score, also where predictions are clamped."""
    actual, predicted = np.array([0.5, 20.0, 300.0]), np.array([-4.0, 25.0, 200.0])
    errors = errors_of(metric, actual, predicted)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(score(metric, actual, predicted))


def test_the_error_is_a_log_ratio_under_log_rmse_and_a_difference_elsewhere():
    """Twice the actual value: log 2; 30 instead of 10: 20."""
    assert errors_of("log_rmse", np.array([10.0]), np.array([20.0])) == pytest.approx([np.log(2)])
    assert errors_of("mae", np.array([10.0]), np.array([30.0])) == pytest.approx([20.0])


def test_rows_that_no_fold_scores_are_not_among_the_errors_and_are_counted(values):
    """The fifth row stands in no list; the others have their own fold, from 1, and error."""
    facts = report(**values)
    np.testing.assert_allclose(facts.rows.predicted, OOF)
    assert facts.rows.fold.tolist() == [1, 1, 2, 2]
    np.testing.assert_allclose(facts.rows.errors, ERRORS)
    assert facts.rows.in_logs
    assert facts.run.unscored_rows == 1


def test_a_row_that_several_folds_score_has_an_error_for_each(values):
    """Repeated folds: the second row twice, with the fold of each."""
    scores = replace(
        values["scores"], ids=values["scores"].ids[[0, 1, 1]], actual=ACTUAL[[0, 1, 1]],
        fold_of_row=np.array([0, 0, 1]), oof={"mlp": OOF[[0, 1, 1]] * np.array([1, 1, 2])},
    )  # fmt: skip
    facts = report(**values | {"scores": scores})
    assert facts.rows.fold.tolist() == [1, 1, 2]
    np.testing.assert_allclose(facts.rows.errors, [0.1, -0.3, -0.3 + np.log(2)])
    assert [(item.id, item.fold) for item in facts.largest] == [("b", 2), ("b", 1), ("a", 1)]


def test_the_largest_errors_come_first_with_their_share(values):
    """Squares of 0.3, 0.2, 0.1 and 0 make 0.14; an exact row is not listed."""
    largest = report(**values).largest
    assert [item.id for item in largest] == ["b", "d", "a"]
    assert [item.error for item in largest] == pytest.approx([-0.3, 0.2, 0.1])
    assert [item.share for item in largest] == pytest.approx([0.09 / 0.14, 0.04 / 0.14, 0.01 / 0.14])
    assert (largest[0].fold, largest[0].actual) == (1, 200.0)


def test_under_an_absolute_metric_shares_are_of_absolute_errors(values):
    """Errors of 1 and 3: a quarter and three quarters; huge ones do not overflow."""
    model = model_score("mae", [2.0, 0.0], [2.0, 0.0], pooled=1.0)
    oof = ACTUAL + np.array([1.0, 3.0, 0.0, 0.0])
    scores = replace(values["scores"], metric="mae", models={"mlp": model}, baselines={}, oof={"mlp": oof})
    assert [item.share for item in report(**values | {"scores": scores}).largest] == pytest.approx([0.75, 0.25])
    scores = replace(scores, metric="rmse", models={"mlp": model_score("rmse", [1.0], [1.0], pooled=1.0)})
    huge = replace(scores, oof={"mlp": np.where(oof == ACTUAL, oof, 1e300)})
    assert sum(item.share for item in report(**values | {"scores": huge}).largest) == pytest.approx(1)


def test_a_band_is_the_mean_and_the_middle_of_the_networks_that_were_scored():
    """0 to 10 in eleven networks: mean 5, tenth and ninetieth percentile 1 and 9."""
    result = band([np.array([float(i)]) for i in range(11)])
    assert [*result.mean, *result.low, *result.high] == pytest.approx([5.0, 1.0, 9.0])


def test_a_band_ends_where_fewer_than_half_of_the_networks_are_left():
    """Lengths 4, 2, 2, 3: epoch 3 still has two of four, epoch 4 only one; not finite means not scored."""
    curves = [
        np.array([1.0, np.nan, 3.0, 9.0]),
        np.array([3.0, np.nan]),
        np.array([np.inf, 1.0]),
        np.array([2.0, 3, 5]),
    ]
    result = band(curves)
    assert result.epochs.tolist() == [1, 2, 3]
    assert result.mean.tolist() == [2.0, 2.0, 4.0]
    assert len(band([]).mean) == len(band([np.array([np.nan])]).mean) == 0


def test_curves_leave_refits_out_and_point_the_metrics_way(values):
    """Four networks of the folds, not the fifth; a loss of -0.9 is an r2 of 0.9; epochs count from 1."""
    curves = report(**values).curves
    assert (curves.networks, curves.best_epochs) == (4, (2, 2, 2, 2))
    assert (curves.valid.mean.tolist(), curves.train.mean.tolist()) == ([0.4, 0.2], [0.3, 0.1])
    fits = values["fits"]
    one = replace(fits.bag, jobs=fits.jobs[:1], votes=np.ones(1))
    fits = replace(fits, metric="r2", bag=one, curves=(curve([-0.8, -0.9]),))
    assert report(**values | {"fits": fits}).curves.valid.mean.tolist() == [0.8, 0.9]


def test_looks_at_validation_rows_are_counted_and_called_what_they_are(values):
    """A best epoch was chosen: optimistic. Last epochs kept, or no looks: not."""
    assert "8 times" in report(**values).headline.honesty
    chosen = replace(values["fits"], curves=tuple(curve([0.1, 0.2], best=0) for _ in range(5)))
    assert "slightly optimistic" in report(**values | {"fits": chosen}).headline.honesty
    kept = replace(values["fits"], curves=tuple(curve([0.1, 0.2], best=1) for _ in range(5)))
    assert "optimistic" not in report(**values | {"fits": kept}).headline.honesty
    unseen = replace(values["scores"], validation_looks=0)
    assert "No validation row" in report(**values | {"scores": unseen}).headline.honesty


FALLING = Curves(band([np.linspace(1.0, 0.5, 20)]), band([]), (20,), 1)
FLAT = Curves(band([np.full(20, 0.5)]), band([]), (20,), 1)
HEAVY = tuple(LargeError(str(i), 1, 1.0, 2.0, 1.0, 0.15) for i in range(4))
ALL_OF_IT = tuple(LargeError(str(i), 1, 1.0, 2.0, 1.0, 0.48) for i in range(4))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (evidence(networks_not_finite=2), "train.lr"),
        (evidence(ridge=0.1), "train.epochs"),
        (evidence(ridge=0.1, train=0.02), "model.width"),
        (evidence(train=0.05), "train.weight_decay=… model.dropout=…"),
        (evidence(curves=FALLING), "train.epochs"),
        (evidence(largest=HEAVY), "2 rows carry 30 % of the error"),
        (evidence(largest=ALL_OF_IT, ridge=0.1, train=0.02), "2 rows carry 96 % of the error"),
        (evidence(largest=ALL_OF_IT, train=0.05), "2 rows carry 96 % of the error"),
        (evidence(seeds=1), "train.seeds"),
        (evidence(by_fold=(0.2, 0.2, 0.5)), "Fold 3"),
        (evidence(), "make sweep"),
        (evidence(curves=FLAT), "make sweep"),
    ],
)
def test_advice_answers_what_was_seen(seen, words):
    """Each finding alone leads to its own advice; where nothing stands out, a search."""
    (advice,) = advise(seen)
    assert words in f"{advice.seen} {advice.action} {advice.command}"


def test_what_training_saw_comes_before_all_else():
    """A cause with its setting in place of a guess about the learning rate, then a stall; the rest has to wait."""
    cause, stall = Advice("It broke.", "Set a.", ""), Advice("It stalled.", "Set b.", "")
    assert advise(evidence(networks_not_finite=1, train=0.05, troubles=(cause, stall))) == (cause, stall)
    first, second = advise(evidence(train=0.05, troubles=(stall,)))
    assert first == stall
    assert "dropout" in second.command


def test_no_more_than_two_pieces_of_advice_the_most_pressing_first():
    """A loss that was not finite goes before overfitting, and the single seed has to wait."""
    first, second = advise(evidence(networks_not_finite=1, train=0.05, seeds=1))
    assert "train.lr" in first.command
    assert "dropout" in second.command


def test_every_notice_is_passed_on_with_its_stage(values):
    """One of each stage, in the order of the pipeline."""
    notices = report(**values).notices
    assert [item.stage for item in notices] == ["ingest", "preprocess", "train", "submit"]
    assert [item.notice.count for item in notices] == [0, 1, 2, 3]


def test_what_was_run_is_counted(values):
    """Five networks, one a refit, of two seeds and two folds; rows, columns and the submission's own numbers."""
    facts = report(**values)
    run = facts.run
    assert (run.networks, run.refits, run.seeds, run.folds) == (5, 1, 2, 2)
    assert (run.train_rows, run.test_rows, run.columns, run.seconds) == (5, 2, 3, 60.0)
    assert (facts.upload.header, facts.upload.rows, facts.upload.sha256) == (("id", "price"), 2, "5ha")
    assert (facts.seed_scores, facts.validation_looks) == ((0.21, 0.22), 8)


def test_every_metric_can_be_the_headline(values):
    """The facts come together for each metric in the table."""
    for metric in METRICS:
        models = {"mlp": model_score(metric, [0.1, 0.3], [0.1, 0.2], pooled=0.2)}
        scores = replace(values["scores"], metric=metric, models=models, baselines=models)
        assert report(**values | {"scores": scores, "fits": replace(values["fits"], metric=metric)}).largest


@pytest.mark.slow
def test_the_stage_draws_nothing():
    """Facts first, markup last: importing the stage loads neither matplotlib nor jinja2."""
    code = "import sys, pipeline.stages.report; print({'matplotlib', 'jinja2'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_weights_are_of_every_network_and_pictures_of_the_first(values):
    """Five networks of ones, two of them of the first fold; the rest is the weights' own stage."""
    weights = report(**values).weights
    assert (weights.networks, weights.of, weights.fold, weights.seed) == (5, 5, 1, 0)
    assert [tensor.after.mean for tensor in weights.tensors] == [1.0, 1.0, 1.0, 1.0]
