"""Optimizers over a pack of networks, each model with its own hyperparameters, learning rates and count of steps."""

from __future__ import annotations

from pipeline.engine.optimizers.packed import PackedOptimizer
from pipeline.engine.optimizers.rules import Rates, Rule

__all__ = ["PackedOptimizer", "Rates", "Rule"]
