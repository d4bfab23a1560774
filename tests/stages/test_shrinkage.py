"""What networks add to a forecast is kept as far as it pays: on series of which something, nothing or noise is left."""

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import on_cpu
from panels import panel

from pipeline.errors import ConfigError
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.preprocess import preprocess
from pipeline.stages.shrinkage import shares_of, shrunk_notice
from pipeline.stages.train import train
from pipeline.tabular.bases import base_of, network_target
from pipeline.tabular.targets import to_network
from pipeline.training_settings import Model, Train

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


def said(*, keeps, design=DESIGN):
    """What networks of each fold say [K, N]: so much of what is left."""
    found = np.empty((len(keeps), len(design.target)))
    for fold, keep in enumerate(keeps):
        state = design.target_states[fold]
        zero = -state.mean / state.scale
        found[fold] = zero + keep * (network_target(design, fold) - zero)
    return found


# --- the shares


@pytest.mark.parametrize(("keeps", "share"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.5), (4.0, 0.25), (-1.0, 0.0)])
def test_a_share_undoes_what_was_too_much_and_adds_nothing(keeps, share):
    """Networks that say twice what is left keep half of it; those that say half of it keep it; wrong ones, none."""
    np.testing.assert_allclose(shares_of(DESIGN, said(keeps=[keeps] * K)), share, rtol=1e-9)


def test_folds_that_do_not_agree_leave_less():
    """The pooled share less its standard error, both as a textbook's jackknife of a ratio has them."""
    keeps = [4.0, 2.0, 1.25]
    shares = shares_of(DESIGN, said(keeps=keeps))
    gained, added = [], []
    for fold, (keep, valid) in enumerate(zip(keeps, DESIGN.folds.valid, strict=True)):
        state = DESIGN.target_states[fold]
        left = (network_target(DESIGN, fold)[valid] + state.mean / state.scale) * state.scale
        gained.append(keep * np.sum(left**2))
        added.append(keep**2 * np.sum(left**2))
    for fold, others in enumerate(([1, 2], [0, 2], [0, 1], [0, 1, 2])):
        pooled = sum(gained[i] for i in others) / sum(added[i] for i in others)
        n = len(others)
        left_out = [
            sum(gained[i] for i in others if i != one) / sum(added[i] for i in others if i != one) for one in others
        ]
        error = math.sqrt((n - 1) * np.var(left_out))
        assert 0.01 < error < pooled
        assert shares[fold] == pytest.approx(pooled - error, rel=1e-9)


def test_what_pays_in_one_fold_and_harms_in_others_is_not_kept():
    """On the whole more than half of it pays; but who knows where the test lies."""
    assert shares_of(DESIGN, said(keeps=[1.0, 1.0, -0.6]))[-1] < 0.3


def test_a_row_scored_more_often_makes_no_folds_more():
    """Three folds, each of them four times over as repeats are: about the same error of the share as once."""
    outputs = said(keeps=[2.2, 2.0, 1.8])
    folds = replace(DESIGN.folds, train=DESIGN.folds.train * 4, valid=DESIGN.folds.valid * 4)
    states = (*(DESIGN.target_states[:K] * 4), DESIGN.target_states[K])
    repeated = replace(DESIGN, folds=folds, target_states=states, overlays=DESIGN.overlays * 4)
    once, often = shares_of(DESIGN, outputs)[-1], shares_of(repeated, np.tile(outputs, (4, 1)))[-1]
    pooled = shares_of(DESIGN, said(keeps=[2.0] * K))[-1]
    assert 0.005 < pooled - once < 0.1
    assert pooled - often == pytest.approx(pooled - once, rel=0.2)


@pytest.mark.parametrize("keeps", [[1e8, 0.5, 0.5], [1e-8, 0.5, 0.5], [1e150, 1e-150, 1.0]])
def test_one_fold_beyond_all_others_leaves_a_share(keeps):
    """Sums that differ by all digits a number has."""
    shares = shares_of(DESIGN, said(keeps=keeps))
    assert np.all((shares >= 0) & (shares <= 1))


def test_networks_that_add_nothing_stay_as_they_are():
    """There is nothing to divide by."""
    np.testing.assert_array_equal(shares_of(DESIGN, said(keeps=[0.0] * K)), 1.0)


def test_a_fold_has_no_say_in_its_own_share():
    """Whatever its own rows hold; the last share is of all of them."""
    clean, wild = shares_of(DESIGN, said(keeps=[2.0] * K)), shares_of(DESIGN, said(keeps=[50.0, *[2.0] * (K - 1)]))
    assert wild[0] == clean[0]
    assert np.all(wild[1:] < clean[1:])


def test_with_repeats_a_fold_has_no_say_through_the_others_either():
    """Those of other repeats score its rows too: these are left out."""
    design = preprocess(
        panel(days=70), preprocess=Preprocess(), target=Target(difference="last"), metric="mae",
        folds=FoldSettings(kind="kfold", count=2, repeats=2),
    )  # fmt: skip
    clean = said(keeps=[2.0] * 4, design=design)
    wild = clean.copy()
    wild[:, design.folds.valid[0]] *= 30
    before, after = shares_of(design, clean), shares_of(design, wild)
    assert before[0] == after[0]
    assert np.all(after[1:4] < before[1:4])


def test_one_fold_alone_chooses_its_own_share():
    """There are no others, and that is said."""
    folds = replace(DESIGN.folds, train=DESIGN.folds.train[:1], valid=DESIGN.folds.valid[:1])
    shares = shares_of(replace(DESIGN, folds=folds), said(keeps=[2.0] * K)[:1])
    np.testing.assert_allclose(shares, [0.5, 0.5])
    assert "is kept: 50%, as much as paid on the rows that the one fold scores, whose score it flatters" in told(shares)


def test_a_row_beyond_all_numbers_has_no_say():
    """One that is not finite, or whose square is not."""
    wild = said(keeps=[2.0] * K)
    wild[0, DESIGN.folds.valid[0][:3]] = [np.inf, np.nan, 1e200]
    np.testing.assert_allclose(shares_of(DESIGN, wild), 0.5, rtol=1e-9)


def told(shares, *, refit="none"):
    return shrunk_notice(DESIGN, np.array(shares), refit).text


@pytest.mark.parametrize(
    ("shares", "refit", "wanted"),
    [
        ([0.9, 0.2, 0.5, 0.6], "none",
         "20% to 90%, as much as paid on rows that only other folds score, less a standard error"),
        ([0.5, 0.501, 0.5, 0.9], "none",
         "50%, as much as paid on rows that only other folds score, less a standard error"),
        ([0.9, 0.2, 0.6], "none", "20% to 90%, as much as paid on rows that only other folds score"),
        ([0.1, 0.2, 0.3, 0.9], "alone",
         "90% by those trained on all rows, as much as paid on what folds score, less a standard error"),
        ([0.1, 0.9], "alone", "90% by those trained on all rows, as much as paid on what folds score"),
        ([0.9, 0.2, 0.5, 0.6], "beside",
         ("60% by those trained on all rows, as much as paid on what folds score, less a standard error; 20% to 90% by "
          "those of folds, as much as paid on rows that only other folds score, less a standard error")),
    ],
)  # fmt: skip
def test_what_is_told_is_kept_by_those_that_forecast_the_test(shares, refit, wanted):
    """The folds' own shares from least to most, or one where they agree; that of refits. Of two, each has one other."""
    assert told(shares, refit=refit) == f"of what networks add to y, latest known is kept: {wanted} (train.shrink)"


# --- in a training


def outputs_in(fits):
    """What networks said: the metric asks for no transform, so that they can be had from predictions."""
    folds, rows = range(K), np.arange(N)
    states = DESIGN.target_states
    return np.stack([to_network(states[k], fits.fold_predictions[k], base_of(DESIGN, k, rows)) for k in folds])


def test_shrunk_networks_say_a_share_of_what_they_said():
    """Predictions of all rows, the test's too, lie on the line from the base to what was said before."""
    before, after = trained(lr=0.1, epochs=4), trained(lr=0.1, epochs=4, shrink=True)
    shares = shares_of(DESIGN, outputs_in(before))
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
    share = shares_of(DESIGN, outputs_in(before))[-1]
    base = DESIGN.rows.base[N:]
    np.testing.assert_allclose(after.test_predictions, base + share * (before.test_predictions - base), rtol=1e-5)


def test_without_a_forecast_there_is_nothing_to_shrink_to():
    """The same training, to the bit."""
    design = design_of("none")
    plain, asked = trained(design), trained(design, shrink=True)
    np.testing.assert_array_equal(plain.test_predictions, asked.test_predictions)


def test_a_loss_in_logarithms_has_no_forecast_to_be_shrunk_to():
    """A sentence, before anything is trained: it wants the target whole."""
    with pytest.raises(ConfigError, match=r'"poisson" needs counts .*target\.difference = "none"'):
        trained(design_of(standardize=False), shrink=True, loss="poisson")


def test_outputs_that_are_far_out_do_not_harm_a_network():
    """Under a log target predictions come back from minus infinity; shares are made of outputs."""
    design = preprocess(
        panel(days=70, metric="rmsle"), preprocess=Preprocess(), target=Target(difference="last"), metric="rmsle",
        folds=FoldSettings(count=3),
    )  # fmt: skip
    settings = Train(**(SHORT.model_dump() | {"lr": 30.0, "optimizer": "sgd", "clip_norm": 0.5, "shrink": True}))
    fits = train(design, model=MODEL, train=settings, metric="rmsle", runtime=on_cpu("fp64"))
    assert np.isfinite(fits.test_predictions).all()
