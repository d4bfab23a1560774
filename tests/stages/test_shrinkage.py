"""What networks add to a forecast is kept as far as it pays: on series of which something, nothing or noise is left."""

from dataclasses import replace

import numpy as np
import pytest
from builders import on_cpu
from panels import panel

from pipeline.errors import ConfigError
from pipeline.settings import FoldSettings, Model, Preprocess, Target, Train
from pipeline.stages.preprocess import preprocess
from pipeline.stages.shrinkage import shares_of
from pipeline.stages.train import train
from pipeline.tabular.bases import base_of, network_target, predictions

pytestmark = pytest.mark.usefixtures("one_thread")

MODEL = Model(width=8, depth=1, activation="relu")
SHORT = Train(epochs=2, batch_size=32, seeds=2)


def design_of(difference="last", **options):
    return preprocess(
        panel(days=70),
        preprocess=Preprocess(),
        target=Target(**({"difference": difference} | options)),
        folds=FoldSettings(count=3),
        metric="mae",
    )


DESIGN = design_of()
K, N = DESIGN.folds.count, len(DESIGN.target)


def trained(design=DESIGN, *, model=MODEL, **changes):
    settings = Train(**(SHORT.model_dump() | changes))
    return train(design, model=model, train=settings, metric="mae", runtime=on_cpu("fp64"))


def said(*, keeps, noise=0.0):
    """Predictions of each fold [K, N]: the base, so much of what is left, and noise of that size of its own."""
    draw = np.random.default_rng(0)
    found = np.empty((K, N))
    for fold in range(K):
        left = network_target(DESIGN, fold)
        zero = -DESIGN.target_states[fold].mean / DESIGN.target_states[fold].scale
        outputs = zero + keeps[fold] * (left - zero) + noise * draw.normal(size=N)
        found[fold] = predictions(DESIGN, fold, slice(N), outputs)
    return found


# --- the shares


@pytest.mark.parametrize(("keeps", "share"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.5), (4.0, 0.25), (-1.0, 0.0)])
def test_a_share_undoes_what_was_too_much_and_adds_nothing(keeps, share):
    """Networks that say twice what is left keep half of it; those that say half of it keep it; wrong ones, none."""
    np.testing.assert_allclose(shares_of(DESIGN, said(keeps=[keeps] * K)), share, rtol=1e-9)


def test_networks_that_add_nothing_stay_as_they_are():
    """There is nothing to divide by."""
    np.testing.assert_array_equal(shares_of(DESIGN, said(keeps=[0.0] * K)), 1.0)


def test_a_fold_has_no_say_in_its_own_share():
    """Whatever its own rows hold; the last share is of all of them."""
    clean, wild = shares_of(DESIGN, said(keeps=[2.0] * K)), shares_of(DESIGN, said(keeps=[50.0, *[2.0] * (K - 1)]))
    assert wild[0] == clean[0]
    assert np.all(wild[1:] < clean[1:])


def test_one_fold_alone_chooses_its_own_share():
    """There are no others."""
    folds = replace(DESIGN.folds, train=DESIGN.folds.train[:1], valid=DESIGN.folds.valid[:1])
    np.testing.assert_allclose(shares_of(replace(DESIGN, folds=folds), said(keeps=[2.0] * K)[:1]), [0.5, 0.5])


# --- in a training


def test_shrunk_networks_say_a_share_of_what_they_said():
    """Predictions of all rows, the test's too, lie on the line from the base to what was said before."""
    before, after = trained(lr=0.1, epochs=4), trained(lr=0.1, epochs=4, shrink=True)
    shares = shares_of(DESIGN, before.fold_predictions)
    assert 0 < shares[-1] < 1
    for fold in range(K):
        base = base_of(DESIGN, fold, np.arange(N))
        base = np.where(np.isfinite(base), base, DESIGN.target_states[fold].fallback)
        wanted = base + shares[fold] * (before.fold_predictions[fold] - base)
        np.testing.assert_allclose(after.fold_predictions[fold], wanted, rtol=1e-5)
    base = DESIGN.rows.base[N:]
    jobs = len(before.jobs) // K
    assert jobs == 2
    wanted = base + np.mean(shares[:K]) * (before.test_predictions - base)
    np.testing.assert_allclose(after.test_predictions, wanted, rtol=0.02)
    assert any("is kept" in notice.text for notice in after.notices)
    assert not any("is kept" in notice.text for notice in before.notices)


def test_the_pooled_error_of_held_out_rows_is_hardly_ever_worse():
    """In the units in which shares are chosen, against what is taken alone."""
    after = trained(shrink=True, lr=0.3)  # a rate at which they overdo it
    rows, folds = DESIGN.folds.scored_rows, DESIGN.folds.scored_folds
    base = np.concatenate([base_of(DESIGN, fold, DESIGN.folds.valid[fold]) for fold in range(K)])
    order = np.concatenate(DESIGN.folds.valid)
    taken = dict(zip(order.tolist(), base.tolist(), strict=True))
    ours = after.fold_predictions[folds, rows] - DESIGN.target[rows]
    alone = np.array([taken[row] for row in rows.tolist()]) - DESIGN.target[rows]
    known = np.isfinite(alone)
    assert np.square(ours[known]).mean() <= 1.02 * np.square(alone[known]).mean()


def test_the_refit_has_the_share_of_all_folds():
    """Nobody scored its rows but they."""
    before, after = trained(refit=True), trained(refit=True, shrink=True)
    share = shares_of(DESIGN, before.fold_predictions)[-1]
    base = DESIGN.rows.base[N:]
    np.testing.assert_allclose(after.test_predictions, base + share * (before.test_predictions - base), rtol=1e-5)


@pytest.mark.parametrize(
    ("design", "model", "changes", "words"),
    [
        (design_of("none"), MODEL, {}, r"train\.shrink = true shrinks networks towards what target\.difference takes"),
        (design_of(standardize=False), MODEL, {"loss": "poisson"}, r"does not go with a loss with a log link"),
    ],
)
def test_what_cannot_be_shrunk_is_a_sentence(design, model, changes, words):
    """Before anything is trained."""
    with pytest.raises(ConfigError, match=words):
        trained(design, model=model, shrink=True, **changes)
