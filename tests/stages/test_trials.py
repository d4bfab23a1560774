"""What is known of a trial in flight: the mean of its networks, when the study hears of it, and what it predicts."""

import numpy as np
import pytest
from builders import generated_dataset, on_cpu

from pipeline.search_settings import Range, Search
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.pool import Pool
from pipeline.stages.preprocess import preprocess
from pipeline.stages.setups import Quest, Setup
from pipeline.stages.spaces import as_it_stands
from pipeline.stages.train import train
from pipeline.stages.trials import REPORTS, Curves, step_of
from pipeline.training_settings import Model, Train
from tests.stages.studies import InMemory


def test_a_mean_is_known_once_every_network_has_come_to_the_epoch():
    """Two networks, the second one epoch behind."""
    curves = Curves(networks=2, epochs=3)
    curves.add(0, 1, 1.0)
    assert list(curves.means()) == []
    curves.add(0, 2, 0.5)
    curves.add(1, 1, 3.0)
    assert list(curves.means()) == [(1, 2.0)]
    curves.add(1, 2, 1.5)
    assert list(curves.means()) == [(2, 1.0)]


def test_a_network_counts_with_its_best_so_far_where_that_is_restored():
    """Losses that go up again after epoch 1: the best stays; without restoring, the last."""
    for restore_best, wanted in ((True, [1.0, 1.0, 0.5]), (False, [1.0, 4.0, 0.5])):
        curves = Curves(networks=1, epochs=4, restore_best=restore_best)
        for epoch, value in enumerate((1.0, 4.0, 0.5), 1):
            curves.add(0, epoch, value)
        assert list(curves.means()) == list(enumerate(wanted, 1))


def test_a_loss_that_is_no_number_leaves_the_best_so_far():
    """An epoch that could not be scored, and one after it."""
    curves = Curves(networks=1, epochs=3)
    for epoch, value in enumerate((2.0, np.nan, 3.0), 1):
        curves.add(0, epoch, value)
    assert [mean for _, mean in curves.means()] == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(("restore_best", "later"), [(True, 2.0), (False, 4.5)])
def test_a_network_that_stopped_early_counts_as_its_weights_do(restore_best, later):
    """Those of its best epoch, or of its last; another network goes on and gets worse."""
    curves = Curves(networks=2, epochs=3, restore_best=restore_best)
    curves.add(0, 1, 1.0)
    curves.add(1, 1, 3.0)
    curves.end(1, np.array([3.0, 5.0]))
    assert list(curves.means()) == [(1, 2.0)]
    curves.add(0, 2, 4.0)
    assert list(curves.means()) == [(2, later)]


def test_networks_one_after_the_other_are_reported_in_order():
    """Five places for six networks: the last one's epochs come when the others have long ended."""
    curves = Curves(networks=2, epochs=2)
    for epoch, value in ((1, 1.0), (2, 2.0)):
        curves.add(0, epoch, value)
    curves.end(0, np.array([1.0, 2.0]))
    for epoch, value in ((1, 3.0), (2, 4.0)):
        curves.add(1, epoch, value)
    assert [epoch for epoch, _ in curves.means()] == [1, 2]


@pytest.mark.parametrize("epochs", [1, 2, 19, 20, 21, 150, 1000])
def test_the_study_hears_of_a_trial_a_bounded_number_of_times(epochs):
    """Evenly, never of the last epoch, whose score is told as the trial's own."""
    told = [epoch for epoch in range(1, epochs + 1) if step_of(epoch, epochs, epochs)]
    assert [step_of(epoch, epochs, epochs) for epoch in told] == told
    assert len(told) <= REPORTS
    assert epochs not in told
    assert len(told) >= min(epochs - 1, REPORTS // 2)


def test_trainings_of_other_lengths_are_compared_at_equal_shares():
    """Half and twice the epochs report at the steps of a hundred, in order, at the same share of their own."""
    for epochs in (50, 100, 200):
        told = {step_of(epoch, epochs, 100): epoch / epochs for epoch in range(1, epochs + 1)}
        told.pop(0)
        assert list(told) == list(range(5, 100, 5))
        assert all(abs(share - step / 100) <= 1 / epochs for step, share in told.items())


# --- predictions

DATASET = generated_dataset(60)
FOLDS = FoldSettings(count=3)
WAYS = {
    "plain": (Preprocess(), Target()),
    "whitened, log": (Preprocess(scaler="pca_whiten"), Target(transform="log")),
    "one fit for all, raw": (Preprocess(fit_on="all"), Target(transform="none", standardize=False)),
    "gaps dropped, Yeo-Johnson": (Preprocess(impute="drop"), Target(transform="yeojohnson")),
}
SPACE = {"train.lr": Range(log=(1e-3, 1e-1))}


def trained_in_a_search(setup, *, precision="fp32", trials=1, seeds=1):
    """What the session was handed for the first trial, which is the setup itself."""
    search = Search(space=SPACE, parallel=trials, seeds=seeds, pruner="none")
    session = InMemory(trials)
    session.begin(as_it_stands(setup.values, search.space))
    runtime = on_cpu(precision)
    Pool(Quest(DATASET, setup, search, FOLDS, "rmse", runtime), session).run()
    return next(event for event in session.of("complete") if event[1] == 0)[3], runtime.compute


def trained_alone(setup, *, precision="fp32", seeds=1):
    """By the stage that trains."""
    design = preprocess(DATASET, preprocess=setup.preprocess, target=setup.target, folds=FOLDS, metric="rmse")
    own = setup.train.model_copy(update={"seeds": seeds})
    return train(design, model=setup.model, train=own, metric="rmse", runtime=on_cpu(precision))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize("way", WAYS)
def test_a_trial_predicts_what_its_configuration_predicts_when_it_is_trained_alone(way, precision):
    """Test rows and out-of-fold rows, bit for bit: each fold's networks, back in the target's own scale."""
    setup = Setup(*WAYS[way], Model(width=5, depth=1, dropout=0.1), Train(epochs=4, batch_size=16, lr=0.02))
    trained, compute = trained_in_a_search(setup, precision=precision)
    fits = trained_alone(setup, precision=precision)
    assert trained.test(compute).tobytes() == fits.test_predictions.tobytes()
    assert trained.held_out().tobytes() == fits.seed_oof.mean(0).tobytes()


@pytest.mark.usefixtures("one_thread")
def test_seeds_are_averaged_as_training_averages_them():
    """Two of them: only the order of networks in the pack is another, which a last bit may show."""
    setup = Setup(Preprocess(), Target(transform="log"), Model(width=5, depth=1), Train(epochs=4, lr=0.02))
    trained, compute = trained_in_a_search(setup, precision="fp64", seeds=2)
    fits = trained_alone(setup, precision="fp64", seeds=2)
    assert trained.test(compute) == pytest.approx(fits.test_predictions, rel=1e-12)
    assert trained.held_out() == pytest.approx(fits.seed_oof.mean(0), rel=1e-12)


@pytest.mark.usefixtures("one_thread")
def test_company_changes_no_trials_predictions():
    """Four trials in one pack, in double precision."""
    setup = Setup(Preprocess(), Target(), Model(width=5, depth=1), Train(epochs=4, batch_size=16, lr=0.02))
    trained, compute = trained_in_a_search(setup, precision="fp64", trials=4)
    fits = trained_alone(setup, precision="fp64")
    assert trained.test(compute) == pytest.approx(fits.test_predictions, rel=1e-9)


@pytest.mark.usefixtures("one_thread")
def test_a_refit_and_further_seeds_of_the_training_change_nothing_of_a_trial():
    """A search trains folds, with `search.seeds`: its test predictions are theirs."""
    plain = Setup(Preprocess(), Target(), Model(width=5, depth=1), Train(epochs=2, batch_size=16, lr=0.02))
    refit = Setup(
        plain.preprocess, plain.target, plain.model, plain.train.model_copy(update={"refit": True, "seeds": 3})
    )
    (one, compute), (other, _) = trained_in_a_search(plain, seeds=2), trained_in_a_search(refit, seeds=2)
    assert len(other.jobs) == 6
    assert np.array_equal(one.test(compute), other.test(compute))
