"""Networks trained on all rows: when there are any, what they count, and what is told of them."""

from dataclasses import replace

import numpy as np
import pytest
from builders import SHORT_TRAINING, SMALL_MODEL, design_of, generated_dataset, on_cpu
from panels import panel

from pipeline.errors import TrainingError
from pipeline.fits import Curve, Job
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages import train as stage
from pipeline.stages.assignments import training_jobs
from pipeline.stages.preprocess import preprocess
from pipeline.stages.refits import apart_notices, refit_notices, refit_of, votes_of
from pipeline.stages.summary import summarise
from pipeline.stages.train import train
from pipeline.stages.verdicts import say_looks
from pipeline.tables import Compute
from pipeline.training_settings import Train

pytestmark = pytest.mark.usefixtures("one_thread")


def in_time(days, **folds):
    return preprocess(
        panel(days=days), preprocess=Preprocess(), target=Target(), folds=FoldSettings(**folds), metric="mae"
    )


SHORT, LONG = in_time(30, count=3), in_time(70, count=3)
K = SHORT.folds.count
assert (K, LONG.folds.count) == (2, 3)


def learning(design, rows, of):
    """The same design, whose oldest fold learns from so many of so many rows."""
    train = (np.arange(rows), *design.folds.train[1:])
    return replace(design, folds=replace(design.folds, train=train), refit_rows=np.arange(of))


@pytest.mark.parametrize(
    ("design", "wanted"),
    [
        (SHORT, "beside"),  # the oldest of three folds learns from 18 of 46 rows
        (LONG, "none"),  # from 84 of 126
        (learning(LONG, 44, 100), "beside"),
        (learning(LONG, 45, 100), "none"),
        (in_time(30, count=2, kind="kfold"), "none"),  # two equal folds
        (replace(SHORT, overlays=()), "none"),  # no time series
        (learning(design_of(generated_dataset()), 5, 30), "none"),
    ],
)
def test_refits_stand_beside_folds_that_learn_from_little_of_a_time_series(design, wanted):
    """By themselves; asked for or forbidden, they are or are not there everywhere."""
    assert refit_of(design, Train()) == wanted
    count = design.folds.count
    for refit, folds in (("auto", count + (wanted != "none")), ("alone", count + 1), ("none", count)):
        jobs = training_jobs(design, Train(refit=refit, seeds=2, seed=5))
        assert jobs == [Job(0, fold, seed) for fold in range(folds) for seed in (5, 6)]
        assert refit_of(design, Train(refit=refit)) == (wanted if refit == "auto" else refit)


@pytest.mark.parametrize(
    ("refit", "votes"),
    [("none", [1 / 4] * 4 + [0, 0]), ("alone", [0] * 4 + [1 / 2] * 2), ("beside", [1 / 8] * 4 + [1 / 4] * 2)],
)
def test_the_votes_of_folds_and_refits(refit, votes):
    """Two folds, two seeds; where there are no refits, folds have it all."""
    jobs = [Job(0, fold, seed) for fold in range(3) for seed in range(2)]
    np.testing.assert_allclose(votes_of(jobs, refit, 2), votes)
    np.testing.assert_allclose(votes_of(jobs[:4], "none", 2), 1 / 4)


@pytest.mark.parametrize(("refit", "refits"), [("auto", 2), ("none", 0), ("alone", 2), ("beside", 2)])
def test_a_summary_counts_them(refit, refits):
    """Two seeds of a time series whose folds learn from little."""
    train = SHORT_TRAINING.model_copy(update={"refit": refit})
    found = summarise(SHORT, model=SMALL_MODEL, train=train, compute=Compute("cpu", 1, "fp32"))
    assert (found.refits, found.networks) == (refits, 2 * K + refits)


# --- what is told


def trained(design=SHORT, **changes):
    settings = Train(**(SHORT_TRAINING.model_dump() | changes))
    return train(design, model=SMALL_MODEL, train=settings, metric="mae", runtime=on_cpu("fp64"))


def told_of(fits):
    """Notices about refits."""
    return [notice for notice in fits.notices if "on all rows" in notice.text or "the refit" in notice.text]


def test_refits_that_nobody_asked_for_are_told():
    """How little a fold learns from, and which setting says otherwise; the others were asked for."""
    found = trained()
    (told,) = told_of(found)
    assert told.count == 2
    assert "for some fold learns from 39% of them" in told.text
    assert told.text.endswith('half the say; train.refit = "none" leaves them out')
    assert not told_of(trained(refit="none"))
    assert not told_of(trained(refit="beside"))


def curves_of(*kept, epochs=10):
    """Of folds that kept these epochs, from 1, and of a refit that ran to its end."""
    valid = np.linspace(1, 0, epochs)
    return [*(Curve(valid, valid, own - 1, "finished") for own in kept),
            Curve(valid * np.nan, valid * np.nan, epochs - 1, "finished")]  # fmt: skip


@pytest.mark.parametrize(
    ("refit", "kept", "wanted"),
    [("alone", (2, 9, 10), True), ("alone", (2, 10, 10), False), ("beside", (2, 9, 10), False)],
)
def test_a_refit_that_runs_on_where_folds_stopped_is_told(refit, kept, wanted):
    """By the median of their epochs; beside them it has but half the say."""
    jobs = [Job(0, fold, 0) for fold in range(4)]
    found = list(refit_notices(LONG, jobs, curves_of(*kept), Train(refit=refit, epochs=10)))
    assert bool(found) == wanted
    if wanted:
        assert "trains all 10 epochs, but the folds kept epoch 9 (median), and the out-of-fold score" in found[0].text
        assert 'train.refit = "beside" gives them half the say on the test, "none" all of it' in found[0].text


@pytest.mark.parametrize(("refit", "apart"), [("beside", 2.0), ("alone", 1.0)])
def test_refits_that_say_something_else_are_told(refit, apart):
    """Beside the folds they pull what is said half the way; an eye is kept on them, for no score does."""
    folds = np.array([1.0, 2.0])
    far = folds + 5 * np.array([1, -1])
    (told,) = apart_notices(refit, far, folds, apart * 5 / 3.1)
    assert f"they are {5 * apart:.4g} apart (root mean square), where the out-of-fold error is" in told.text
    assert not list(apart_notices(refit, far, folds, apart * 5 / 2.9))
    assert list(apart_notices(refit, far * np.nan, folds, 1e9))
    assert not list(apart_notices("none", far, folds, 0.0))
    assert not list(apart_notices(refit, far[:0], folds[:0], 1.0))


def tampered(monkeypatch, factor):
    """A training whose refits, once trained, are so much larger."""
    fit = stage.fit_networks

    def grown(design, candidates, jobs, **options):
        found = fit(design, candidates, jobs, **options)
        return [
            replace(one, tensors=tuple(factor * own for own in one.tensors)) if job.fold == K else one
            for job, one in zip(jobs, found, strict=True)
        ]

    monkeypatch.setattr(stage, "fit_networks", grown)
    return trained()


def test_refits_gone_wild_are_told(monkeypatch):
    """Though all that is scored is as before."""
    texts = [notice.text for notice in told_of(tampered(monkeypatch, 100.0))]
    assert any("predict the test unlike those of the folds" in text for text in texts)


def test_refits_that_are_not_finite_end_the_training(monkeypatch):
    """As those of folds do: nothing that predicts the test is kept as good unseen."""
    with pytest.raises(TrainingError, match="2 of 6 networks came to nothing"):
        tampered(monkeypatch, np.nan)


def test_the_report_says_whose_score_it_shows():
    """Who has no held-out row has a say on the test and none in the score."""
    fits = trained()
    assert say_looks(24, fits).endswith(
        " Networks trained on all rows, which no score describes, have 50% of the say on the test."
    )
    assert "100% of the say" in say_looks(0, trained(refit="alone"))
    assert "on the test" not in say_looks(24, trained(refit="none"))
