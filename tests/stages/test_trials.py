"""What a trial predicts once it is over: what training its configuration alone does."""

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
from pipeline.training_settings import Model, Train
from tests.stages.studies import InMemory

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
    """What the session was handed for the first trial, which is the setup itself.

    All networks at once, as training alone has them: company changes last bits.
    """
    search = Search(space=SPACE, parallel=trials, seeds=seeds, pruner="none", ahead=1.0)
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
        plain.preprocess, plain.target, plain.model, plain.train.model_copy(update={"refit": "alone", "seeds": 3})
    )
    (one, compute), (other, _) = trained_in_a_search(plain, seeds=2), trained_in_a_search(refit, seeds=2)
    assert len(other.jobs) == 6
    assert np.array_equal(one.test(compute), other.test(compute))
