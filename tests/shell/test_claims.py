"""One study, several processes: exactly so many trials, nobody's trial lost, a database that comes and goes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import optuna
import pytest
from optuna.pruners import ThresholdPruner
from optuna.storages.journal._storage import JournalStorageReplayResult
from optuna.trial import TrialState

from pipeline.claims import MOST_RETRIES, RETRIES, RETRY_OF, WORKER, Claims, Ears, Patience, is_claimed
from pipeline.heartbeat import computer, is_alive
from pipeline.search_settings import Range, Search
from pipeline.stages.samplers import sampler_of
from pipeline.stages.trials import CAUSE, STANDS, is_void
from pipeline.storage import open_study
from tests.stages.studies import UNSEEN

QUICK = Patience(beat=0.05, silence=0.4, look=0.02)
SEARCH = Search(sampler="random", pruner="none", space={"x": Range(uniform=(0.0, 1.0))})


@pytest.fixture
def study(tmp_path):
    return opened(tmp_path)


def opened(folder):
    """The study of these tests, from its journal."""
    return open_study(folder, "k" * 64, name="c", search=SEARCH)


def claims_of(study, wanted, **changes):
    return Claims(study, wanted, **{"patience": QUICK, **changes})


def suggested(trial):
    return trial.suggest_float("x", 0, 1)


def finished(study):
    """Trials that the study was to have."""
    return [trial for trial in study.get_trials(deepcopy=False) if is_claimed(trial)]


def test_a_study_has_exactly_as_many_trials_as_wanted(study):
    """Asked for three at a time, seven in all; those given up and those that failed for good count."""
    claims = claims_of(study, 7)
    told = 0
    while trials := claims.ask(3):
        for trial in trials:
            suggested(trial)
            if told == 1:
                claims.give_up(trial)
            elif told == 2:
                claims.fail(trial, "a reason")
            else:
                claims.complete(trial, 1.0, UNSEEN)
            told += 1
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL] + [TrialState.COMPLETE] * 4
    assert claims_of(study, 8).ask(3)[0].number == 7


def test_the_configuration_comes_first_once(study):
    """A search that goes on does not queue it again."""
    for _ in range(2):
        claims = claims_of(study, 3)
        claims.begin({"x": 0.25})
        for trial in claims.ask(1):
            suggested(trial)
            claims.complete(trial, 1.0, UNSEEN)
    assert study.trials[0].params == {"x": 0.25}
    assert study.trials[1].params != {"x": 0.25}
    assert len(study.trials) == 2


def test_what_was_interrupted_is_tried_again_with_the_same_values(study):
    """Ctrl-C gives trials back; they count for nothing, nor as a death."""
    claims = claims_of(study, 2)
    values = [suggested(trial) for trial in claims.ask(2)]
    claims.abandon()
    assert all(map(is_void, study.trials[:2]))
    again = claims_of(study, 2).ask(2)
    assert [suggested(trial) for trial in again] == values
    assert all(trial.user_attrs[RETRIES] == 0 for trial in again)


def test_two_processes_that_begin_at_once_try_the_configuration_once(study, tmp_path):
    """Both have found an empty study and queue it: the second copy counts for nothing, for nobody."""
    first, second = claims_of(study, 4), claims_of(opened(tmp_path), 4)
    real = second.study.enqueue_trial
    second.study.enqueue_trial = lambda *words, **named: (first.begin({"x": 0.25}), real(*words, **named))
    second.begin({"x": 0.25})
    assert [trial.state for trial in study.trials] == [TrialState.WAITING] * 2
    for claims in (second, first):
        while trials := claims.ask(2):
            for trial in trials:
                claims.complete(trial, suggested(trial), UNSEEN)
    drawn = [trial.params["x"] for trial in finished(study)]
    assert len(drawn) == 4
    assert drawn.count(0.25) == 1
    assert study.trials[0].params == {"x": 0.25}


def test_the_configuration_is_known_wherever_it_is_tried_again(study):
    """Interrupted as trial 0, it is another number's, with the same mark."""
    claims = claims_of(study, 1)
    claims.begin({"x": 0.25})
    claims.ask(1)
    claims.abandon()
    [again] = claims_of(study, 1).ask(1)
    assert suggested(again) == 0.25
    assert again.user_attrs[STANDS]


def test_values_that_nobody_has_looked_at_are_not_lost_either(study, gone):
    """A queued trial whose process dies before it has asked for them."""
    study.enqueue_trial({"x": 0.25})
    study.ask().set_user_attr(WORKER, f"{computer()} {gone} 00000000")
    [again] = claims_of(study, 1).ask(1)
    assert suggested(again) == 0.25


def test_values_are_queued_again_by_whoever_looks(study, gone):
    """A process that died, or lost the storage, between the burial and the queue; a second look queues nothing more."""
    lost = forsaken(study, f"{computer()} {gone} 00000000")
    study.tell(lost.number, state=TrialState.FAIL)
    for _ in range(2):
        claims_of(study, 1)._bury()
    [queued] = study.get_trials(states=(TrialState.WAITING,))
    assert queued.user_attrs[RETRY_OF] == lost.number
    assert queued.system_attrs["fixed_params"] == lost.params


def test_one_from_the_queue_makes_room_for_those_with_higher_numbers(study):
    """Number 1 was begun by somebody who had found the queue empty, and has the only place: number 0 goes back."""
    study.enqueue_trial({"x": 0.25})
    study._storage.create_new_trial(study._study_id)
    claims = claims_of(study, 1)
    assert claims._claim() is None
    assert [trial.number for trial in finished(study)] == [1]
    claims._bury()
    [queued] = study.get_trials(states=(TrialState.WAITING,))
    assert queued.system_attrs["fixed_params"] == {"x": 0.25}


def test_of_processes_that_begin_at_once_one_at_most_is_alone(study, tmp_path, gone):
    """One that has ended on this computer is no company; one that has begun, here or elsewhere, is."""
    study.set_user_attr(f"beat {computer()} {gone} 00000000", 3)
    assert not claims_of(study, 1).has_company()
    assert claims_of(opened(tmp_path), 1).has_company()


def test_two_processes_that_ask_at_once_do_not_ask_for_one_too_many(study, tmp_path, monkeypatch):
    """Both see one free place before either has taken it: the lower number has it."""
    first, second = claims_of(study, 1), claims_of(opened(tmp_path), 1)
    real, late = second._claim, []

    def claim():
        if not late:
            late.append(first.ask(1))
        return real()

    monkeypatch.setattr(Claims, "_claim", lambda self: claim() if self is second else Claims_claim(self))
    second.until = time.monotonic() + 0.3
    assert list(second.ask(1)) == []
    assert len(late[0]) == 1
    assert len(finished(study)) == 1
    assert study.trials[1].state == TrialState.FAIL


Claims_claim = Claims._claim


def forsaken(study, worker, deaths=0):
    """A running trial of a process that is gone."""
    trial = study.ask()
    trial.set_user_attr(WORKER, worker)
    trial.set_user_attr(RETRIES, deaths)
    suggested(trial)
    return trial


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    process.start()
    process.join()
    return process.pid


def test_trials_of_a_dead_process_of_this_computer_are_tried_again_at_once(study, gone):
    """With the same values; it counts as one of few tries."""
    lost = forsaken(study, f"{computer()} {gone} 00000000")
    [again] = claims_of(study, 1).ask(1)
    assert suggested(again) == lost.params["x"]
    assert again.user_attrs[RETRIES] == 1
    assert is_void(study.trials[lost.number])


def test_a_silent_process_of_another_computer_is_dead_after_a_while_and_a_living_one_is_not(study):
    """By our own clock: nothing is compared between computers but whether they have said something new."""
    forsaken(study, "elsewhere 1 aaaaaaaa")
    claims = claims_of(study, 1)
    began = time.monotonic()
    study.set_user_attr("beat elsewhere 1 aaaaaaaa", 1)
    while time.monotonic() - began < 3 * QUICK.silence:
        claims._bury()
        study.set_user_attr("beat elsewhere 1 aaaaaaaa", round(1000 * (time.monotonic() - began)))
        assert study.trials[0].state == TrialState.RUNNING
        time.sleep(0.02)
    [again] = claims.ask(1)
    assert time.monotonic() - began > 4 * QUICK.silence
    assert suggested(again) == study.trials[0].params["x"]


def test_a_trial_whose_processes_keep_dying_fails_for_good(study, gone):
    """Tried three times in all: then it counts, and says so."""
    forsaken(study, f"{computer()} {gone} 00000000", deaths=MOST_RETRIES)
    assert list(claims_of(study, 1).ask(1)) == []
    assert study.trials[0].state == TrialState.FAIL
    assert "died 3 times" in study.trials[0].user_attrs[CAUSE]


def test_a_process_without_work_waits_for_trials_of_others_which_may_yet_die(study):
    """The last trial is in flight elsewhere: it is said, and taken over when its process falls silent."""
    forsaken(study, "elsewhere 1 aaaaaaaa")
    said = []
    [again] = claims_of(study, 1, ears=Ears(on_wait=said.append)).ask(1)
    assert said[0] == "waiting for 1 trial of other processes"
    assert again.number == 1


def test_a_process_that_was_taken_for_dead_changes_nothing_when_it_comes_back(study, monkeypatch):
    """Its trial was buried; what it tells is dropped, and its retry stands."""
    claims, told = claims_of(study, 1), []
    [trial] = claims.ask(1)
    suggested(trial)
    other = claims_of(study, 1)
    monkeypatch.setattr("pipeline.claims.is_alive", lambda _: False)
    other._bury()
    claims.ears = Ears(on_told=told.append)
    assert not claims.report(trial, 1, 0.5)
    claims.complete(trial, 0.5, UNSEEN)
    claims.fail(trial, "a reason")
    assert told == []
    assert is_void(study.trials[0])
    assert study.trials[1].state == TrialState.WAITING


def test_the_pruner_never_gives_up_the_configuration_as_it_stands(study):
    """It would give up everybody with a loss above .1."""
    study.pruner = ThresholdPruner(upper=0.1)
    claims = claims_of(study, 2)
    claims.begin({"x": 0.5})
    stands, other = claims.ask(2)
    for trial, hopeless in ((stands, False), (other, True)):
        assert claims.report(trial, 8, 0.5)
        assert claims.is_hopeless(trial) == hopeless
        assert study.trials[trial.number].intermediate_values == {8: 0.5}


def test_no_trial_is_asked_for_once_the_time_is_up(study):
    """The trials that are in flight end as they do."""
    claims = claims_of(study, 5, until=time.monotonic() + 0.05)
    [trial] = claims.ask(1)
    time.sleep(0.06)
    assert list(claims.ask(1)) == []
    claims.complete(trial, 1.0, UNSEEN)
    assert len(finished(study)) == 1


def test_a_reason_outlives_the_session(study):
    """Plain values are remembered with the study."""
    claims_of(study, 1).remember("again 3 0", 0.25)
    assert claims_of(study, 1).recall("again 3 0") == 0.25
    assert claims_of(study, 1).recall("again 3 1") is None


def work(folder, wanted, pause):
    """A process of its own: trials of a few milliseconds until there are no more."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = opened(folder)
    study.sampler = sampler_of(SEARCH, os.getpid())  # as sweeps do where others ask too
    claims = claims_of(study, wanted, patience=replace(QUICK, silence=60.0))
    with claims.heart():
        while trials := claims.ask(2):
            for trial in trials:
                value = suggested(trial)
                time.sleep(pause)
                claims.complete(trial, value, UNSEEN)


def test_a_process_that_nobody_has_asked_for_its_end_is_dead():
    """It still has its number; so has this one, which lives."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    while is_alive(child.pid):
        time.sleep(0.01)
    assert child.wait() == 0
    assert is_alive(os.getpid())


@pytest.mark.slow
def test_processes_share_a_study_and_one_of_them_is_killed(tmp_path):
    """Three processes, 24 trials, SIGKILL for one of them in the middle: exactly 24, each value finished once."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=work, args=(tmp_path, 24, 0.1)) for _ in range(3)]
    for worker in workers:
        worker.start()
    study = opened(tmp_path)
    while sum(trial.state == TrialState.COMPLETE for trial in study.get_trials()) < 6:
        time.sleep(0.05)
    os.kill(workers[0].pid, signal.SIGKILL)
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [-signal.SIGKILL, 0, 0]
    complete = [trial for trial in study.get_trials() if trial.state == TrialState.COMPLETE]
    assert len(complete) == len(finished(study)) == 24
    assert len({trial.params["x"] for trial in complete}) == 24
    lost = [trial for trial in study.get_trials() if is_void(trial)]
    assert lost
    assert {trial.params["x"] for trial in lost if trial.params} <= {trial.params["x"] for trial in complete}


@pytest.mark.parametrize("line", ["_apply_set_trial_param", "_apply_create_trial", "_apply_set_trial_user_attr"])
def test_ctrl_c_while_a_line_of_the_journal_is_read_loses_no_value(study, monkeypatch, line):
    """To Optuna the line counts as read: what is given back is looked up in the file."""
    claims = claims_of(study, 3)
    claims.begin({"x": 0.25})
    [_, drawn] = claims.ask(2)
    with monkeypatch.context() as patch:
        patch.setattr(JournalStorageReplayResult, line, interrupted)
        with pytest.raises(KeyboardInterrupt):
            goes_on(claims, drawn)
    claims.abandon()
    found = opened_again(study)
    assert not found.get_trials(states=(TrialState.RUNNING,))
    waiting = [trial.system_attrs["fixed_params"] for trial in found.get_trials(states=(TrialState.WAITING,))]
    assert {"x": 0.25} in waiting
    assert all(trial.params in waiting for trial in found.get_trials(states=(TrialState.FAIL,)) if trial.params)


def goes_on(claims, drawn):
    """Values for a trial that had none, and a further trial."""
    suggested(drawn)
    claims.ask(1)


def interrupted(*_):
    raise KeyboardInterrupt


def opened_again(study):
    """The study as another process sees it."""
    storage = optuna.storages.JournalStorage(study._storage._backend)
    return optuna.load_study(study_name=study.study_name, storage=storage)


def test_a_trial_that_was_interrupted_while_it_was_asked_for_is_given_back(study):
    """Ctrl-C between the storage's answer and ours: nobody else is there, so the nameless trial is this process's."""
    claims = claims_of(study, 3)
    claims.begin({"x": 0.25})
    study.ask()
    claims.abandon()
    assert [trial.state for trial in study.get_trials()] == [TrialState.FAIL, TrialState.WAITING]
    assert study.get_trials()[1].system_attrs["fixed_params"] == {"x": 0.25}
