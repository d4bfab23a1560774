"""The step as two Triton kernels: the coefficients of all models, then one pass over a tensor of all models.

Only `kernel` imports this module, since it needs Triton. The arithmetic is that of `written`, operation by operation.
Triton reads the source of these functions: only what `triton.language` knows may stand in them.
"""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, ANN202, PLR0913, PLR0915, PLR0917, PLR1714, SIM108 - a kernel is one flat function

from __future__ import annotations

from importlib import import_module

# by name: the digest of a stage asks the version of each library that its modules import, and this one may be absent
triton = import_module("triton")
tl = import_module("triton.language")


@triton.jit(do_not_specialize=["models", "width"])
def coefficients(
    taken,  # int64 [M], counted on here
    lr_table,  # float64 [M, width], decay_table too
    decay_table,
    fixed,  # float64 [9, M], the rows in the order of `rules.FIXED`
    factors,  # float64 [FACTORS, 2]: on lr, on decay
    frozen,  # bool [M]
    now,  # [FACTORS, M, 16], in the precision of the weights: what `update` reads
    models,
    width,
    KIND: tl.constexpr,
    FACTORS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Every coefficient of this step, computed in float64; then each model's count goes on unless it is frozen."""
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    here = m < models
    count = tl.load(taken + m, mask=here, other=0)
    at = m.to(tl.int64) * width + tl.minimum(count, width - 1)
    lr = tl.load(lr_table + at, mask=here, other=0.0)
    share = tl.load(decay_table + at, mask=here, other=0.0)
    beta1 = tl.load(fixed + m, mask=here, other=0.0)
    beta2 = tl.load(fixed + models + m, mask=here, other=0.0)
    floor = tl.load(fixed + 2 * models + m, mask=here, other=0.0)
    momentum = tl.load(fixed + 3 * models + m, mask=here, other=0.0)
    nesterov = tl.load(fixed + 4 * models + m, mask=here, other=0.0)
    shrink = tl.load(fixed + 5 * models + m, mask=here, other=0.0) * share
    penalty = tl.load(fixed + 6 * models + m, mask=here, other=0.0) * share
    one = tl.full((BLOCK,), 1.0, tl.float64)
    rate = lr
    correction = one
    keep = momentum
    take = one
    after = one - one
    if KIND == "adam" or KIND == "adam_then_sgd":
        steps = (count + 1).to(tl.float64)
        root = tl.sqrt(1.0 - _power(beta2, steps))
        correction = root / (1.0 - _power(beta1, steps))
        floor = floor * root
        keep = beta1
        take = 1.0 - beta1
    if KIND == "adam_then_sgd":
        switch = tl.load(fixed + 7 * models + m, mask=here, other=0.0)
        since = count.to(tl.float64) - switch
        switch_lr = tl.load(fixed + 8 * models + m, mask=here, other=0.0)
        after = tl.where(since >= 0.0, 1.0, after)
        rate = tl.where(since >= 0.0, lr * switch_lr, lr)
        correction = tl.where(since >= 0.0, 1.0, correction)
        # 0 at the switch forgets Adam's moment
        keep = tl.where(since >= 0.0, tl.where(since > 0.0, momentum, 0.0), keep)
        take = tl.where(since >= 0.0, 1.0, take)
        nesterov = tl.where(since >= 0.0, nesterov, 0.0)
    for pair in tl.static_range(FACTORS):
        lr_factor = tl.load(factors + 2 * pair)
        decay_factor = tl.load(factors + 2 * pair + 1)
        line = now + (pair * models + m) * 16
        tl.store(line, rate * lr_factor * correction, mask=here)
        tl.store(line + 1, 1.0 - rate * lr_factor * decay_factor * shrink, mask=here)
        tl.store(line + 2, penalty * decay_factor, mask=here)
        tl.store(line + 3, keep, mask=here)
        tl.store(line + 4, take, mask=here)
        tl.store(line + 5, 1.0 - beta2, mask=here)
        tl.store(line + 6, floor, mask=here)
        tl.store(line + 7, momentum, mask=here)
        tl.store(line + 8, nesterov, mask=here)
        tl.store(line + 9, after, mask=here)
    moves = tl.load(frozen + m, mask=here, other=1) == 0
    tl.store(taken + m, count + 1, mask=here & moves)


@triton.jit
def update(
    weights,  # [M, n], in place; gradients [M, n], first and second alike
    gradients,
    first,
    second,
    now,  # [M, 16], written by `coefficients`
    frozen,  # bool [M]
    n,  # values of one model
    KIND: tl.constexpr,
    FIRST: tl.constexpr,  # whether there is a first moment
    BLOCK: tl.constexpr,
):
    """One pass over a tensor of every model: weights, gradient and moments in, weights and moments out."""
    blocks = tl.cdiv(n, BLOCK)
    program = tl.program_id(0)
    m = (program // blocks).to(tl.int64)
    place = program % blocks * BLOCK + tl.arange(0, BLOCK)
    # nothing of a frozen model is read or written, so that no NaN of it can spread
    inside = (place < n) & (tl.load(frozen + m) == 0)
    at = m * n + place
    line = now + m * 16
    rate = tl.load(line)
    w = tl.load(weights + at, mask=inside, other=0.0)
    pull = tl.load(gradients + at, mask=inside, other=0.0) + w * tl.load(line + 2)
    w = w * tl.load(line + 1)
    step = pull
    if KIND == "adagrad":
        squares = tl.load(second + at, mask=inside, other=0.0) + pull * pull
        tl.store(second + at, squares, mask=inside)
        step = _divided(pull, _root(squares) + tl.load(line + 6))
    if KIND == "rmsprop" or KIND == "adam" or KIND == "adam_then_sgd":
        squares = _between(tl.load(second + at, mask=inside, other=0.0), pull * pull, tl.load(line + 5))
        tl.store(second + at, squares, mask=inside)
        root = _root(squares) + tl.load(line + 6)
        if KIND == "rmsprop":
            step = _divided(pull, root)
    if FIRST:
        keep = tl.load(line + 3)
        before = tl.load(first + at, mask=inside, other=0.0)
        if KIND == "adam":
            moment = _between(before, pull, tl.load(line + 4))
            step = _divided(moment, root)
        elif KIND == "adam_then_sgd":
            moment = before * keep + pull * tl.load(line + 4)
            ahead = tl.where(tl.load(line + 8) != 0.0, pull + moment * tl.load(line + 7), moment)
            step = _divided(ahead, tl.where(tl.load(line + 9) != 0.0, 1.0, root))
        elif KIND == "sgd":
            moment = pull + before * keep
            step = tl.where(tl.load(line + 8) != 0.0, pull + moment * tl.load(line + 7), moment)
        else:
            moment = step + before * keep
            step = moment
        tl.store(first + at, moment, mask=inside)
    tl.store(weights + at, w - step * rate, mask=inside)


@triton.jit
def _power(base, exponent):
    """In float64; a base of 0 gives what rounds to 0 beside 1."""
    return tl.exp(exponent * tl.log(tl.maximum(base, 1e-300)))


@triton.jit
def _between(a, b, share):
    """From a to b by that share, reckoned from the nearer end, as torch.lerp does."""
    return tl.where(share < 0.5, a + share * (b - a), b - (b - a) * (1.0 - share))


@triton.jit
def _root(x):
    """Rounded to the nearest; Triton's plain root of a float32 is an estimate."""
    if x.dtype == tl.float32:
        root = tl.sqrt_rn(x)
    else:
        root = tl.sqrt(x)
    return root


@triton.jit
def _divided(x, y):
    """Rounded to the nearest, as above."""
    if x.dtype == tl.float32:
        quotient = tl.div_rn(x, y)
    else:
        quotient = x / y
    return quotient
