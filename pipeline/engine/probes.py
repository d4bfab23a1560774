"""A loss or a network of the user's, tried on a few numbers before anything is trained with it.

A pack trains networks side by side, each on its own rows, some of which do not count. So a loss must be computed entry
by entry, and a network row by row; what is drawn at random must be drawn by us, or alone would not equal company.
Every fault is a ConfigError that says what was expected and what was found.
"""

from __future__ import annotations

import traceback
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.parameter import is_lazy

from pipeline.engine.losses import loss_of
from pipeline.engine.modules import PREFIX, build, parameters, together
from pipeline.errors import ConfigError
from pipeline.usercode import blamed, described

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.engine.losses import Loss
    from pipeline.fits import Network

CLOSE = 1e-4  # of the largest magnitude: what rounding in fp32 may move
ROWS = 5
SHIFTS = (0.0, -10.0, -1.0, 1.0, 10.0)  # of all outputs together, in spreads of the targets
DECIDES = ("data-dependent control flow", "calling .item()")  # what torch.func.vmap says of Python that looks at values
TORCH = Path(torch.__file__).parent


@lru_cache(maxsize=32)
def check_loss(name: str, function: Callable[..., object], targets: tuple[float, ...]) -> None:
    """Try a loss of the user's on some targets as the network sees them, once. Raises ConfigError if it will not do.

    function: what `name` leads to, so that it is tried again after an edit.
    """
    loss, what = loss_of(name), f"train.custom_loss = {name!r}"
    kept = torch.tensor([targets] * 3, dtype=torch.float32)
    spread = float(kept[0].max() - kept[0].min()) or 1.0
    # as a network begins, without an error at all, and with errors of both signs
    errors = spread * torch.linspace(-0.6, 0.7, len(targets))
    outputs = torch.stack([torch.zeros_like(kept[0]), kept[1], kept[2] + errors]).requires_grad_()
    losses = loss(outputs, kept)
    if losses.shape != outputs.shape:
        raise ConfigError(
            f"{what}: expected a loss for each row, shape {list(outputs.shape)}, found {list(losses.shape)}; do not "
            f"take the mean, the training does"
        )
    for given in (torch.float32, torch.float64):
        found = loss(outputs.to(given), kept.to(given)).dtype
        if found != given:
            raise ConfigError(f"{what}: expected {given} as it was handed, found {found}")
    if not losses.requires_grad:
        raise ConfigError(f"{what}: its result has no gradient; compute it with torch alone, from the outputs")
    with torch.no_grad():
        _check_decides_nothing(what, function, outputs.detach(), kept)
        _check_entries(what, loss, outputs.detach(), kept, spread)
        _check_alone(what, loss, outputs.detach().double(), kept.double(), spread)
    _check_numbers(what, losses, outputs, kept)


def _check_numbers(what: str, losses: Tensor, outputs: Tensor, targets: Tensor) -> None:
    [slopes] = torch.autograd.grad(losses.sum(), [outputs], allow_unused=True)
    slopes = torch.zeros_like(outputs) if slopes is None else slopes
    for word, values in (("loss", losses), ("gradient", slopes)):
        if not torch.isfinite(values).all():
            m, j = (~torch.isfinite(values)).nonzero()[0].tolist()
            raise ConfigError(
                f"{what}: its {word} is {values[m, j].item():g} at output {outputs[m, j].item():.4g} and target "
                f"{targets[m, j].item():.4g}; expected a finite number"
            )
    if not slopes.any():
        raise ConfigError(f"{what}: its gradient is 0 everywhere, so nothing would be learned")


def _check_entries(what: str, loss: Loss, outputs: Tensor, targets: Tensor, spread: float) -> None:
    """Every loss depends on its own output and target alone."""
    before, last = loss(outputs, targets), outputs.shape[1] - 1
    for m, j, place in ((m, j, place) for m, j in ((0, 0), (1, 1), (2, last)) for place in (0, 1)):
        moved = [outputs.clone(), targets.clone()]
        moved[place][m, j] += 0.37 * spread
        changed = ~torch.isclose(loss(moved[0], moved[1]), before, rtol=CLOSE, atol=0, equal_nan=True)
        changed[m, j] = False
        if changed.any():
            k, i = changed.nonzero()[0].tolist()
            raise ConfigError(
                f"{what}: the {('output', 'target')[place]} of network {m}, row {j} changes the loss of "
                f"{'another row' if k == m else 'another network'} ({k}, {i}); expected each entry from its own output "
                f"and target alone"
            )


def _check_alone(what: str, loss: Loss, outputs: Tensor, targets: Tensor, spread: float) -> None:
    """No loss depends on how many others there are, nor on where they lie."""
    for shift in SHIFTS:
        moved = outputs + shift * spread
        among = loss(moved, targets)
        rounding = 1e-9 * float(among[among.isfinite()].abs().max()) if among.isfinite().any() else 0.0
        for m, j in torch.cartesian_prod(*map(torch.arange, moved.shape)).tolist():
            alone = loss(moved[m : m + 1, j : j + 1], targets[m : m + 1, j : j + 1])
            if alone.shape == (1, 1) and torch.allclose(alone, among[m, j], rtol=CLOSE, atol=rounding, equal_nan=True):
                continue
            raise ConfigError(
                f"{what}: a row alone has another loss ({alone.flatten().tolist()}) than among others "
                f"({among[m, j].item():g}); expected each entry from its own output and target alone"
            )


def _check_decides_nothing(what: str, function: Callable[..., object], outputs: Tensor, targets: Tensor) -> None:
    """No line of theirs looks at the numbers to decide what to compute: it would decide for all networks at once.

    torch's own code may, as it checks arguments. Whatever else vmap cannot run is computed without it.
    """
    try:
        vmap(function)(*(values.reshape(-1, 1, 1) for values in (outputs, targets)))
    except Exception as error:  # noqa: BLE001 - only one kind of fault is looked for here
        [*_, frame] = traceback.extract_tb(error.__traceback__)
        if any(words in str(error) for words in DECIDES) and not Path(frame.filename).is_relative_to(TORCH):
            where = described(error).partition(f"{type(error).__name__}: ")[0]
            raise ConfigError(
                f"{what}: {where}an `if`, `assert`, `float()` or the like on values decides for all networks and rows "
                f"at once; choose entry by entry with torch.where"
            ) from None


@lru_cache(maxsize=32)
def tensors_of(network: Network, builder: Callable[..., object]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Name and shape of each parameter of the user's module.

    builder: the function that `network.custom` names; the module is tried once. Raises ConfigError for one that cannot
    be trained in a pack.
    """
    what = f"model.custom = {network.custom!r}"
    first, again, other = (build(network, builder, seed) for seed in (1, 1, 2))
    _check_parameters(what, first)
    for word, one, two in (("parameter", first, again), ("buffer", first, again), ("buffer", first, other)):
        own, twin = (dict(m.named_parameters() if word == "parameter" else m.named_buffers()) for m in (one, two))
        for name in own.keys() | twin.keys():
            if name not in own or name not in twin or not torch.equal(own[name], twin[name]):
                kind = "buffer" if two is other else "thing"
                remedy = "make it a parameter" if two is other else "draw with torch's own generator only"
                raise ConfigError(f"{what}: {word} {name!r} is another {kind} each time it is built; {remedy}")
    _check_forward(what, network, first.train())
    _check_together(what, network, builder, [first, other])
    return tuple((PREFIX + name, tuple(parameter.shape)) for name, parameter in parameters(first).items())


def _check_parameters(what: str, module: nn.Module) -> None:
    named = parameters(module)
    if not named:
        raise ConfigError(f"{what}: the module has no parameters, so there is nothing to train")
    for name, parameter in named.items():
        if is_lazy(parameter):
            raise ConfigError(f"{what}: parameter {name!r} has no shape yet (a lazy layer); give it its size")
        if not parameter.is_floating_point() or not parameter.requires_grad:
            raise ConfigError(f"{what}: parameter {name!r} is not trained; make it a buffer")
        if not torch.isfinite(parameter).all():
            raise ConfigError(f"{what}: parameter {name!r} begins with numbers that are not finite")


def _rows(network: Network, seed: int) -> Tensor:
    return torch.randn(ROWS, network.inputs, generator=torch.Generator().manual_seed(seed))


def _check_forward(what: str, network: Network, module: nn.Module) -> None:
    """A module in training: shape, draws, what it remembers, and that each row is answered from itself."""
    rows = _rows(network, 0)
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with blamed(f"{what}: its forward pass on [{ROWS}, {network.inputs}] failed"), torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        found = module(rows)
        drawn = not torch.equal(before, torch.get_rng_state())
    if drawn:
        raise ConfigError(
            f"{what}: its forward pass draws random numbers{_named(module, 'Dropout')}; leave that out, for each "
            f"network's draws must not depend on its neighbours"
        )
    changed = [name for name, buffer in module.named_buffers() if not torch.equal(buffer, kept[name])]
    if changed:
        named = f"{', '.join(changed)}{_named(module, 'BatchNorm')}"
        raise ConfigError(
            f"{what}: its forward pass changes {named}; expected a module that remembers nothing of its rows, for "
            f"example with LayerNorm"
        )
    _check_answers(what, network, found)
    moved = rows.clone()
    moved[1] += 1
    with blamed(f"{what}: its forward pass on [1, {network.inputs}] failed"), torch.no_grad():
        others = module(moved)
        alone = module(rows[:1])
    keep = [0, *range(2, ROWS)]
    close = CLOSE * max(1.0, float(found.detach().abs().max()))
    if alone.shape != (1, network.outputs) or not all(
        torch.allclose(one, found[own], rtol=0, atol=close) for one, own in ((others[keep], keep), (alone, [0]))
    ):
        raise ConfigError(f"{what}: a row's answer depends on the other rows of its batch; expected each row by itself")


def _check_answers(what: str, network: Network, found: object) -> None:
    wanted = [ROWS, network.outputs]
    if not isinstance(found, Tensor):
        raise ConfigError(f"{what}: expected a tensor {wanted}, found {type(found).__name__}")
    if list(found.shape) != wanted:
        raise ConfigError(f"{what}: expected outputs of shape {wanted}, found {list(found.shape)}")
    if not torch.isfinite(found).all():
        raise ConfigError(f"{what}: its outputs on standard normal rows are not finite")


def _check_together(what: str, network: Network, builder: Callable[..., object], pair: Sequence[nn.Module]) -> None:
    """Two networks as one program say what each says alone, and every parameter has a gradient."""
    for dtype in (torch.float32, torch.float64):
        # a look into a network after its training is taken in float64
        own = [torch.stack(both).detach().to(dtype) for both in zip(*map(_values, pair), strict=True)]
        tensors = [tensor.requires_grad_() for tensor in own]
        rows = torch.stack([_rows(network, 1), _rows(network, 2)]).to(dtype)
        with blamed(f"{what}: two of it do not run as one in {dtype} (torch.func.vmap)"):
            found = together(network, builder, training=True, like=(rows.device, dtype))(tuple(tensors), rows)
            slopes = torch.autograd.grad(found.sum(), tensors, allow_unused=True)
        with blamed(f"{what}: its forward pass in {dtype} failed"):
            alone = torch.stack([module.to(dtype)(one) for module, one in zip(pair, rows, strict=True)])
        _check_alike(what, pair[0], (found, alone), slopes)


def _check_alike(what: str, module: nn.Module, found: tuple[Tensor, Tensor], slopes: Sequence[Tensor | None]) -> None:
    both, alone = found
    unused = [name for name, slope in zip(parameters(module), slopes, strict=True) if slope is None]
    if unused:
        raise ConfigError(f"{what}: its outputs do not depend on {', '.join(unused)}; leave out what is not used")
    if not torch.allclose(both, alone, rtol=0, atol=CLOSE * max(1.0, float(alone.detach().abs().max()))):
        raise ConfigError(f"{what}: two of it run as one say something else than each alone")


def _values(module: nn.Module) -> list[Tensor]:
    return list(parameters(module).values())


def _named(module: nn.Module, word: str) -> str:
    """Layers whose class has this word in its name, for a message."""
    layers = [f"{name or 'itself'}: {layer}" for name, layer in module.named_modules() if word in type(layer).__name__]
    return f" ({'; '.join(layers)})" if layers else ""
