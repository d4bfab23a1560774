"""Networks that the user wrote: M copies of one torch module, trained as one program.

Their function `build(inputs, outputs, **options)` gives a module from [B, inputs] to [B, outputs]. Its parameters are
stacked over M and the module is run on all of them at once (torch.func.functional_call under vmap). `probes` says which
modules can be trained so.
"""

from __future__ import annotations

import contextlib
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from pipeline.errors import ConfigError
from pipeline.usercode import blamed, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.fits import Network

    Builder = Callable[..., object]
    Together = Callable[[tuple[Tensor, ...], Tensor], Tensor]  # (stacked parameters, rows [M, B, D]) -> [M, B, outputs]


PREFIX = "module."  # of the names of their tensors, so that none looks like one of our own layers' ("0.weight")


def outputs(
    network: Network, tensors: Sequence[Tensor], rows: Tensor, *, product: torch.dtype | None, training: bool
) -> Tensor:
    """Outputs [M, B, outputs] of M networks, each on its own rows [M, B, D], in the precision of the tensors.

    product: the precision of matrix products; norms and sums keep that of the tensors, as torch.autocast has it.
    """
    like = tensors[0]
    if not rows.shape[1]:
        return like.new_zeros(len(rows), 0, network.outputs)
    run = together(network, load(network.custom), training=training, like=(like.device, like.dtype))
    device = like.device.type
    halved = torch.autocast(device, product, cache_enabled=False) if product else contextlib.nullcontext()
    with halved, blamed(f"model.custom = {network.custom!r}: its forward pass failed"):
        return run(tuple(tensors), rows.to(like.dtype)).to(like.dtype)


def initial_tensors(network: Network, seeds: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Fresh parameters of one module for each seed [M], in the order of the network's tensors.

    Every module is built by itself, so that its weights do not depend on its company.
    """
    builder = load(network.custom)
    built = [parameters(build(network, builder, seed)) for seed in seeds.tolist()]
    names = [name.removeprefix(PREFIX) for name, _ in network.custom_tensors]
    return [torch.stack([own[name].detach() for own in built]).to(seeds.device, dtype) for name in names]


def parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """By name; one that stands in two places is named once."""
    return dict(module.named_parameters())


def build(network: Network, builder: Builder, seed: int) -> nn.Module:
    """The user's module on the CPU, its draws from torch's generator made from this seed, which is put back after.

    Raises ConfigError where their function fails, or gives something else.
    """
    name, options = network.custom, dict(network.custom_options)
    asked = ", ".join([f"{network.inputs}, {network.outputs}", *(f"{key}={value!r}" for key, value in options.items())])
    what = f"model.custom = {name!r}: {name.rpartition(':')[2]}({asked}) failed"
    with torch.random.fork_rng(devices=[]), blamed(what):
        torch.default_generator.manual_seed(seed)
        module = builder(network.inputs, network.outputs, **options)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"model.custom = {name!r}: expected a torch.nn.Module, found {type(module).__name__}")
    return module


@lru_cache(maxsize=32)
def together(network: Network, builder: Builder, *, training: bool, like: tuple[torch.device, torch.dtype]) -> Together:
    """The program that runs a stack of modules. Kept: it is asked for at every step.

    builder: the function that `network.custom` names; another one after its file was edited.
    """
    # constants of the module are the same in every copy, see probes; its own parameters are never read
    with torch.inference_mode(mode=False):  # what is first asked for by a prediction may later be trained
        template = build(network, builder, seed=0).to(*like).train(training)
    names = list(parameters(template))

    def alone(own: Sequence[Tensor], rows: Tensor) -> Tensor:
        given: Mapping[str, Tensor] = dict(zip(names, own, strict=True))
        found: Tensor = functional_call(template, dict(given), (rows,))
        return found

    return vmap(alone)
