"""Predictions of a sweep's best trials: kept before they are told, bounded, and never worth a trial's score."""

import json
import resource
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.claims import Claims, Ears, Patience
from pipeline.keeping import Keeping
from pipeline.kept import kept_predictions
from pipeline.search_settings import Range, Search
from pipeline.storage import open_study, study_file
from pipeline.store import Store
from pipeline.tables import Compute, Folds

KEY = "k" * 64
QUICK = Patience(beat=0.05, silence=0.4, look=0.02)
SEARCH = Search(sampler="random", pruner="none", kept=2, space={"x": Range(uniform=(0.0, 1.0))})
FOLDS = Folds(train=(np.arange(2, 4), np.arange(2)), valid=(np.arange(2), np.arange(2, 4)))
OTHER_FOLDS = Folds(train=FOLDS.valid, valid=FOLDS.train)


class Sweep:
    """One process on a study: what it is told, and what lies in the store afterwards."""

    def __init__(self, folder, search=SEARCH, key=KEY, wanted=99, rows=4):
        self.store, self.said, self.rows, self.tests = Store(folder), [], rows, []
        self.study = open_study(folder, key, name="c", search=search)
        self.keeping = Keeping(self.store, key, search, Compute("cpu", 1, "fp32"), self.said.append)
        self.claims = Claims(self.study, wanted, self.keeping.beside(Ears()), patience=QUICK)
        self.key = key

    def ask(self):
        [trial] = self.claims.ask(1)
        trial.suggest_float("x", 0, 1)
        return trial

    def trained(self, trial, outputs=1.0):
        """The networks of a trial that predicts its own number for every row, times `outputs` for test rows."""

        def test(compute):
            self.tests.append(trial.number)
            return np.full(3, outputs * trial.number)

        return SimpleNamespace(
            setup=SimpleNamespace(values={"x": trial.params["x"], "y": 7}),
            bench=SimpleNamespace(design=SimpleNamespace(folds=FOLDS)),
            held_out=lambda: np.full(self.rows, float(trial.number)),
            test=test,
            losses=dict,
        )

    def tell(self, score, **changes):
        trial = self.ask()
        self.claims.complete(trial, score, self.trained(trial, **changes))
        return trial

    def kept(self, folds=FOLDS):
        return kept_predictions(self.store, self.key, folds)

    def numbers(self):
        return sorted(int(read["parts"]["trial"]) for read in self.manifests())

    def manifests(self):
        return [json.loads(file.read_text()) for file in self.store.files("kept") if self.key in file.read_text()]


def test_the_best_are_kept_and_the_others_deleted_at_once(tmp_path):
    """Two at a time: a third better one puts out the worst; a worse one is not even predicted."""
    sweep = Sweep(tmp_path)
    with sweep.keeping.during(sweep.claims):
        for score, expected in ((3.0, [0]), (1.0, [0, 1]), (2.0, [1, 2]), (9.0, [1, 2]), (0.5, [1, 4])):
            sweep.tell(score)
            assert sweep.numbers() == expected
    assert sweep.tests == [0, 1, 2, 4]
    first, second = sweep.kept()
    assert (first.trial, first.score, second.trial, second.score) == (4, 0.5, 1, 1.0)
    assert first.values == sweep.study.trials[4].params
    assert (first.oof.tolist(), first.test.tolist()) == ([4.0] * 4, [4.0] * 3)
    assert not sweep.said


def test_of_equal_scores_the_first_is_the_better_one(tmp_path):
    """As the study itself ranks them."""
    sweep = Sweep(tmp_path)
    with sweep.keeping.during(sweep.claims):
        for _ in range(3):
            sweep.tell(1.0)
    assert sweep.numbers() == [0, 1]


def test_none_are_kept_and_none_predicted_where_none_are_asked_for(tmp_path):
    """`search.kept = 0`; what an earlier search kept goes."""
    sweep = Sweep(tmp_path)
    with sweep.keeping.during(sweep.claims):
        sweep.tell(1.0)
    none = Sweep(tmp_path, SEARCH.model_copy(update={"kept": 0}))
    with none.keeping.during(none.claims):
        none.tell(0.5)
        assert none.tests == []
    assert none.numbers() == []
    assert len(none.study.trials) == 2


def test_predictions_are_there_before_the_score_is_told(tmp_path, monkeypatch):
    """So that no completed trial of the best is without them, whenever the process is killed."""
    sweep = Sweep(tmp_path)
    real, there = sweep.study.tell, []

    def tell(*arguments, **keywords):
        there.append(sweep.numbers())
        return real(*arguments, **keywords)

    monkeypatch.setattr(sweep.study, "tell", tell)
    with sweep.keeping.during(sweep.claims):
        sweep.tell(1.0)
        sweep.tell(0.5)
    assert there == [[0], [0, 1]]


def test_what_was_kept_of_a_trial_that_could_not_be_told_goes(tmp_path):
    """Another process took this one for dead and buried the trial, at the last moment."""
    sweep = Sweep(tmp_path)
    with sweep.keeping.during(sweep.claims):
        trial = sweep.ask()
        Claims(sweep.study, 99, patience=QUICK)._void(trial.number)
        sweep.claims.complete(trial, 0.1, sweep.trained(trial))
        again = sweep.tell(0.1)
        assert again.params == trial.params
        assert sweep.numbers() == [again.number]
        trial = sweep.ask()
        Claims(sweep.study, 99, patience=QUICK)._void(trial.number)
        sweep.claims.complete(trial, 0.2, sweep.trained(trial))
    assert sweep.numbers() == [again.number]


def test_what_was_kept_just_before_the_process_was_stopped_goes_with_the_next(tmp_path, monkeypatch):
    """Stopped between keeping and telling: the trial is tried again under another number."""
    sweep = Sweep(tmp_path)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep.study, "tell", stop)
    with pytest.raises(KeyboardInterrupt), sweep.keeping.during(sweep.claims):
        sweep.tell(0.1)
    monkeypatch.undo()
    sweep.claims.abandon()
    assert sweep.numbers() == [0]
    following = Sweep(tmp_path)
    with following.keeping.during(following.claims):
        assert following.numbers() == []
        following.tell(0.1)
    assert following.numbers() == [1]


def test_what_another_process_is_about_to_tell_stays(tmp_path):
    """Two processes of one computer: the first has kept and not yet told, the second puts things in order."""
    first, second = Sweep(tmp_path), Sweep(tmp_path)
    with first.keeping.during(first.claims):
        trial = first.ask()
        first.keeping.complete(trial.number, 0.1, first.trained(trial))
        with second.keeping.during(second.claims):
            second.tell(0.5)
            assert second.numbers() == [0, 1]
            first.claims.complete(trial, 0.1, first.trained(trial))
            second.tell(0.4)
            assert second.numbers() == [0, 2]


def test_trials_of_other_computers_count_among_the_best_and_are_not_here(tmp_path):
    """They are told to the study without predictions in this folder."""
    sweep = Sweep(tmp_path)
    for score in (0.1, 0.2):
        trial = sweep.study.ask()
        trial.suggest_float("x", 0, 1)
        sweep.study.tell(trial, score)
    with sweep.keeping.during(sweep.claims):
        sweep.tell(0.5)
        assert sweep.numbers() == []
        sweep.tell(0.15)
    assert [kept.trial for kept in sweep.kept()] == [3]


def test_a_search_for_fewer_deletes_the_others_as_it_begins(tmp_path):
    """And a study that begins anew under the same key has nothing of the old one."""
    sweep = Sweep(tmp_path)
    with sweep.keeping.during(sweep.claims):
        sweep.tell(1.0)
        sweep.tell(0.5)
    fewer = Sweep(tmp_path, SEARCH.model_copy(update={"kept": 1}))
    with fewer.keeping.during(fewer.claims):
        assert fewer.numbers() == [1]
    study_file(tmp_path, KEY).unlink()
    anew = Sweep(tmp_path)
    with anew.keeping.during(anew.claims):
        assert anew.numbers() == []


def test_studies_in_one_folder_leave_each_other_alone(tmp_path):
    """Another key: neither bounded nor found together."""
    for key in (KEY, "j" * 64):
        sweep = Sweep(tmp_path, key=key)
        with sweep.keeping.during(sweep.claims):
            for score in (3.0, 2.0, 1.0):
                sweep.tell(score)
    for key in (KEY, "j" * 64):
        assert [kept.trial for kept in Sweep(tmp_path, key=key).kept()] == [2, 1]


def test_a_trial_with_test_predictions_that_are_not_finite_is_not_kept(tmp_path):
    """A test row far out: a blend could do nothing with it."""
    sweep = Sweep(tmp_path)
    with sweep.keeping.during(sweep.claims):
        sweep.tell(1.0)
        sweep.tell(0.5, outputs=np.inf)
    assert sweep.numbers() == [0]
    assert sweep.said == ["search      not kept           trial 1: its predictions of test rows are not finite"]


def test_a_full_disk_costs_predictions_and_no_score(tmp_path):
    """FAULT 4: files of 4 KB at most, predictions of 80. Said once; nothing half-written; all trials told."""
    sweep = Sweep(tmp_path, rows=10_000)
    ears = sweep.claims.ears

    def on_complete(number, score, trained):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096 if number == 1 else before[0], before[1]))
        try:
            ears.on_complete(number, score, trained)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    sweep.claims.ears = replace(ears, on_complete=on_complete)
    with sweep.keeping.during(sweep.claims):
        for score in (1.0, 0.5, 0.4, 0.3):
            sweep.tell(score)
    assert [trial.value for trial in sweep.study.trials] == [1.0, 0.5, 0.4, 0.3]
    [line] = sweep.said
    assert "those of trial 1 and of later ones" in line
    assert "File too large" in line
    assert not list(tmp_path.glob(".kept-*.tmp"))
    assert sweep.tests == [0, 1]


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1
    file.write_bytes(bytes(content))


def reworded(old, new):
    def damage(manifest):
        text = manifest.read_text()
        assert old in text
        manifest.write_text(text.replace(old, new))

    return damage


DAMAGES = {
    "flipped bit": lambda manifest: flip(manifest.with_suffix(".joblib"), -200),
    "truncated": lambda manifest: manifest.with_suffix(".joblib").write_bytes(b"half"),
    "gone": lambda manifest: manifest.with_suffix(".joblib").unlink(),
    "manifest cut": lambda manifest: manifest.write_text(manifest.read_text()[:40]),
    "manifest of another trial": reworded('"trial": 1', '"trial": 3'),
    "manifest of another study": reworded(f'"of": "{KEY}"', f'"of": "{KEY[:-1]}j"'),
    "manifest with another key": lambda manifest: manifest.rename(manifest.with_stem("kept-000000000000")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_predictions_are_set_aside_and_said(tmp_path, damage, capsys):
    """FAULT 5: a blend goes on with the others, and nothing damaged is ever opened."""
    sweep = Sweep(tmp_path)
    with sweep.keeping.during(sweep.claims):
        sweep.tell(1.0)
        sweep.tell(0.5)
    [victim] = [file for file in sweep.store.files("kept") if '"trial": 1' in file.read_text()]
    DAMAGES[damage](victim)
    assert [kept.trial for kept in sweep.kept()] == [0]
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("kept        damaged   ")
    assert line.endswith("a blend goes without that trial")
    assert any((tmp_path / "damaged").iterdir())
    assert [kept.trial for kept in sweep.kept()] == [0]
    assert not capsys.readouterr().out


def test_predictions_that_another_split_scored_are_left_out(tmp_path):
    """The same rows in other folds: a network would be judged on rows that trained it."""
    sweep = Sweep(tmp_path)
    with sweep.keeping.during(sweep.claims):
        sweep.tell(1.0)
    assert [kept.trial for kept in sweep.kept()] == [0]
    assert sweep.kept(OTHER_FOLDS) == []


def test_nothing_was_ever_kept(tmp_path):
    """An empty list, also where the folder is not there yet."""
    assert kept_predictions(Store(tmp_path / "none"), KEY, FOLDS) == []
