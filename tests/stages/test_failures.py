"""Sentences about failed networks: who, when, where, the largest columns, what it looks like, what mends it."""

import numpy as np
import pytest
from builders import design_of, generated_dataset

from pipeline.engine.diagnosis import Fault, LargeInput
from pipeline.engine.fit import Fitted
from pipeline.facts import Advice
from pipeline.fits import Curve, Job
from pipeline.settings import Preprocess
from pipeline.stages.failures import (
    advice_of_kind,
    failed,
    kinds_of,
    named,
    report_of,
    sentence,
    sentence_of_kind,
    short,
)
from tests.stages.failing import AGE, AREA, DESIGN, case, states

WILD = {"lr": 1e6}


def wild(fold=0, seed=0):
    """Thrown away by a learning rate of a million."""
    return case(train=WILD, job=Job(0, fold, seed), layers=states(1e6, 1e13, 1e25, growth=3e7))


def hot(fold=0, seed=0):
    """A value far out in its batch."""
    return case(job=Job(0, fold, seed), inputs=(LargeInput(AREA, 2e4),))


def test_a_sentence_says_who_when_where_why_and_what_mends_it():
    """Every part that a person needs, word for word; epochs, steps, folds and layers are counted from 1."""
    assert sentence(wild(1, 7)) == (
        "fold 2, seed 7: the loss was not finite in epoch 2, step 5, first seen in the loss after layer 3 of 3 "
        "(largest inputs: 'area' 2.5, 'age' -1.5, 'colour_blue' 1); it looks like a learning rate that is too high: "
        "train.lr is 1e+06, and the weights of layer 1 are 3e+07 times as large as they began; set [train] lr = 0.004"
    )


def test_a_line_of_a_sweep_has_the_essence():
    """Cause, network, place and setting."""
    assert short(wild()) == (
        "a learning rate that is too high (fold 1, seed 0, the loss after layer 3 of 3); [train] lr = 0.004"
    )


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        (Fault("inputs"), "the inputs of layer 1 of 3"),
        (Fault("target"), "the target"),
        (Fault("weights", 1, "1.bias"), "the weights of layer 2 of 3"),
        (Fault("weights", -1, "head.weight"), "the weights of head.weight"),
        (Fault("hidden", 1), "what layer 2 of 3 says"),
        (Fault("outputs", 2), "the outputs of layer 3 of 3"),
        (Fault("loss", 2), "the loss after layer 3 of 3"),
        (Fault("gradient", 0, "0.weight"), "the gradient of layer 1 of 3"),
        (Fault(""), "the batch with its dropout, not without it"),
    ],
)
def test_every_fault_has_a_place(fault, place):
    """In words, with the layer counted from 1."""
    assert f"first seen in {place} (" in sentence(case(fault=fault))


def test_a_refit_is_no_fold():
    """Fold 3 of three is every training row."""
    assert named(Job(0, 3, 2), DESIGN) == "the refit on all rows, seed 2"


def test_components_tell_which_column_weighs_most_in_them():
    """Nobody knows pca_1 by name."""
    design = design_of(generated_dataset(), preparation=Preprocess(scaler="pca_whiten"))
    told = sentence(case(design=design, inputs=(LargeInput(0, 3.0),)))
    assert any(f"'pca_1' (mostly '{name}') 3" in told for name in ("area", "age"))


def test_networks_of_one_cause_are_told_together_the_most_frequent_first():
    """Six against one; the first of them in full, four named, one counted."""
    cases = [hot(0, 9), *(wild(fold, seed) for fold in range(3) for seed in range(2))]
    many, one = kinds_of(cases)
    assert sentence_of_kind(many) == (
        f"{sentence(wild(0, 0))} (and so fold 1, seed 1; fold 2, seed 0; fold 2, seed 1; fold 3, seed 0 and 1 more)"
    )
    assert sentence_of_kind(one) == sentence(hot(0, 9))


def test_an_error_has_at_most_five_lines_and_counts_everybody():
    """Five causes of seven networks, three of them in full; and how many trained on."""
    others = [
        case(first="inputs", inputs=(LargeInput(AGE, np.inf),)),
        case("weights", 1),
        case(layers=states(1.0, 1.0, 1e8)),
        case("target", -1),
    ]
    lines = report_of([wild(0), wild(1), wild(2), *others], networks=10).split("\n")
    assert len(lines) == 5
    assert lines[0] == "7 of 10 networks came to nothing; 3 networks trained on"
    assert lines[1].startswith("fold 1, seed 0: ")
    assert lines[-1] == "and 2 networks of other causes"


def test_an_error_about_all_networks_does_not_speak_of_others():
    """One of one."""
    assert report_of([wild()], networks=1) == f"1 of 1 network came to nothing\n{sentence(wild())}"


def test_a_report_says_what_it_looks_like_and_what_to_set():
    """The cause of all networks that it struck, as advice."""
    assert advice_of_kind([wild(0), wild(1)]) == Advice(
        "The loss of 2 networks was not finite: it looks like a learning rate that is too high: train.lr is 1e+06, and "
        "the weights of layer 1 are 3e+07 times as large as they began.",
        "Set [train] lr = 0.004.",
        "",
    )


def test_only_networks_with_a_failure_have_failed():
    """And each comes with the epoch whose weights it kept."""
    curve = Curve(np.zeros(3), np.zeros(3), 1, "not finite")
    one = wild()
    jobs = [Job(0, fold, 0) for fold in range(3)]
    fitted = [Fitted((), curve), Fitted((), curve, one.failure), Fitted((), curve)]
    ((found, best_epoch),) = failed(DESIGN, one.candidate, jobs, fitted)
    assert (found.job, found.failure, best_epoch) == (jobs[1], one.failure, 1)
