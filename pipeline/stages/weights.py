"""Trained networks -> what training did to their weights, beside the weights they started from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.draws import job_key
from pipeline.engine.init import DATA_DRIVEN
from pipeline.engine.views import (
    heat_maps,
    histograms,
    input_weights,
    redrawn_weights,
    rows_looked_at,
    tensor_facts,
    unit_facts,
)
from pipeline.facts import InputWeights, Size, TensorFacts, UnitFacts, WeightFacts
from pipeline.stages.learners import DTYPES, PRODUCTS
from pipeline.tabular.cells import spread_rows
from pipeline.tabular.features import matrix_for, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.fits import Fits, Job
    from pipeline.tables import Compute, Design, Floats, Integers, Singles

MOST_WEIGHTS = 20_000_000  # of all networks looked at together: a few seconds
MOST_ROWS = 1024  # on which units are watched
MOST_INPUTS = 20  # named


@dataclass(frozen=True, slots=True)
class _Looked:
    """One network."""

    tensors: tuple[TensorFacts, ...]
    units: tuple[UnitFacts, ...]
    drawn: Floats  # [D] what the first layer's weights come to, input by input
    trained: Floats  # [D]


def weight_facts(design: Design, fits: Fits) -> WeightFacts:
    """Look into the networks: tables of all of them (of some, evenly spread, where they are too many), pictures of one.

    The first network, of the first fold and seed, stands for the others in the pictures.
    """
    torch.set_num_threads(fits.compute.threads)
    most = max(1, MOST_WEIGHTS // fits.network.parameters)
    chosen = spread_rows(len(fits.jobs), most)
    rows = {fold: _watched_rows(design, fold) for fold in sorted({fits.jobs[i].fold for i in chosen})}
    looked = [_look(design, fits, int(i), rows[fits.jobs[i].fold]) for i in chosen]
    first = fits.jobs[0]
    before, after = _before(design, fits, first), _after(fits, 0)
    return WeightFacts(
        network=fits.network,
        networks=len(looked),
        of=len(fits.jobs),
        fold=first.fold + 1,
        seed=first.seed,
        rows=max(map(len, rows.values())),
        tensors=tuple(_mean_tensor(same) for same in zip(*(one.tensors for one in looked), strict=True)),
        units=tuple(_mean_units(same) for same in zip(*(one.units for one in looked), strict=True)),
        inputs=_largest_inputs(design.columns, looked, is_signed=not fits.network.hidden),
        histograms=histograms(fits.network, before, after),
        heat_maps=heat_maps(fits.network, after, design.columns),
    )


def _look(design: Design, fits: Fits, number: int, rows: torch.Tensor) -> _Looked:
    before, after = _before(design, fits, fits.jobs[number]), _after(fits, number)
    return _Looked(
        tensors=tensor_facts(fits.network, before, after),
        units=unit_facts(fits.network, before, after, rows.to(DTYPES[fits.compute.precision])),
        drawn=np.abs(input_weights(fits.network, before)),
        trained=input_weights(fits.network, after),
    )


def _before(design: Design, fits: Fits, job: Job) -> list[Singles]:
    key = job_key(job.seed, job.fold)
    rows = None
    if fits.network.init == DATA_DRIVEN:
        rows = _matrix(design, job.fold, rows_looked_at(key, _train_rows(design, job.fold)), fits.compute)
    return redrawn_weights(fits.network, key, DTYPES[fits.compute.precision], rows)


def _after(fits: Fits, number: int) -> list[Singles]:
    return [fits.weights[name][number] for name in fits.network.tensor_names]


def _train_rows(design: Design, fold: int) -> Integers:
    return design.refit_rows if fold == design.folds.count else design.folds.train[fold]


def _watched_rows(design: Design, fold: int) -> torch.Tensor:
    own = _train_rows(design, fold)
    return torch.from_numpy(matrix_for(design, fold, rows_of(design, fold, own[spread_rows(len(own), MOST_ROWS)])))


def _matrix(design: Design, fold: int, rows: Integers, compute: Compute) -> torch.Tensor:
    """Rows as training saw them: rounded to the precision of its products."""
    matrix = torch.from_numpy(matrix_for(design, fold, rows_of(design, fold, rows)))
    return matrix.to(PRODUCTS.get(compute.precision, DTYPES[compute.precision]))


def _mean_tensor(same: Sequence[TensorFacts]) -> TensorFacts:
    one = same[0]
    return TensorFacts(
        layer=one.layer,
        kind=one.kind,
        shape=one.shape,
        before=_mean_size([tensor.before for tensor in same]),
        after=_mean_size([tensor.after for tensor in same]),
        theory=one.theory,
        moved=_mean([tensor.moved for tensor in same]),
    )


def _mean_size(sizes: Sequence[Size]) -> Size:
    return Size(
        mean=_mean([size.mean for size in sizes]),
        std=_mean([size.std for size in sizes]),
        largest=_mean([size.largest for size in sizes]),
    )


def _mean_units(same: Sequence[UnitFacts]) -> UnitFacts:
    return UnitFacts(
        layer=same[0].layer,
        units=same[0].units,
        reach=_mean_pair([units.reach for units in same]),
        dead=_mean_pair([units.dead for units in same]),
        saturated=_mean_pair([units.saturated for units in same]),
    )


def _mean_pair(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return _mean([before for before, _ in pairs]), _mean([after for _, after in pairs])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _largest_inputs(columns: Sequence[str], looked: Sequence[_Looked], *, is_signed: bool) -> InputWeights:
    by_network = np.array([one.trained for one in looked])
    mean = by_network.mean(axis=0)
    largest = np.argsort(-np.abs(mean), kind="stable")[:MOST_INPUTS]
    return InputWeights(
        names=tuple(columns[i] for i in largest),
        mean=mean[largest],
        low=by_network.min(axis=0)[largest],
        high=by_network.max(axis=0)[largest],
        drawn=_mean([float(one.drawn.mean()) for one in looked]),
        of=len(columns),
        is_signed=is_signed,
    )
