"""Trials in flight: scored as if alone, given up together, their places taken by the next."""

from dataclasses import replace

import numpy as np
import pytest
from builders import generated_dataset, on_cpu
from optuna.trial import TrialState

from pipeline.errors import ConfigError
from pipeline.runtime import hear_nothing
from pipeline.search_settings import Range, Search
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages import pool as module
from pipeline.stages.pool import Pool
from pipeline.stages.setups import Quest, Setup
from pipeline.stages.spaces import as_it_stands
from pipeline.stages.train import train
from pipeline.tabular.metrics import rmse
from pipeline.training_settings import Model, Train
from tests.stages.studies import InMemory

pytestmark = pytest.mark.usefixtures("one_thread")

DATASET = generated_dataset(60)
BASE = Setup(
    Preprocess(),
    Target(),
    Model(width=4, depth=1, dropout=0.1),
    Train(lr=0.01, weight_decay=0.1, epochs=6, batch_size=16),
)
SPACE = {
    "train.lr": Range(log=(1e-3, 1e-1)),
    "model.width": Range(choice=(3, 4)),
    "model.depth": Range(integer=(1, 2)),
    "preprocess.scaler": Range(choice=("zscore", "minmax")),
}


def searched(session, base=BASE, space=None, on_flights=hear_nothing, **settings):
    """Every trial of the session trained, in double precision."""
    search = Search(space=space or SPACE, **{"parallel": 4, **settings})
    session.begin(as_it_stands(base.values, search.space))
    quest = Quest(DATASET, base, search, FoldSettings(count=3), "rmse", on_cpu("fp64"), on_flights)
    Pool(quest, session).run()
    return session


def trained_alone(setup):
    """The pooled out-of-fold score of the same settings, by the stage that trains them."""
    from pipeline.stages.preprocess import preprocess

    folds = FoldSettings(count=3)
    design = preprocess(DATASET, preprocess=setup.preprocess, target=setup.target, folds=folds, metric="rmse")
    fits = train(design, model=setup.model, train=setup.train, metric="rmse", runtime=on_cpu("fp64"))
    return rmse(design.target[design.folds.scored_rows], fits.seed_oof[0])


@pytest.fixture(scope="module")
def session():
    return searched(InMemory(9))


def test_every_trial_is_told_once_and_scores_what_training_it_alone_scores(session):
    """Nine trials of two depths, widths and scalers, four in flight: whatever company they had."""
    complete = session.study.get_trials(states=(TrialState.COMPLETE,))
    assert sorted(event[1] for event in session.of("complete")) == list(range(9))
    assert len({(t.params["model.depth"], t.params["preprocess.scaler"]) for t in complete}) == 4
    for trial in complete:
        assert trial.value == pytest.approx(trained_alone(BASE.with_values(trial.params)), rel=1e-7)


def test_the_first_trial_is_the_configuration_as_it_stands(session):
    """So that a sweep can only improve on what the user has."""
    assert session.study.trials[0].params == {
        "train.lr": 0.01,
        "model.width": 4,
        "model.depth": 1,
        "preprocess.scaler": "zscore",
    }


def test_never_more_trials_are_in_flight_than_asked_for(session):
    """Four at a time; and as one ends the next is asked for, before all four have ended."""
    flying, most, refilled = set(), 0, False
    for event in session.events:
        if event[0] == "ask":
            refilled |= bool(flying) and most == 4
            flying.add(event[1])
        elif event[0] == "complete":
            flying.remove(event[1])
        most = max(most, len(flying))
    assert most == 4
    assert refilled


def test_the_mean_over_the_folds_begun_is_reported_as_epochs_end(session):
    """Of trial 0 at fifths of its legs: the first fold's best loss so far, then the mean over all three."""
    _, _, _, trained = next(event for event in session.of("complete") if event[1] == 0)
    best = np.minimum.accumulate([fitted.curve.valid for fitted in trained.fitted], axis=1)
    first, both = best[0], [(best[0, -1] + best[1:, epoch].sum()) / 3 for epoch in range(6)]
    expected = dict(zip((7, 13, 20, 27, 33), first[1:], strict=True)) | dict(
        zip((47, 60, 73, 87), both[1:5], strict=True)
    )
    reports = {step: score for _, number, step, score in session.of("report") if number == 0}
    assert reports == {step: pytest.approx(score) for step, score in expected.items()}


def test_one_fold_goes_ahead_and_the_others_follow_where_it_is_not_given_up():
    """Two trials: the second's first fold is the only one of it that trains, to its end; the first's are all scored."""
    trained = []

    class Told(InMemory):
        def report(self, trial, step, score):
            trained.append((trial.number, step))
            return super().report(trial, step, score)

    session = searched(Told(2, over=lambda number, step, _: number == 1 and step == 33))
    assert session.of("give up") == [("give up", 1)]
    assert [step for number, step in trained if number == 1] == [7, 13, 20, 27, 33]
    assert [step for number, step in trained if number == 0][-1] == 87
    [(_, number, score, _)] = session.of("complete")
    assert number == 0
    assert score == pytest.approx(trained_alone(BASE), rel=1e-7)


def test_all_folds_train_at_once_where_nobody_is_to_go_ahead():
    """Or nobody is given up: the mean of all three is what is reported, from the first."""
    for settings in ({"ahead": 1.0}, {"pruner": "none"}):
        session = searched(InMemory(2), **settings)
        assert {step for _, _, step, _ in session.of("report")} == {20, 40, 60, 80}


def test_nobody_is_given_up_before_the_warm_up_is_over():
    """Of each leg: the pruner, which would give everybody up, is asked from two fifths of the first one on."""
    session = searched(InMemory(2, over=lambda number, *_: number == 1))
    assert [step for _, number, step, _ in session.of("report") if number == 1] == [7, 13]
    late = searched(InMemory(2, over=lambda number, *_: number == 1), warmup_share=0.9)
    assert [step for _, number, step, _ in late.of("report") if number == 1] == [7, 13, 20, 27, 33]


def test_the_fold_that_says_most_goes_ahead():
    """It scores most rows; of equal ones, as of blocks in time, the one that learns from most."""
    base = Setup(BASE.preprocess, BASE.target, BASE.model, BASE.train)
    quest = Quest(DATASET, base, Search(space=SPACE), FoldSettings(count=3), "rmse", on_cpu("fp64"), hear_nothing)
    pool = Pool(quest, InMemory(1))
    design = pool.benches.design_of(base)
    train, valid = design.folds.train, design.folds.valid
    for changed, order in (
        ({"train": (train[0][:5], train[1][:9], train[2])}, [2, 1, 0]),
        ({"valid": (valid[0][:5], valid[1], valid[2][:9])}, [1, 2, 0]),
    ):
        own = replace(design, folds=replace(design.folds, **changed))
        pool.benches.design_of = lambda _, own=own: own
        assert [job.fold for job in pool._live(InMemory(1).ask(1)[0]).jobs] == order


def test_a_leg_that_stops_early_is_judged_when_it_has_stopped():
    """Patience ends every network; the trial that is given up at its first leg's end trains no other fold."""
    base = Setup(BASE.preprocess, BASE.target, BASE.model, BASE.train.model_copy(update={"patience": 1, "epochs": 60}))
    session = searched(InMemory(2, over=lambda number, step, _: number == 1 and step == 33), base, parallel=1)
    assert session.of("give up") == [("give up", 1)]
    [(_, _, _, trained)] = session.of("complete")
    assert any(fitted.curve.stopped == "patience" for fitted in trained.fitted)


def test_a_trial_that_is_given_up_leaves_at_once_and_changes_no_other():
    """Every second trial ends at its fourth epoch; the others score what they score alone, and all are tried."""
    session = searched(InMemory(8, over=lambda number, step, _: number % 2 == 1 and step == 20))
    assert sorted(event[1] for event in session.of("give up")) == [1, 3, 5, 7]
    assert max(event[2] for event in session.of("report") if event[1] == 1) == 20
    complete = session.study.get_trials(states=(TrialState.COMPLETE,))
    assert [trial.number for trial in complete] == [0, 2, 4, 6]
    for trial in complete:
        assert trial.value == pytest.approx(trained_alone(BASE.with_values(trial.params)), rel=1e-7)


def test_places_of_a_trial_that_is_given_up_are_taken_by_the_next():
    """One program, two trials side by side: with the second given up the third begins while the first still trains."""
    space = {"train.lr": SPACE["train.lr"]}
    session = searched(InMemory(3, over=lambda number, step, _: number == 1 and step == 20), space=space, parallel=2)
    kinds = [(event[0], event[1]) for event in session.events if event[0] in ("ask", "complete", "give up")]
    assert kinds.index(("ask", 2)) < kinds.index(("complete", 0))
    assert kinds.index(("give up", 1)) < kinds.index(("ask", 2))


def test_seeds_of_a_trial_are_averaged_before_they_are_scored():
    """Two seeds: the score is that of the mean of their predictions."""
    session = searched(InMemory(1), seeds=2)
    design_score = session.study.best_value
    from pipeline.stages.preprocess import preprocess

    design = preprocess(
        DATASET, preprocess=BASE.preprocess, target=BASE.target, folds=FoldSettings(count=3), metric="rmse"
    )
    two = BASE.train.model_copy(update={"seeds": 2})
    fits = train(design, model=BASE.model, train=two, metric="rmse", runtime=on_cpu("fp64"))
    expected = rmse(design.target[design.folds.scored_rows], fits.seed_oof.mean(0))
    assert design_score == pytest.approx(expected, rel=1e-7)


def test_a_trial_that_diverges_says_why_and_the_others_are_scored():
    """A rate of 1e37 beside the configuration's own: only the first has a cause, with network and setting."""
    wild = InMemory(2)
    wild.study.enqueue_trial({"train.lr": 1e37})
    searched(wild, space={"train.lr": Range(choice=(0.01, 1e37))})
    [(_, number, cause)] = wild.of("fail")
    assert number == 0
    assert "a learning rate that is too high" in cause
    assert [event[1] for event in wild.of("complete")] == [1]


def test_settings_that_do_not_go_together_end_a_trial_and_not_the_sweep():
    """A Poisson loss wants a raw target: told as failed with the sentence that training would have given."""
    space = {"train.loss": Range(choice=("mse", "poisson"))}
    session = InMemory(3)
    session.study.enqueue_trial({"train.loss": "mse"})
    session.study.enqueue_trial({"train.loss": "poisson"})
    searched(session, space=space)
    [(_, number, cause)] = session.of("fail")
    assert number == 1
    assert "poisson" in cause
    assert len(session.of("complete")) == 2


def test_a_configuration_that_cannot_train_at_all_is_an_error():
    """Not a sweep full of failures."""
    base = Setup(BASE.preprocess, BASE.target, BASE.model, BASE.train.model_copy(update={"loss": "poisson"}))
    with pytest.raises(ConfigError, match="poisson"):
        searched(InMemory(3), base=base, space={"train.lr": SPACE["train.lr"]})


def test_a_pack_holds_whole_trials_where_it_can(monkeypatch):
    """Seven places and three folds: two trials side by side, so that their folds end together."""
    found = []
    real = module.serve

    def serve(supply, like, data, *, watch, slots):
        found.append(slots)
        real(supply, like, data, watch=watch, slots=slots)

    monkeypatch.setattr(module, "serve", serve)
    base = Setup(BASE.preprocess, BASE.target, BASE.model, BASE.train.model_copy(update={"pack_size": 7}))
    searched(InMemory(2), base=base, space={"train.lr": SPACE["train.lr"]})
    assert set(found) == {6}


def test_how_far_trials_in_flight_are_is_told_from_their_first_epoch_to_their_last():
    """Three networks of six epochs: never backwards, almost at the sixth before the end; the given up fall silent."""
    heard, told = {}, []

    def hear(flights):
        told.append({flight.trial for flight in flights})
        for flight in flights:
            heard.setdefault(flight.trial, []).append(flight)

    session = searched(InMemory(5, over=lambda trial, step, _: trial == 2 and step == 20), on_flights=hear, parallel=2)
    assert [event[1] for event in session.of("give up")] == [2]
    assert sorted(heard) == list(range(5))
    for trial, flights in heard.items():
        epochs = [flight.epochs for flight in flights]
        assert epochs[0] == 0 if trial < 2 else epochs[0] <= 1
        assert epochs == sorted(epochs)
        # one fold goes ahead; its epochs are a third of the trial's
        assert {(flight.networks, flight.of) for flight in flights} == ({(1, 6)} if trial == 2 else {(1, 6), (3, 6)})
        assert 5 <= epochs[-1] <= 6 if trial != 2 else epochs[-1] <= 2
    assert max(map(len, told)) == 2


def test_a_trial_too_large_for_memory_fails_and_the_others_go_on(monkeypatch):
    """The engine has given up on its pack: the widest is told with its sentence, the others train."""
    import pipeline.stages.pool as module
    from pipeline.errors import TrainingError

    real = module.serve

    def short_of_memory(supply, like, data, **options):
        if any(one.network.hidden == (64,) for one in like):
            raise TrainingError("does not fit")
        return real(supply, like, data, **options)

    monkeypatch.setattr(module, "serve", short_of_memory)
    session = InMemory(5)
    base = BASE.with_values({"model.width": 8, "model.depth": 1})
    searched(session, base, {"model.width": Range(choice=(8, 64))}, parallel=3)
    failed = {trial for _, trial, cause in session.of("fail") if cause == "does not fit"}
    wide = {trial.number for trial in session.study.trials if trial.params["model.width"] == 64}
    assert failed == wide
    assert wide
    assert len(session.of("complete")) == 5 - len(wide)


def test_the_configuration_itself_too_large_is_an_error(monkeypatch):
    """Nothing can be compared with it."""
    import pipeline.stages.pool as module
    from pipeline.errors import TrainingError

    def short_of_memory(*_, **__):
        raise TrainingError("does not fit")

    monkeypatch.setattr(module, "serve", short_of_memory)
    with pytest.raises(TrainingError, match="does not fit"):
        searched(InMemory(3))


def test_a_trial_between_its_legs_is_compared_once_more():
    """Trial 1 ends its first fold unharmed, and is hopeless when its turn comes again: no other fold of it trains."""
    space = {"model.depth": Range(choice=(1, 2, 3))}
    asked = []

    def over(number, step, _):
        if number != 1 or step != 33:
            return False
        asked.append(step)
        return len(asked) > 1

    session = InMemory(3, over=over)
    for depth in (1, 2, 3):
        session.study.enqueue_trial({"model.depth": depth})
    searched(session, space=space, parallel=3)
    assert len(asked) == 2
    assert session.of("give up") == [("give up", 1)]
    assert max(event[2] for event in session.of("report") if event[1] == 1) == 33


def test_trials_that_have_only_begun_come_before_the_second_leg_of_another_program():
    """Three depths, three packs: all first folds are trained before any trial's others."""
    session = InMemory(3)
    for depth in (1, 2, 3):
        session.study.enqueue_trial({"model.depth": depth})
    searched(session, space={"model.depth": Range(choice=(1, 2, 3))}, parallel=3)
    later = [step > 33 for _, _, step, _ in session.of("report")]
    assert later == sorted(later)
    assert sum(later) == 12
