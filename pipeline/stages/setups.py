"""What a trial may change, from preprocessing to the network; and the design, on the device, that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.config import shown_layers
from pipeline.errors import ConfigError
from pipeline.expectations import expected
from pipeline.runtime import hear_nothing
from pipeline.stages.assignments import Candidate
from pipeline.stages.learners import block_starts, build_blocks, data_of
from pipeline.stages.preprocess import preprocess as prepared
from pipeline.stages.starts import check_start
from pipeline.time_settings import History

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.engine.data import Data
    from pipeline.fits import Weights
    from pipeline.runtime import Flight, Runtime
    from pipeline.search_settings import Search
    from pipeline.settings import Config, FoldSettings, Preprocess, Target
    from pipeline.stages.learners import Blocks
    from pipeline.tables import Dataset, Design
    from pipeline.training_settings import Model, Train

BENCHES_HELD = 2  # whose rows lie on the device at a time

Prepared = tuple["Preprocess", "Target", History]
NO_HISTORY = History()


@dataclass(frozen=True, slots=True)
class Setup:
    """The sections of a configuration that a search may vary. `start`: weights to begin with."""

    preprocess: Preprocess
    target: Target
    model: Model
    train: Train
    start: Weights | None = None
    history: History = NO_HISTORY

    @property
    def candidate(self) -> Candidate:
        """What is trained."""
        return Candidate(self.model, self.train, self.start)

    def with_values(self, values: Mapping[str, object]) -> Setup:
        """The same with dotted keys replaced, validated again; a width or depth overrides an explicit `hidden`.

        Raises ConfigError where the values do not go together.
        """
        changed: dict[str, dict[str, object]] = {}
        for key, value in shown_layers(values).items():
            section, leaf = key.split(".")
            changed.setdefault(section, {})[leaf] = value
        sections = {name: getattr(self, name) for name in changed}
        try:
            return replace(
                self,
                **{name: type(own).model_validate(own.model_dump() | changed[name]) for name, own in sections.items()},
            )
        except ValidationError as error:
            raise ConfigError(expected(error.errors()[0]).removeprefix("value error, ")) from None

    @property
    def values(self) -> dict[str, object]:
        """Every dotted key and its value."""
        sections = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "start"}
        return {f"{name}.{leaf}": value for name, own in sections.items() for leaf, value in own}


def setup_of(config: Config, start: Weights | None = None) -> Setup:
    """The sections of a configuration that a search may vary."""
    return Setup(config.preprocess, config.target, config.model, config.train, start, config.history)


@dataclass(frozen=True, slots=True)
class Bench:
    """A design with its rows on the device. key: what it was preprocessed by."""

    key: Prepared
    design: Design
    blocks: Blocks
    data: Data


@dataclass(frozen=True, slots=True)
class Quest:
    """What a search begins with."""

    dataset: Dataset
    base: Setup  # the configuration as it stands
    search: Search
    folds: FoldSettings
    metric: str
    runtime: Runtime
    on_flights: Callable[[Sequence[Flight]], None] = hear_nothing  # told after epochs how far trials in flight are


class Benches:
    """A bench for every way to preprocess that is asked for; the last few stay."""

    def __init__(self, quest: Quest, folds: FoldSettings) -> None:
        self._quest, self._folds = quest, folds
        self._designs: dict[Prepared, Design] = {}
        self._held: dict[Prepared, Bench] = {}

    def key_of(self, setup: Setup) -> Prepared:
        """What two setups have in common that share a design."""
        return setup.preprocess, setup.target, setup.history

    def design_of(self, setup: Setup) -> Design:
        """Raises ConfigError where these settings and the rows do not go together, or the weights to begin with."""
        key = self.key_of(setup)
        if key not in self._designs:
            design = prepared(
                self._quest.dataset,
                preprocess=setup.preprocess,
                target=setup.target,
                history=setup.history,
                folds=self._folds,
                metric=self._quest.metric,
            )
            check_start(setup.start, design)
            self._designs[key] = design
        return self._designs[key]

    def starts_of(self, setup: Setup) -> dict[int, int]:
        """The first row of each fold's block."""
        return block_starts(design := self.design_of(setup), range(design.folds.count))

    def of(self, setup: Setup) -> Bench:
        """The design's rows on the device; those used longest ago make room."""
        key = self.key_of(setup)
        design = self.design_of(setup)
        bench = self._held.pop(key, None)
        while bench is None and len(self._held) >= BENCHES_HELD:
            del self._held[next(iter(self._held))]
        if bench is None:
            runtime = self._quest.runtime
            blocks = build_blocks(design, range(design.folds.count), runtime)
            bench = Bench(key, design, blocks, data_of(blocks, runtime.compute.precision))
        self._held[key] = bench  # behind the others: used last
        return bench
