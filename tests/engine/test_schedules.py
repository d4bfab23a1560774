"""Learning rates over a job's steps, against torch's schedulers."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from pipeline.engine.schedules import SCHEDULES, SHAPES, Plateau, PlateauState, Schedule, after_epoch, rates

STEPS, LRS = st.integers(1, 300), st.floats(1e-5, 10)
FLOORS, GAMMAS = st.floats(0, 0.9), st.floats(0.05, 0.99)


def rates_of(schedule_of, steps, lr):
    """The learning rate that torch's scheduler uses at each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = schedule_of(optimizer)
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # SequentialLR calls what torch deprecates
                schedule.step()
    return np.array(found)


def assert_follows(schedule, oracle, steps, lr=1.0):
    """At every step, to the rounding that torch's recursions gather."""
    np.testing.assert_allclose(lr * rates(schedule, steps), rates_of(oracle, steps, lr), rtol=1e-8, atol=1e-13 * lr)


# --- decays


@given(steps=STEPS, length=st.integers(1, 300), gamma=GAMMAS, lr=LRS)
def test_step_is_torchs(steps, length, gamma, lr):
    """StepLR, a length of whole steps given as a share: no drop comes a step late by rounding."""
    schedule = Schedule("step", gamma=gamma, every=length / steps)
    assert_follows(schedule, lambda optimizer: StepLR(optimizer, length, gamma), steps, lr)


@pytest.mark.parametrize("hundredths", range(1, 100))
@pytest.mark.parametrize("steps", [100, 700])
def test_a_share_means_the_same_step_whatever_the_last_bit(hundredths, steps):
    """0.07 x 100 is above 7 in floating point, 0.29 x 100 below 29: drops and milestones come at 7 and 29 anyway."""
    share, length = hundredths / 100, hundredths * steps // 100
    expected = 0.5 ** (np.arange(steps) // length)
    np.testing.assert_array_equal(rates(Schedule("step", every=share), steps), expected)
    found = rates(Schedule("piecewise", milestones=((share, 0.5),)), steps)
    np.testing.assert_array_equal(found, np.where(np.arange(steps) < length, 1.0, 0.5))


@given(steps=STEPS, every=st.floats(0.01, 2), gamma=GAMMAS, lr=LRS)
def test_exponential_is_torchs(steps, every, gamma, lr):
    """ExponentialLR whose factor per step makes gamma over `every`."""
    factor = gamma ** (1 / (every * steps))
    schedule = Schedule("exponential", gamma=gamma, every=every)
    assert_follows(schedule, lambda optimizer: ExponentialLR(optimizer, factor), steps, lr)


@given(steps=STEPS, every=st.floats(0.01, 2), gamma=GAMMAS, lr=LRS)
def test_inverse_time_and_natural_exponential_are_their_formulas(steps, every, gamma, lr):
    """LambdaLR with 1 / (1 + gamma p) and e^(-gamma p) after p periods."""
    period = every * steps
    inverse, natural = (Schedule(k, gamma=gamma, every=every) for k in ("inverse_time", "natural_exponential"))
    assert_follows(inverse, lambda o: LambdaLR(o, lambda step: 1 / (1 + gamma * step / period)), steps, lr)
    assert_follows(natural, lambda o: LambdaLR(o, lambda step: math.exp(-gamma * step / period)), steps, lr)


@given(steps=STEPS, places=st.sets(st.integers(1, 300), max_size=4), gamma=GAMMAS, lr=LRS)
def test_piecewise_is_torchs_with_its_powers_written_out(steps, places, gamma, lr):
    """MultiStepLR; a milestone's number is the share of lr from there on, not a further factor."""
    milestones = tuple((place / steps, gamma ** (i + 1)) for i, place in enumerate(sorted(places)))
    schedule = Schedule("piecewise", milestones=milestones)
    assert_follows(schedule, lambda optimizer: MultiStepLR(optimizer, sorted(places), gamma), steps, lr)


# --- to the end of the training


@given(steps=STEPS, floor=FLOORS, lr=LRS)
def test_linear_is_torchs(steps, floor, lr):
    """LinearLR from 1 to the floor; with a floor of 0, PolynomialLR too."""
    schedule = Schedule("linear", floor=floor)
    assert_follows(schedule, lambda o: LinearLR(o, start_factor=1, end_factor=floor, total_iters=steps), steps, lr)
    assert_follows(Schedule("linear"), lambda o: PolynomialLR(o, total_iters=steps), steps, lr)


@given(steps=STEPS, floor=FLOORS, lr=LRS)
def test_cosine_is_torchs_annealing(steps, floor, lr):
    """CosineAnnealingLR with T_max = steps."""
    schedule = Schedule("cosine", floor=floor)
    assert_follows(schedule, lambda o: CosineAnnealingLR(o, T_max=steps, eta_min=floor * lr), steps, lr)


@given(length=st.integers(1, 60), cycles=st.integers(1, 5), floor=FLOORS, lr=LRS)
def test_cosine_restarts_are_torchs_at_equal_periods(length, cycles, floor, lr):
    """CosineAnnealingWarmRestarts with T_0 = steps / cycles, which is whole here."""
    schedule = Schedule("cosine_restarts", cycles=cycles, floor=floor)

    def oracle(optimizer):
        return CosineAnnealingWarmRestarts(optimizer, T_0=length, eta_min=floor * lr)

    assert_follows(schedule, oracle, length * cycles, lr)


@given(up=st.integers(1, 30), cycles=st.integers(1, 5), floor=FLOORS, lr=LRS)
def test_cyclic_is_torchs_triangle(up, cycles, floor, lr):
    """CyclicLR between the floor and the peak, as many steps up as down."""
    schedule = Schedule("cyclic", cycles=cycles, floor=floor)

    def oracle(optimizer):
        return CyclicLR(optimizer, base_lr=floor * lr, max_lr=lr, step_size_up=up, cycle_momentum=False)

    assert_follows(schedule, oracle, 2 * up * cycles, lr)


@given(steps=STEPS, lr=LRS)
def test_one_cycle_is_torchs(steps, lr):
    """OneCycleLR with its defaults, very short trainings included."""
    assert_follows(Schedule("one_cycle"), lambda o: OneCycleLR(o, max_lr=lr, total_steps=steps), steps, lr)


# --- by hand


def test_one_cycle_has_its_corners_by_hand():
    """Ten steps: 1/25 first, the peak at step 0.3 x 10 - 1 = 2, 1/250000 last; halfway up is the middle."""
    found = SCHEDULES["one_cycle"](10)
    assert found[[0, 1, 2, 9]] == pytest.approx([0.04, 0.52, 1.0, 4e-6])
    assert (np.diff(found[2:]) < 0).all()


def test_cosine_has_its_corners_by_hand():
    """Four steps: 1, (1 + cos 45°) / 2, 1/2, (1 - cos 45°) / 2; the last step still learns."""
    assert SCHEDULES["cosine"](4) == pytest.approx([1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5])


def test_coslog4_has_its_corners_by_hand():
    """Fifteen steps: 1 + 15t is 1, 2, 4, 8 at steps 0, 1, 3, 7, hence 0 there; 1 at the powers of 2 in between."""
    found = SCHEDULES["coslog4"](15)
    assert found[[0, 1, 3, 7]] == pytest.approx([0, 0, 0, 0], abs=1e-15)
    assert found[5] == pytest.approx((1 - math.cos(2 * math.pi * math.log2(6))) / 2)
    finely = SCHEDULES["coslog4"](15_000)
    peaks = [round(1000 * (2 ** (wave + 0.5) - 1)) for wave in range(4)]
    assert finely[peaks] == pytest.approx([1, 1, 1, 1], abs=1e-5)


def test_the_decays_have_their_values_by_hand():
    """Eight steps, gamma 1/2 in every quarter: steps 0, 2, 4 and 6 begin a period."""
    shares = {kind: SCHEDULES[kind](8) for kind in ("step", "exponential", "inverse_time", "natural_exponential")}
    assert shares["step"].tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    assert shares["exponential"][::2].tolist() == [1, 0.5, 0.25, 0.125]
    assert shares["inverse_time"][::2] == pytest.approx([1, 2 / 3, 1 / 2, 2 / 5])
    assert shares["natural_exponential"][::2] == pytest.approx(np.exp([0, -0.5, -1, -1.5]))


def test_piecewise_has_its_values_by_hand():
    """Ten steps: whole, a fifth from half on, a hundredth from nine tenths on; without milestones constant."""
    found = rates(Schedule("piecewise", milestones=((0.5, 0.2), (0.9, 0.01))), 10)
    assert found.tolist() == [1] * 5 + [0.2] * 4 + [0.01]
    assert SCHEDULES["piecewise"](3).tolist() == [1, 1, 1]


def test_cycles_that_do_not_divide_the_steps_are_equally_long_all_the_same():
    """Ten steps in three cycles: step s stands at (3s mod 10) / 10 of its cycle."""
    found = rates(Schedule("cyclic", cycles=3), 10)
    assert found == pytest.approx([0, 0.6, 0.8, 0.2, 0.4, 1.0, 0.4, 0.2, 0.8, 0.6])


# --- warm-up and chains


@given(steps=st.integers(2, 200), share=st.floats(0, 0.9), floor=FLOORS, lr=LRS)
def test_a_warm_up_comes_first_and_the_schedule_has_what_it_leaves(steps, share, floor, lr):
    """SequentialLR of a LinearLR and a CosineAnnealingLR over the steps that are left."""
    rising = min(round(share * steps), steps - 1)
    schedule = Schedule("cosine", warmup=share, floor=floor)

    def oracle(optimizer):
        main = CosineAnnealingLR(optimizer, T_max=steps - rising, eta_min=floor * lr)
        if not rising:
            return main
        return SequentialLR(optimizer, [LinearLR(optimizer, 1 / (rising + 1), total_iters=rising), main], [rising])

    assert_follows(schedule, oracle, steps, lr)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_warm_up_rises_in_a_line_to_the_first_rate_of_any_kind(kind):
    """A fifth of twenty steps: 1/5, 2/5, 3/5, 4/5 of the first rate, then the kind's own 16 steps."""
    own = rates(Schedule(kind, floor=0.1), 16)
    found = rates(Schedule(kind, floor=0.1, warmup=0.2), 20)
    np.testing.assert_allclose(found[:4], own[0] * np.array([0.2, 0.4, 0.6, 0.8]), rtol=1e-15)
    np.testing.assert_array_equal(found[4:], own)


@given(steps=st.integers(3, 200), first=st.integers(1, 199), second=st.integers(1, 199), lr=LRS)
def test_a_chain_is_torchs_sequence(steps, first, second, lr):
    """SequentialLR of three, whose milestones are places in the whole training; each counts from its own start."""
    first, second = sorted((min(first, steps - 1), min(second, steps - 1)))
    if first == second:
        second = first + 1
    last = Schedule("linear", floor=0.2)
    middle = Schedule("exponential", gamma=0.3, every=1.0, until=second / steps, then=last)
    schedule = Schedule("constant", until=first / steps, then=middle)

    def oracle(optimizer):
        parts = [
            ConstantLR(optimizer, factor=1.0),
            ExponentialLR(optimizer, 0.3 ** (1 / (second - first))),
            LinearLR(optimizer, 1.0, 0.2, max(steps - second, 1)),
        ]
        return SequentialLR(optimizer, parts, [first, second])

    assert_follows(schedule, oracle, steps, lr)


def test_a_link_may_be_empty_and_may_warm_up_for_itself():
    """Links that round to no step leave no trace; the second link's warm-up is a share of that link's steps."""
    tail = Schedule("constant", warmup=0.5)
    assert rates(Schedule("cosine", until=0.0, then=tail), 4) == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert rates(Schedule("constant", until=0.5, then=tail), 8) == pytest.approx([1] * 4 + [1 / 3, 2 / 3, 1, 1])
    assert rates(Schedule("constant", until=1.0, then=tail), 3).tolist() == [1, 1, 1]


def chains():
    """Any schedule, up to three links long."""
    links = {
        "kind": st.sampled_from(sorted(SHAPES)), "warmup": st.floats(0, 0.9), "gamma": st.floats(0, 1),
        "every": st.floats(0.001, 3), "cycles": st.integers(1, 9), "floor": st.floats(0, 1), "until": st.floats(0, 1),
        "milestones": st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3).map(lambda m: tuple(sorted(m))),
    }  # fmt: skip
    return st.recursive(
        st.builds(Schedule, **links), lambda then: st.builds(Schedule, **links, then=then), max_leaves=3
    )


@given(schedule=chains(), steps=STEPS)
def test_every_schedule_is_one_share_a_step(schedule, steps):
    """One float64 a step, finite, never below 0 nor above the peak, and the same when asked again."""
    found = rates(schedule, steps)
    assert found.shape == (steps,)
    assert found.dtype == np.float64
    assert (found >= 0).all()
    assert (found <= 1 + 1e-12).all()
    np.testing.assert_array_equal(rates(schedule, steps), found)


def test_equal_schedules_are_one_key():
    """Packing puts jobs with equal schedules side by side: they hash by value, chains and milestones too."""
    one, same, other = (
        Schedule("piecewise", milestones=((0.5, rate),), until=0.7, then=Schedule("cosine")) for rate in (0.1, 0.1, 0.2)
    )
    assert {one: 1, same: 2} == {one: 2}
    assert one != other


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_kind_by_its_name_is_its_schedule_with_defaults(kind):
    """What fit.py asks for by name."""
    np.testing.assert_array_equal(SCHEDULES[kind](17), rates(Schedule(kind), 17))
    assert SCHEDULES.keys() == SHAPES.keys()


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "cosin"}, {"warmup": 1.0}, {"every": 0.0}, {"cycles": 0}, {"milestones": ((0.5, 1.0), (0.2, 0.1))}],
)
def test_a_schedule_that_cannot_be_is_refused(wrong):
    """Settings check first; what gets here is a fault of ours."""
    with pytest.raises(AssertionError):
        Schedule(**wrong)


# --- plateau

RULES = (
    Plateau(factor=0.5, patience=2, threshold=1e-4),
    Plateau(factor=0.1, patience=0, threshold=0.05),
    Plateau(factor=0.3, patience=1, threshold=0.0, floor=0.2),
    Plateau(factor=1.0),
)


def torchs_shares(rule, losses):
    """What ReduceLROnPlateau makes of an lr of 1 after each loss."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    if rule.factor == 1:
        return [1.0] * len(losses)
    schedule = ReduceLROnPlateau(
        optimizer, factor=rule.factor, patience=rule.patience, threshold=rule.threshold, min_lr=rule.floor, eps=0
    )
    found = []
    for loss in losses:
        schedule.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    return found


LOSSES = st.one_of(st.floats(0.01, 1), st.sampled_from([0.5, 0.49, 0.4999, float("nan"), float("inf")]))


def before_training(models):
    """No loss seen, every rate whole."""
    return PlateauState(np.full(models, np.inf), np.zeros(models, dtype=np.int64), np.ones(models))


@given(st.lists(st.tuples(*[LOSSES] * len(RULES)), min_size=1, max_size=15))
def test_a_plateau_is_torchs_for_each_job_of_a_pack(epochs):
    """ReduceLROnPlateau alone on one job, beside four jobs with rules of their own; NaN and inf stay at home."""
    state = before_training(len(RULES))
    everyone = np.ones(len(RULES), dtype=bool)
    expected = np.array([torchs_shares(rule, own) for rule, own in zip(RULES, zip(*epochs, strict=True), strict=True)])
    for epoch, losses in enumerate(epochs):
        state = after_epoch(RULES, state, np.array(losses), everyone)
        np.testing.assert_allclose(state.shares, expected[:, epoch], rtol=1e-12)


def test_only_jobs_whose_epoch_ended_wait():
    """Two jobs with patience 0: the second one's epoch never ends, whatever stands in its place."""
    rules = (RULES[1], RULES[1])
    state = before_training(2)
    for loss in (1.0, 2.0, 2.0):
        state = after_epoch(rules, state, np.array([loss, 0.5]), np.array([True, False]))
    assert state.shares == pytest.approx([0.01, 1.0])
    assert state.waited.tolist() == [0, 0]
    assert state.best.tolist() == [1.0, np.inf]


def test_a_plateaus_state_is_never_changed_in_place():
    """State in, state out: a checkpoint that holds the old one still holds it."""
    before = before_training(2)
    after_epoch(RULES[:2], before, np.array([1.0, 2.0]), np.array([True, True]))
    assert before.best.tolist() == [np.inf, np.inf]
    assert before.waited.tolist() == [0, 0]


def test_a_negative_loss_is_better_only_if_it_falls():
    """A threshold of 10 %: from -1, -1.05 is not enough and -1.2 is (torch would take even -0.95)."""
    rule = (Plateau(factor=0.5, patience=9, threshold=0.1),)
    state = before_training(1)
    for loss, best in ((-1.0, -1.0), (-0.95, -1.0), (-1.05, -1.0), (-1.2, -1.2)):
        state = after_epoch(rule, state, np.array([loss]), np.array([True]))
        assert state.best.tolist() == [best]


def test_compaction_keeps_what_each_job_has_waited():
    """Jobs 2 and 0 go on, in that order."""
    state = after_epoch(RULES[:3], before_training(3), np.array([1.0, 2.0, np.nan]), np.ones(3, dtype=bool))
    kept = state.keep(np.array([2, 0]))
    assert kept.best.tolist() == [np.inf, 1.0]
    assert kept.waited.tolist() == [1, 0]
    assert kept.shares.tolist() == [1.0, 1.0]
