"""What was guessed about a competition's files, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tables import RawTables
    from pipeline.tabular.roles.looks import Look


@dataclass(frozen=True, slots=True)
class Found:
    """What one rule says about one column."""

    role: str
    evidence: str
    levels: tuple[str, ...] = ()  # of an ordinal column, lowest first
    formats: tuple[str, ...] = ()  # of a date column
    missing: tuple[str, ...] = ()  # texts that mean a missing value in this column, besides the usual ones
    listed: bool = False  # without a line in [schema] the column would be read in another way


@dataclass(frozen=True, slots=True)
class Guess:
    """One column: its role, the rule that gave it, the numbers behind it, and which other rules came too late."""

    column: str
    role: str
    rule: str
    evidence: str
    overrides: tuple[str, ...] = ()  # later rules that would have given it another role
    levels: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A choice that concerns the whole table, such as the target or the metric."""

    value: str
    rule: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Scene:
    """What the rules know besides the column itself."""

    raw: RawTables
    looks: Mapping[str, Look]
    target: Claim
    targets: tuple[str, ...]
    id: Claim
    copies: Mapping[str, str]  # column -> an earlier one, or the target, with the same cells


@dataclass(frozen=True, slots=True)
class SideGuess:
    """A side table that can be joined."""

    file: str
    on: tuple[str, ...]
    evidence: str


@dataclass(frozen=True, slots=True)
class Guesses:
    """Everything that a draft of the configuration is written from."""

    columns: tuple[Guess, ...]  # those of train in file order, then those of test alone
    target: Claim
    targets: tuple[str, ...]  # every column that could be predicted, the target first
    id: Claim  # value "": rows are numbered
    metric: Claim
    holdout: Claim | None  # None with a test file; value: the column to sort by, "" at random
    folds: Claim | None  # value: the group column
    joins: tuple[SideGuess, ...]
    files: Mapping[str, str]  # keys of [files] that the names alone do not tell
    remarks: tuple[str, ...]  # what a person should know and no setting says
