"""The search stage on a small table: what comes first, what is an error, and who wins on fresh folds."""

import pytest
from builders import generated_dataset, on_cpu
from optuna.trial import TrialState

from pipeline.errors import TrainingError
from pipeline.outcomes import Standing
from pipeline.search_settings import Range, Search
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages import finalists as module
from pipeline.stages.finalists import fresh_folds
from pipeline.stages.search import examples, search
from pipeline.stages.setups import Quest, Setup
from pipeline.training_settings import Model, Train
from tests.stages.studies import InMemory

pytestmark = pytest.mark.usefixtures("one_thread")

DATASET = generated_dataset(60)
TRAIN = Train(lr=0.02, weight_decay=0.1, epochs=4, batch_size=16)
BASE = Setup(Preprocess(), Target(), Model(width=4, depth=1, dropout=0.0), TRAIN)
SPACE = {"train.lr": Range(log=(1e-3, 1e-1)), "model.width": Range(choice=(3, 4))}


def run(session, base=BASE, space=None, folds=None, **settings):
    """Search with the session, in double precision."""
    options = Search(space=space or SPACE, **{"parallel": 3, "finalists": 2, "repeats": 2, **settings})
    quest = Quest(DATASET, base, options, folds or FoldSettings(count=3), "rmse", on_cpu("fp64"))
    return search(quest, session)


@pytest.fixture(scope="module")
def found():
    session = InMemory(6)
    return session, run(session)


def test_the_winner_is_the_best_finalist_on_fresh_folds(found):
    """The best trial, one unlike it and the first were scored again, the better ones twice; the smallest mean wins."""
    session, winner = found
    best = sorted(session.study.get_trials(states=(TrialState.COMPLETE,)), key=lambda trial: trial.value)
    assert {best[0].number, 0} <= {one.trial for one in winner.finalists}
    assert len(winner.finalists) in {2, 3}, "the first may be the one unlike it"
    won = min((one for one in winner.finalists if len(one.again) == 2), key=lambda one: sum(one.again))
    assert (winner.trial, winner.score, winner.values) == (won.trial, won.score, won.values)
    assert winner.optimism == pytest.approx(sum(won.again) / 2 - won.score)
    assert winner.trials == 6


def test_half_of_the_finalists_are_unlike_the_others():
    """The best are clones of one another; three of other kinds are in the better half, and one below it is not."""
    alike = [Standing(n, {"train.lr": 0.008 + n / 1e5, "model.width": 3}, n / 10) for n in range(9)]
    unlike = Standing(9, {"train.lr": 0.02, "model.width": 4}, 0.9)
    far = Standing(10, {"train.lr": 0.1, "model.width": 3}, 1.0)
    last = Standing(11, {"train.lr": 0.0011, "model.width": 4}, 1.1)
    worse = [Standing(n, {"train.lr": 0.0005, "model.width": 3}, n / 10) for n in range(12, 24)]
    order = [*alike, unlike, far, last, *worse]

    def numbers(finalists):
        return [one.trial for one in module._chosen(BASE, order, Search(space=SPACE, finalists=finalists))]

    assert numbers(4) == [0, 1, 9, 10]
    assert numbers(8) == [0, 1, 2, 3, 4, 9, 10, 11], "the fifth as it comes, for nobody else is unlike all others"
    assert numbers(1) == [0]
    assert numbers(100) == list(range(24))
    assert numbers(0) == []


def test_a_value_that_a_phase_did_not_name_is_the_configurations():
    """Trials of a guided plan name what their phase varied: the very same setup is not unlike itself."""
    order = [Standing(0, {"train.lr": 0.02}, 0.1), Standing(1, {"model.width": 4, "train.lr": 0.02}, 0.2)]
    other = Standing(2, {"model.width": 3}, 0.3)
    further = [Standing(n, {"train.lr": 0.02}, n / 10) for n in (3, 4, 5)]
    chosen = module._chosen(BASE, [*order, other, *further], Search(space=SPACE, finalists=2))
    assert [one.trial for one in chosen] == [0, 2]


def test_finalists_race_and_the_better_half_goes_on():
    """Five on the first fresh split, three on the next, two on the last; what stands is on all of them."""
    winner = run(InMemory(6), BASE.with_values({"train.lr": 1e-3}), finalists=6, repeats=3)
    again = {one.trial: one.again for one in winner.finalists}
    racing = set(again)
    for repeat, going in enumerate((5, 3, 2)):
        on_split = {trial for trial, scores in again.items() if len(scores) > repeat}
        before = sorted(racing - {0}, key=lambda trial: sum(again[trial][:repeat]))
        assert on_split == {*before[:going], 0}, "by what was known then"
        racing = on_split
    assert winner.trial == min(racing, key=lambda trial: sum(again[trial]))


def test_whoever_left_the_race_does_not_win_by_a_lucky_split(monkeypatch):
    """One split's score below the mean of one that was on three."""
    monkeypatch.setattr(module._Again, "scores", lambda *_: [(0.2,), (0.1, 0.3, 0.4), (0.2, 0.4, 0.4)])
    winner = run(InMemory(3), finalists=3, repeats=3)
    assert winner.trial == winner.finalists[1].trial


def test_fresh_scores_are_those_of_training_on_other_folds(found):
    """By the stage that trains, with the fold seed that nobody searched on."""
    from pipeline.stages.preprocess import preprocess
    from pipeline.stages.train import train
    from pipeline.tabular.metrics import rmse

    _, winner = found
    for one in winner.finalists:
        setup = BASE.with_values(one.values)
        for repeat, score in enumerate(one.again):
            folds, _ = fresh_folds(FoldSettings(count=3), repeat)
            design = preprocess(DATASET, preprocess=setup.preprocess, target=setup.target, folds=folds, metric="rmse")
            fits = train(design, model=setup.model, train=setup.train, metric="rmse", runtime=on_cpu("fp64"))
            assert score == pytest.approx(rmse(design.target[design.folds.scored_rows], fits.seed_oof[0]), rel=1e-7)


def test_a_finalist_is_scored_once_however_often_the_search_goes_on(found, monkeypatch):
    """The same study again: every fresh score is remembered, and nothing is trained."""
    session, winner = found
    monkeypatch.setattr(module, "fit_networks", None)
    assert run(session) == winner


def test_without_finalists_the_best_trial_wins_by_the_score_that_chose_it():
    """And nothing is said about how much it flatters."""
    session = InMemory(3)
    winner = run(session, finalists=0)
    assert (winner.trial, winner.score) == (session.study.best_trial.number, session.study.best_value)
    assert (winner.finalists, winner.optimism) == ((), None)


@pytest.mark.parametrize("kind", ["kfold", "stratified", "grouped", "holdout"])
def test_shuffled_folds_are_shuffled_anew_for_finalists(kind):
    """Each repeat otherwise, the networks' seeds as they were."""
    folds = FoldSettings(kind=kind, column="g" if kind == "grouped" else "", seed=7)
    fresh = [fresh_folds(folds, repeat) for repeat in range(3)]
    assert len({7, *(own.seed for own, _ in fresh)}) == 4
    assert {shift for _, shift in fresh} == {0}


def test_where_there_is_but_one_split_seeds_are_fresh():
    """Contiguous folds, groups left out one by one, a fold column."""
    for folds in (
        FoldSettings(shuffle=False),
        FoldSettings(kind="leave_one_group_out", column="g"),
        FoldSettings(kind="column", column="f"),
    ):
        fresh = [fresh_folds(folds, repeat) for repeat in range(2)]
        assert [own for own, _ in fresh] == [folds, folds]
        assert 0 < fresh[0][1] < fresh[1][1]


def test_no_finite_loss_at_all_is_an_error_with_the_cause_that_most_had():
    """Every rate of the space is far too high."""
    with pytest.raises(TrainingError, match=r"no trial of the sweep .*a learning rate that is too high"):
        run(InMemory(3), space={"train.lr": Range(log=(1e37, 1e38))})


def test_examples_of_a_batch_begin_with_the_configuration_as_it_stands():
    """As many as are in flight at a time."""
    candidates = examples(BASE, Search(space=SPACE, parallel=4))
    assert len(candidates) == 4
    assert (candidates[0].train.lr, candidates[0].model.width) == (0.02, 4)


def test_repeated_folds_are_fresh_each_time():
    """Two repeats take two seeds each: no split of one is a split of the other."""
    folds = FoldSettings(count=3, repeats=2)
    seeds = [fresh_folds(folds, repeat)[0].seed + own for repeat in range(3) for own in range(2)]
    assert len(set(seeds)) == 6


def test_a_space_without_the_configuration_has_no_trial_that_stands():
    """Its learning rate is drawn, so nobody calls the first trial the configuration as it stands."""
    session = InMemory(3)
    winner = run(session, space={"train.lr": Range(log=(1e-6, 1e-5))})
    assert not any(one.stands for one in winner.finalists)
