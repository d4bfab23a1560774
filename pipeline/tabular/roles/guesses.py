"""Guessing what every column of a competition is for, with the numbers behind each guess."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipeline.tabular.roles.looks import look_at
from pipeline.tabular.roles.names import base_name
from pipeline.tabular.roles.rules import RULES
from pipeline.tabular.roles.tables import find_copies, find_groups, find_holdout, find_id, find_joins
from pipeline.tabular.roles.target import Search, find_target, predicted_in_sample, suggest_metric
from pipeline.tabular.roles.values import Found, Guess, Guesses, Scene

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tables import RawTables
    from pipeline.tabular.roles.looks import Look

FALLBACKS = ("numeric", "high_cardinality", "categorical")
FILE_NAMES = {
    "train": re.compile(r"train.*", re.IGNORECASE),
    "test": re.compile(r"test.*", re.IGNORECASE),
    "sample": re.compile(r"(sample_?submission.*|.+_submission\..*)", re.IGNORECASE),
}


def guess_roles(raw: RawTables, *, folder_name: str, target: str = "") -> Guesses:
    """Give every column exactly one role, and choose id, target, metric, held-out rows, groups and side tables.

    folder_name: the folder the files lie in; it often names the target. target: what the user says it is.
    Raises DataError for a target that does not exist, or that holds classes.
    """
    looks = look_at(raw)
    asked_for = predicted_in_sample(raw)
    found_id = find_id(raw, looks, never=[target, *asked_for])
    found_target = find_target(Search(raw, looks, folder_name, target, found_id.value))
    name = found_target.value
    targets = (name, *(other for other in asked_for if other != name))
    copies = find_copies(raw, name)
    scene = Scene(raw=raw, looks=looks, target=found_target, targets=targets, id=found_id, copies=copies)
    columns = tuple(_guess(look, scene) for look in looks.values())
    joins, about_sides = find_joins(raw, name)
    holdout, about_time = find_holdout(raw, columns, found_id.value)
    return Guesses(
        columns=columns,
        target=found_target,
        targets=targets,
        id=found_id,
        metric=suggest_metric(name, raw),
        holdout=holdout,
        folds=find_groups(raw, columns),
        joins=joins,
        files=_unusual_files(raw),
        remarks=(*about_time, *about_sides),
    )


def _guess(look: Look, scene: Scene) -> Guess:
    """The first rule that speaks decides; the later ones that would have said otherwise are kept as doubts."""
    said = [(rule.__name__, found) for rule in RULES if (found := rule(look, scene)) is not None]
    rule, first = said[0]
    others = [(name, found) for name, found in said[1:] if found.role != first.role and _is_doubt(name, first)]
    # an id that is a date is both: it tells rows apart, and its calendar is a feature
    dated = next((found for _, found in others if found.role == "date"), None) if first.role == "id" else None
    both: Found = dated if dated is not None and not first.listed else first
    return Guess(
        column=look.name,
        role=first.role,
        rule=rule,
        evidence=first.evidence,
        overrides=tuple(name for name, _ in others),
        levels=first.levels,
        formats=both.formats,
        missing=both.missing,
        listed=first.listed,
    )


def _is_doubt(rule: str, first: Found) -> bool:
    """Whether a later rule's word is news: the last rules always speak, and a target is meant to be in train alone."""
    if rule in FALLBACKS:
        return rule == "numeric" and first.listed and first.role in {"categorical", "group"}
    return not (rule == "in_one_file" and first.role == "target")


def _unusual_files(raw: RawTables) -> Mapping[str, str]:
    """Keys of [files] that the files' names do not tell; a table that is alone needs none."""
    tables = {"train": raw.train, "test": raw.test, "sample": raw.sample}
    if raw.test is None and raw.sample is None and not raw.sides:
        return {}
    names = {key: base_name(table.file) for key, table in tables.items() if table is not None}
    return {key: name for key, name in names.items() if not FILE_NAMES[key].fullmatch(name)}
