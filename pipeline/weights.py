"""Trained weights as one file that any numpy reads: written by `export`, read for `train.warm_start`.

An .npz holds each tensor as `tensor/NAME`, stacked over jobs, and `metadata`, a JSON text. Neither holds a pickle, so
that reading a file of somebody else's runs no code.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from pipeline.errors import ConfigError
from pipeline.files import file_sha256, write_atomically
from pipeline.fits import Job, Network, Weights
from pipeline.progress import say
from pipeline.stages.starts import data_digest, folds_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.fits import Fits
    from pipeline.runner import Runner
    from pipeline.tables import Design, Singles

FORMAT, VERSION = "foldpack weights", 1
PREFIX, METADATA = "tensor/", "metadata"
FILE = "weights.npz"  # in models/NAME/, where no other place is named


def export(runner: Runner, target: str) -> None:
    """Bring the training up to date and write its weights, whole or not at all."""
    fits, design = cast("Fits", runner.value("train")), cast("Design", runner.value("preprocess"))
    path = Path(target) if target else runner.competition.outputs("models") / FILE
    if not path.parent.is_dir() and target:
        raise ConfigError(f"{path}: there is no folder {path.parent}; make it, or name another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "competition": runner.competition.name,
        "metric": fits.metric,
        "network": asdict(fits.network),
        "columns": design.columns,
        "jobs": [[job.fold, job.seed] for job in fits.jobs],
        "scores": [_score(curve.valid, curve.best_epoch) for curve in fits.curves],
        "refit": design.folds.count,
        "data": data_digest(design),
        "folds": folds_digest(design),
        "train_file": runner.train_file,
    }
    write_atomically(path, weights_bytes(fits.weights, metadata))
    say(f"{'export':<11} {'written':<18} {path}  {len(fits.jobs)} networks of {fits.network.parameters:,} parameters")


def weights_bytes(tensors: Mapping[str, Singles], metadata: Mapping[str, object]) -> bytes:
    """The file's content; equal bytes for equal weights."""
    text = json.dumps({"format": FORMAT, "version": VERSION, **metadata}, sort_keys=True)
    stream = io.BytesIO()
    arrays = {METADATA: np.array(text), **{PREFIX + name: tensor for name, tensor in tensors.items()}}
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # its stub takes the names for options
    return stream.getvalue()


def weights_digest(file: str) -> str:
    """sha256 of the file that networks begin with; "none" without one. Raises ConfigError where it is not there."""
    if not file:
        return "none"
    if not Path(file).is_file():
        raise ConfigError(f"train.warm_start = {file!r}: no such file; `python -m pipeline export` writes one")
    return file_sha256(Path(file))


def read_weights(file: str, *, train_file: str) -> Weights | None:
    """The weights in a file, or None where none is named.

    train_file: sha256 of the training file that is used now. Raises ConfigError for a file that `export` did not write,
    or that is damaged.
    """
    if not file:
        return None
    weights_digest(file)
    try:
        arrays = _arrays(Path(file).read_bytes())
        return _weights(file, arrays, train_file)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        if "allow_pickle" in reason:
            reason = "it holds Python objects, which are not read"
        raise ConfigError(
            f"train.warm_start = {file!r}: not a file that `export` wrote, or a damaged one ({reason}); export it again"
        ) from None


def _arrays(content: bytes) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Every array of an archive. Raises ValueError for what is none: numpy would take it for a pickle."""
    stream = io.BytesIO(content)  # not a path: numpy leaves a file open that it cannot read
    if not zipfile.is_zipfile(stream):
        raise ValueError("it is no .npz archive")
    with np.load(stream, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _weights(
    file: str, arrays: Mapping[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], train_file: str
) -> Weights:
    """Raises ValueError, KeyError or TypeError for whatever is not as it should be."""
    metadata = json.loads(str(arrays[METADATA][()]))
    if metadata["format"] != FORMAT or metadata["version"] != VERSION:
        raise ValueError(f"format {metadata['format']!r}, version {metadata['version']!r}")
    network = _network(metadata["network"])
    jobs = tuple(Job(0, int(fold), int(seed)) for fold, seed in metadata["jobs"])
    tensors = {name: arrays[PREFIX + name] for name in network.tensor_names}
    for name, shape in {**network.trained, **network.running}.items():
        if tensors[name].shape != (len(jobs), *shape) or tensors[name].dtype.kind != "f":
            raise ValueError(f"tensor {name} is {tensors[name].dtype} {tensors[name].shape}")
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"tensor {name} has numbers that are not finite")
    return Weights(
        file=file,
        network=network,
        columns=tuple(metadata["columns"]),
        jobs=jobs,
        refit=int(metadata["refit"]),
        tensors=tensors,
        data=str(metadata["data"]),
        folds=str(metadata["folds"]),
        same_file=metadata["train_file"] == train_file,
    )


def _network(values: Mapping[str, object]) -> Network:
    unknown = values.keys() - {field.name for field in fields(Network)}
    if unknown:
        raise ValueError(f"a network with {', '.join(sorted(unknown))}, written by another version")
    return Network(**{name: _frozen(value) for name, value in values.items()})  # type: ignore[arg-type]  # JSON's types


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _score(valid: np.ndarray[tuple[int, ...], np.dtype[np.float64]], best_epoch: int) -> float | None:
    """The judge's loss of the epoch whose weights were kept; None where nobody looked."""
    score = float(valid[best_epoch]) if best_epoch >= 0 else float("nan")
    return score if np.isfinite(score) else None
