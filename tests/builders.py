"""Small generated jobs, tables and designs that a reader can check by hand, shared by the tests."""

import csv
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from pipeline.engine.data import Data
from pipeline.engine.draws import job_key
from pipeline.engine.optimizers import Rule
from pipeline.engine.packing import Assignment
from pipeline.engine.schedules import Schedule
from pipeline.engine.sources import Resident
from pipeline.facts import HeatMap, Histogram, InputWeights, Size, TensorFacts, UnitFacts, WeightFacts
from pipeline.fits import Network
from pipeline.runtime import Runtime
from pipeline.settings import FoldSettings, Preprocess, Schema, Target
from pipeline.stages.ingest import ingest
from pipeline.stages.preprocess import preprocess
from pipeline.tables import Compute, RawTable, RawTables
from pipeline.training_settings import Model, Train

# --- the engine

SMALL_NETWORK = Network(inputs=3, hidden=(5, 4), activation="relu", init="pytorch", init_scale=0.01)
PLAIN_ADAMW = Rule(decoupled=True, weight_decay=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8)
PLAIN_JOB = Assignment(
    key=job_key(0, 0),
    network=SMALL_NETWORK,
    train_rows=np.arange(10),
    valid_rows=np.arange(10, 14),
    rule=PLAIN_ADAMW,
    lr=0.01,
    schedule=Schedule("constant"),
    loss="mse",
    dropout=0.0,
    epochs=5,
    batch_size=4,
    patience=0,
    restore_best=True,
)


def job(**changes):
    """Ten training rows in batches of 4 (3 steps an epoch), 5 epochs, no dropout; with the given changes."""
    if isinstance(changes.get("schedule"), str):
        changes["schedule"] = Schedule(changes["schedule"])
    return replace(PLAIN_JOB, **changes)


def rows_and_target(rows=40, inputs=3, *, dtype=torch.float64, seed=0):
    """Standard normal rows [R, D] and a target [R] that bends along the first column."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, inputs, generator=generator, dtype=torch.float64)
    target = matrix[:, 0] ** 2 - matrix[:, -1] + 0.1 * torch.randn(rows, generator=generator, dtype=torch.float64)
    return matrix.to(dtype), target.to(dtype)


def resident(matrix, target, product=None):
    """Data whose rows [R, D] lie on the device of the target."""
    return Data(Resident(matrix), target, product)


# --- tables


def table(text, file="train.csv", decimal="."):
    """A table of texts from CSV lines, as `reading.table.read_table` gives it."""
    header, *rows = csv.reader(io.StringIO(text))
    cells = {name: pa.array([row[i] for row in rows], pa.string()) for i, name in enumerate(header)}
    return RawTable(file, pa.table(cells), line_of=lambda row: row + 2, decimal=decimal)


def typed(columns, file="train.parquet"):
    """A table whose columns have types, as a Parquet file gives it."""
    return RawTable(file, pa.table(columns), line_of=lambda row: row + 1)


def raw_tables(train, test=None, sample=None, sides=None):
    """RawTables from CSV texts; the files are called train.csv, test.csv and sample.csv."""
    return RawTables(
        train=table(train),
        test=None if test is None else table(test, "test.csv"),
        sample=None if sample is None else table(sample, "sample.csv"),
        sides={name: table(text, name) for name, text in (sides or {}).items()},
    )


def csv_of(frame):
    """CSV text of a frame."""
    return frame.to_csv(index=False, lineterminator="\n")


def generated_frames(train_rows=30, test_rows=8, seed=0):
    """A train and a test frame: Id, two numerics with gaps, a colour with gaps, and y around 100."""
    random = np.random.default_rng(seed)
    rows = train_rows + test_rows
    area, age = random.normal(50, 10, rows).round(2), random.integers(0, 30, rows).astype(float)
    colour = random.choice(np.array(["red", "green", "blue", None], dtype=object), rows)
    y = (2 * area + 3 * (colour == "red") + random.normal(0, 1, rows)).round(3)
    age[random.random(rows) < 0.2] = np.nan
    ids = [f"r{row}" for row in range(rows)]
    frame = pd.DataFrame({"Id": ids, "area": area, "age": age, "colour": colour, "y": y})
    return frame[:train_rows], frame[train_rows:].drop(columns="y").reset_index(drop=True)


def generated_dataset(train_rows=30, test_rows=8, *, metric="rmse", seed=0):
    """The generated frames, ingested."""
    train, test = generated_frames(train_rows, test_rows, seed)
    return ingest(raw_tables(csv_of(train), csv_of(test)), roles=Schema(id="Id", target="y"), metric=metric)


def design_of(dataset, *, metric="rmse", folds=3, shuffle=True, preparation=None, target=None):
    """The design of a dataset: 3 shuffled folds, statistics per fold."""
    return preprocess(
        dataset,
        preprocess=preparation or Preprocess(),
        target=target or Target(),
        folds=FoldSettings(count=folds, shuffle=shuffle),
        metric=metric,
    )


# --- training

SMALL_MODEL = Model(depth=1, width=6, dropout=0.1)
SHORT_TRAINING = Train(epochs=4, batch_size=8, lr=0.02, seeds=2, precision="fp64")


def on_cpu(precision="fp32", **lent):
    """One thread of a CPU, as the shell lends it."""
    return Runtime(Compute(device="cpu", threads=1, precision=precision), **lent)


# --- the report


def weight_facts_of(network=None, *, names=("x", "y", "z"), networks=4):
    """Facts of weights with round numbers: drawn at a std of 0.5, trained to 0.25, half of the units dead."""
    network = network or replace(SMALL_NETWORK, hidden=(4, 2))
    matrices = {name: shape for name, shape in network.trained.items() if name.endswith((".weight", ".skip"))}
    places = {name: (int(name.partition(".")[0]), name.partition(".")[2]) for name in network.trained}
    maps = [(layer, sizes) for layer, sizes in enumerate(network.layer_sizes) if sizes[1] > 1][:2]
    values = np.arange(len(names), 0, -1.0)
    return WeightFacts(
        network=network, networks=networks, of=networks, fold=1, seed=0, rows=100,
        tensors=tuple(
            TensorFacts(*places[name], shape, Size(0.0, 0.5, 1.0), Size(0.125, 0.25, 2.0), 0.5, 0.75)
            for name, shape in network.trained.items()
        ),
        units=tuple(
            UnitFacts(layer, units, (1.0, 2.0), (0.0, 0.5), (0.25, 0.75)) for layer, units in enumerate(network.hidden)
        ),
        inputs=InputWeights(tuple(names), values, values - 0.5, values + 0.5, 0.5, 300, not network.hidden),
        histograms=tuple(
            Histogram(*places[name], shape, np.linspace(-1, 1, 10), np.arange(9), np.arange(9)[::-1])
            for name, shape in matrices.items()
        ),
        heat_maps=tuple(
            HeatMap(layer, sizes, np.arange(1.0 + sizes[0] * sizes[1])[1:].reshape(sizes), () if layer else names)
            for layer, sizes in maps
        ),
    )  # fmt: skip
