"""A sweep of trials side by side, beside the same trials one after the other; what pruning saves; what tuning finds.

python -m benchmarks.sweep speed --data DIR      64 candidates x 5 folds beside `study.optimize` with a DataLoader loop
python -m benchmarks.sweep pruning --data DIR    the default pruner beside none, over study seeds: with --sampler random
                                                 of the same candidates, with tpe the sampler goes its own way in each
python -m benchmarks.sweep tuned --data DIR      200 trials, and the winner scored on folds that it has never seen

A sweep here is the command that a user types, from its start to its end. The loop does what ours does: the same
preprocessing, network, AdamW, one-cycle rate, loss and dropout, a score on the validation rows after each epoch and the
best epoch's weights. (The figures hold for Kaggle's own files.)
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from scipy import stats
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.house_prices import ROOT, prepare
from benchmarks.record import record
from pipeline.devices import resolve_compute
from pipeline.runtime import Runtime
from pipeline.stages.evaluate import evaluate
from pipeline.stages.learners import build_blocks
from pipeline.stages.preprocess import preprocess
from pipeline.stages.setups import Benches, Quest, setup_of
from pipeline.stages.spaces import as_it_stands, suggested
from pipeline.stages.train import train
from pipeline.tabular.metrics import loss
from pipeline.tabular.targets import to_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.search_settings import Search
    from pipeline.stages.setups import Setup
    from pipeline.tables import Design, Floats

LOSSES = {"mse": torch.nn.functional.mse_loss, "huber": torch.nn.functional.huber_loss}
ACTIVATIONS = {"relu": torch.nn.ReLU, "silu": torch.nn.SiLU, "gelu": torch.nn.GELU}
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Swept:
    """A finished sweep. winner: the file that it leaves."""

    seconds: float
    best: float
    counts: dict[str, int]
    winner: dict[str, object]


def main() -> None:
    """The part that was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("speed", "pruning", "tuned"))
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "raw", help="holds house-prices/train.csv …")
    parser.add_argument("--trials", type=int, default=0, help="0: as many as the figure is stated for")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--sampler", default="random", choices=("random", "tpe"), help="of the studies, for pruning")
    parser.add_argument("--seeds", type=int, default=5, help="studies, for pruning")
    parser.add_argument("--warmup-share", type=float, default=0.4, help="of a training before a look, for pruning")
    parser.add_argument("--epochs", type=int, default=0, help="of every training; 0: the configuration's")
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = asked.data / "house-prices"
    if asked.part == "speed":
        speed(folder, asked.trials or 64, asked.epochs)
    elif asked.part == "pruning":
        options = {"trials": asked.trials or 64, "sampler": asked.sampler, "finalists": 0}
        options |= {"warmup_share": asked.warmup_share}
        pruning(folder, options, asked.precision, asked.seeds, asked.epochs)
    else:
        tuned(folder, asked.trials or 200, asked.precision)


# --- the three figures


def speed(folder: Path, trials: int, epochs: int) -> None:
    """Random candidates, trained as a loop and as packs."""
    options = {"trials": trials, "sampler": "random", "pruner": "none", "finalists": 0}
    quest = _quest(folder, "fp32", options, epochs)
    looped = _loop(quest)
    row: dict[str, object] = {
        "what": f"{trials} candidates x 5 folds, no pruning",
        "epochs": epochs or "as searched",
        "loop s": round(looped.seconds, 1),
        "loop best": round(looped.best, 5),
    }
    for precision in ("fp32", "auto"):
        ours = _swept(folder, precision, options, epochs)
        row |= {
            f"{precision} s": round(ours.seconds, 1),
            f"{precision} best": round(ours.best, 5),
            f"{precision} times sooner": round(looped.seconds / ours.seconds, 2),
        }
    record("sweep_speed", [row])


def pruning(folder: Path, options: Mapping[str, object], precision: str, seeds: int, epochs: int) -> None:
    """Studies with the default pruner and without, paired by the study's seed."""
    faster, regrets = [], []
    for seed in range(seeds):
        own = {**options, "seed": seed}
        without = _swept(folder, precision, {**own, "pruner": "none"}, epochs)
        pruned = _swept(folder, precision, own, epochs)
        faster.append(without.seconds / pruned.seconds)
        regrets.append(100 * (pruned.best / without.best - 1))
        print(
            f"seed {seed}: {without.seconds:.1f} s, {pruned.seconds:.1f} s {pruned.counts}, "
            f"best {without.best:.5f} and {pruned.best:.5f}, regret {regrets[-1]:.2f} %",
            flush=True,
        )
    half = stats.t.ppf((1 + CONFIDENCE) / 2, seeds - 1) * statistics.stdev(regrets) / seeds**0.5
    mean = statistics.mean(regrets)
    row: dict[str, object] = {
        "what": f"{options['trials']} trials, {options['sampler']}, {precision}, {seeds} studies, "
        f"search.warmup_share = {options['warmup_share']}",
        "epochs": epochs or "as searched",
        "times sooner, median": round(statistics.median(faster), 2),
        "regret %, mean": round(mean, 2),
        "regret %, 95 % interval": f"{mean - half:.2f} to {mean + half:.2f}",
    }
    record("sweep_pruning", [row])


def tuned(folder: Path, trials: int, precision: str) -> None:
    """Sweep as a user would; then one seed of the winner on the folds of seeds 1 to 4."""
    swept = _swept(folder, precision, {"trials": trials})
    values, score = cast("dict[str, object]", swept.winner["values"]), cast("float", swept.winner["score"])
    print(f"{swept.seconds:.0f} s, {swept.counts}; trial {swept.winner['trial']}: {values}", flush=True)
    fresh = [
        cast("list[float]", one["again"])
        for one in cast("list[dict[str, object]]", swept.winner["finalists"])
        if one["trial"] == swept.winner["trial"]
    ]
    quest = _quest(folder, precision, {})
    scores = [_score(quest, quest.base.with_values(values), seed) for seed in (1, 2, 3, 4)]
    stands = [_score(quest, quest.base, seed) for seed in (1, 2, 3, 4)]
    row = {
        "what": f"{trials} trials, {precision}",
        "minutes": round(swept.seconds / 60, 2),
        "search score": round(score, 5),
        "optimism": round(statistics.mean(fresh[0]) - score, 5),
        "winner, fold seeds 1-4, mean": round(statistics.mean(scores), 5),
        "by fold seed": " ".join(f"{one:.5f}" for one in scores),
        "as it stands, mean": round(statistics.mean(stands), 5),
        "wanted": "<= .97 of RealMLP-TD on the same folds, <= 8 minutes",
    }
    record("sweep_tuned", [row])


# --- ours


def _quest(folder: Path, precision: str, options: Mapping[str, object], epochs: int = 0) -> Quest:
    settings = [f"train.epochs={epochs}"] if epochs else []
    resolved, dataset, _, _ = prepare(folder, "house-prices", *settings)
    config = resolved.config
    own: Search = config.search.model_copy(update=options)
    runtime = Runtime(resolve_compute("cpu", 0, precision))
    return Quest(dataset, setup_of(config), own, config.folds, config.metric, runtime)


def _swept(folder: Path, precision: str, options: Mapping[str, object], epochs: int = 0) -> Swept:
    """`python -m pipeline search` in a fresh folder that holds nothing but the raw files."""
    settings = {"train.precision": precision} | {f"search.{name}": value for name, value in options.items()}
    settings |= {"train.epochs": epochs} if epochs else {}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        shutil.copytree(ROOT / "competitions", root / "competitions")
        shutil.copytree(folder, root / "data" / "raw" / "house-prices")
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pipeline", "search", "house-prices", *words],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        seconds = time.perf_counter() - began
        models = root / "models" / "house-prices"
        [journal], [winner] = models.glob("study-*.journal"), models.glob("winner-*.json")
        storage = JournalStorage(JournalFileBackend(str(journal)))
        trials = optuna.load_study(study_name=storage.get_all_studies()[0].study_name, storage=storage).trials
        counts = [trial.state.name.lower() for trial in trials]
        best = min(trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None)
        return Swept(
            seconds, best, {state: counts.count(state) for state in sorted(set(counts))}, json.loads(winner.read_text())
        )


def _score(quest: Quest, setup: Setup, seed: int) -> float:
    """Pooled out-of-fold loss of one seed of networks on the folds of that seed."""
    folds = quest.folds.model_copy(update={"seed": seed})
    design = preprocess(
        quest.dataset, preprocess=setup.preprocess, target=setup.target, folds=folds, metric=quest.metric
    )
    one_seed = setup.train.model_copy(update={"seeds": 1})
    fits = train(design, model=setup.model, train=one_seed, metric=quest.metric, runtime=quest.runtime)
    return evaluate(quest.dataset, design, fits, metric=quest.metric).models["mlp"].oof[quest.metric]


# --- a person's own loop


@dataclass(frozen=True, slots=True)
class Looped:
    """A sweep by `study.optimize`."""

    seconds: float
    best: float


def _loop(quest: Quest) -> Looped:
    began = time.perf_counter()
    torch.set_num_threads(quest.runtime.compute.threads)
    benches = Benches(quest, quest.folds)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=quest.search.seed))
    study.enqueue_trial(as_it_stands(quest.base.values, quest.search.space))

    def objective(trial: optuna.Trial) -> float:
        setup = quest.base.with_values(suggested(trial, quest.search.space))
        return _trained(benches.design_of(setup), setup, quest)

    study.optimize(objective, n_trials=quest.search.trials)
    return Looped(time.perf_counter() - began, study.best_value)


def _trained(design: Design, setup: Setup, quest: Quest) -> float:
    """Pooled out-of-fold loss of one candidate, fold after fold."""
    blocks = build_blocks(design, range(design.folds.count), quest.runtime)
    scored = design.folds.scored_folds
    predicted = np.zeros(len(scored))
    for fold, (train_rows, valid_rows) in enumerate(zip(design.folds.train, design.folds.valid, strict=True)):
        features, target = blocks.matrix, blocks.target
        start = blocks.start[fold]
        own, other = torch.from_numpy(train_rows + start), torch.from_numpy(valid_rows + start)
        data = TensorDataset(features[own], target[own, None])
        outputs = _fitted(data, features[other], (design, setup, quest.metric), fold)
        predicted[scored == fold] = to_target(design.target_states[fold], outputs)
    return loss(quest.metric, design.target[design.folds.scored_rows], predicted)


def _fitted(data: TensorDataset, valid: torch.Tensor, what: tuple[Design, Setup, str], fold: int) -> Floats:
    """Outputs on the validation rows after the best epoch."""
    design, setup, metric = what
    train, model = setup.train, setup.model
    wanted = design.target[design.folds.valid[fold]]
    torch.manual_seed(train.seed)
    net = _network(data.tensors[0].shape[1], model.hidden or (model.width,) * model.depth, setup)
    optimizer = torch.optim.AdamW(net.parameters(), lr=train.lr, weight_decay=train.weight_decay)
    loader = DataLoader(data, batch_size=train.batch_size, shuffle=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, train.lr, total_steps=train.epochs * len(loader))
    criterion = LOSSES[train.loss]
    best, kept = float("inf"), copy.deepcopy(net.state_dict())
    for _ in range(train.epochs):
        net.train()
        for features, target in loader:
            optimizer.zero_grad()
            criterion(net(features), target).backward()
            optimizer.step()
            schedule.step()
        score = loss(metric, wanted, to_target(design.target_states[fold], _outputs(net, valid)))
        if score < best:
            best, kept = score, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    return _outputs(net, valid)


def _network(inputs: int, hidden: tuple[int, ...], setup: Setup) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for n_in, n_out in pairwise((inputs, *hidden)):
        layers += [
            torch.nn.Linear(n_in, n_out),
            ACTIVATIONS[setup.model.activation](),
            torch.nn.Dropout(setup.model.dropout),
        ]
    return torch.nn.Sequential(*layers, torch.nn.Linear(hidden[-1], 1))


def _outputs(net: torch.nn.Sequential, features: torch.Tensor) -> Floats:
    net.eval()
    with torch.no_grad():
        return net(features)[:, 0].numpy().astype(np.float64)


if __name__ == "__main__":
    main()
