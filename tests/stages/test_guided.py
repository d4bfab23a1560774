"""The guided plan, run: each phase begins with what the ones before it found, and the best of all is scored again."""

from contextlib import contextmanager
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from pipeline.errors import ConfigError, TrainingError
from pipeline.search_settings import Range, Search
from pipeline.settings import FoldSettings, Preprocess, Target
from pipeline.stages.guided import guided, work_guided
from pipeline.stages.samplers import sampler_of
from pipeline.stages.search import work
from pipeline.stages.setups import Quest, Setup
from tests.builders import SHORT_TRAINING, SMALL_MODEL, generated_dataset, on_cpu
from tests.stages.studies import InMemory

BASE = Setup(Preprocess(), Target(), SMALL_MODEL, SHORT_TRAINING.model_copy(update={"epochs": 4}))
SEARCH = Search(trials=40, parallel=4, plan="guided", finalists=2, repeats=1)
QUEST = Quest(generated_dataset(), BASE, SEARCH, FoldSettings(count=3), "rmse", on_cpu("fp64"))


class Book:
    """Studies in memory, one for each phase and what it begins with."""

    def __init__(self, most=1000):
        self.studies, self.told, self.most, self.fixed = {}, [], most, {}

    @contextmanager
    def of_phase(self, phase, fixed):
        name = phase.name, repr(sorted(fixed.items()))
        if name not in self.studies:
            search = SEARCH.model_copy(update={"space": phase.space, "sampler": "grid" if phase.is_listed else "tpe"})
            study = optuna.create_study(sampler=sampler_of(search, 0))
            self.studies[name] = InMemory(min(phase.trials, self.most), study)
        self.fixed[phase.name] = dict(fixed)
        yield self.studies[name]

    def tell(self, phase, words):
        self.told.append((phase.name, words))


@pytest.fixture(scope="module")
def found():
    book = Book()
    return book, guided(QUEST, book.of_phase, book.tell)


def test_every_phase_begins_with_what_the_ones_before_it_fixed(found):
    """Its first trial is just that; a listed phase tries each choice once."""
    book, _ = found
    fixed = {}
    for (name, _), session in book.studies.items():
        trials = session.study.get_trials()
        assert book.fixed[name].items() >= fixed.items() or name == "inputs"
        base = BASE.with_values({**fixed}).values
        assert {key: base[key] for key in trials[0].params} == trials[0].params
        if name == "loss":
            assert sorted(trial.params["train.loss"] for trial in trials) == ["huber", "log_cosh", "mse"]
        best = min(trials, key=lambda trial: trial.value)
        if name not in ("batch size", "epochs"):
            fixed |= best.params if best.value < trials[0].value else trials[0].params
        else:
            fixed |= {key: value for key, value in last_fixed(book, name).items() if key in best.params}
    assert sum(len(session.study.get_trials()) for session in book.studies.values()) == 40


def last_fixed(book, name):
    """What the phase after this one began with."""
    names = [key for key, _ in book.studies]
    return book.fixed[names[names.index(name) + 1]]


def test_each_phase_tells_what_it_found_and_whether_the_network_overfits(found):
    """The winner keeps the words."""
    book, winner = found
    assert [name for name, _ in book.told].count("regularisation") == 2
    assert any("overfit" in words for _, words in book.told)
    assert list(winner.findings) == [f"{name}: {words}" for name, words in book.told]


def test_finalists_come_from_all_phases_and_carry_all_that_was_fixed(found):
    """The configuration as it stands is the first phase's first trial."""
    book, winner = found
    assert winner.trials == 40
    [stands] = [one for one in winner.finalists if one.stands]
    assert (stands.phase, stands.trial) == ("inputs", 0)
    assert stands.values == {"preprocess.scaler": "zscore"}
    trials = {(phase, t.number): t for (phase, _), s in book.studies.items() for t in s.study.get_trials()}
    best = min(trial.value for trial in trials.values())
    assert winner.score in [one.score for one in winner.finalists]
    assert min(one.score for one in winner.finalists if not one.stands) == best
    for one in winner.finalists:
        assert one.values.items() >= trials[one.phase, one.trial].params.items()
        assert one.values.keys() == book.fixed[one.phase].keys() | trials[one.phase, one.trial].params.keys()
    BASE.with_values(winner.values)


def test_a_plan_that_is_continued_trains_nothing_again(found):
    """The same phases, the same findings, the same winner."""
    book, winner = found
    events = {name: len(session.events) for name, session in book.studies.items()}
    assert guided(QUEST, book.of_phase, book.tell) == winner
    assert {name: len(session.events) for name, session in book.studies.items()} == events


def test_a_worker_trains_the_same_trials_and_scores_no_finalist():
    """Only trials: whoever searches finds the winner."""
    book = Book()
    work_guided(QUEST, book.of_phase, book.tell)
    assert sum(len(s.trials(TrialState.COMPLETE)) for s in book.studies.values()) == 40
    assert not any(session.remembered for session in book.studies.values())


def test_a_plan_whose_time_is_up_ends_with_what_there_is():
    """No trial is given in the third phase: the winner is one of the first two."""
    book = Book()

    @contextmanager
    def until_third(phase, fixed):
        book.most = 0 if len({name for name, _ in book.studies} | {phase.name}) > 2 else 1000
        with book.of_phase(phase, fixed) as session:
            yield session

    winner = guided(QUEST, until_third, book.tell)
    assert winner.phase in ("inputs", "initialisation")
    assert [name for name, _ in book.told] == ["inputs", "initialisation"]


def test_too_few_trials_are_refused_before_anything_is_trained():
    """With the number that would do."""
    book = Book()
    with pytest.raises(ConfigError, match="wants at least"):
        guided(replace(QUEST, search=SEARCH.model_copy(update={"trials": 5})), book.of_phase, book.tell)
    assert not book.studies


def test_no_time_at_all_is_a_sentence():
    """Not a trial was given."""
    book = Book(most=0)
    with pytest.raises(TrainingError, match="no trial came to its end"):
        guided(QUEST, book.of_phase, book.tell)


def test_a_training_that_stops_early_says_nothing_about_overfitting():
    """Its training rows were last looked at long before."""
    early = SHORT_TRAINING.model_copy(update={"epochs": 30, "patience": 1, "lr": 0.5})
    session = InMemory(3)
    quest = replace(
        QUEST,
        base=replace(BASE, train=early),
        search=SEARCH.model_copy(update={"space": {"model.dropout": Range(uniform=(0.0, 0.5))}}),
    )
    work(quest, session)
    stopped = [e for e in session.of("complete") if any(f.curve.stopped == "patience" for f in e[3].fitted)]
    assert stopped
    assert all(not trained.losses() for *_, trained in stopped)
