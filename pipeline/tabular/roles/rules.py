"""What a column is: one small rule for each role, tried in the order of RULES; the first that speaks decides.

Here stand the rules about the part that a column plays in the files; `kinds` holds those about its cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.tabular.roles import kinds
from pipeline.tabular.roles.looks import is_unique
from pipeline.tabular.roles.names import base_name, is_id_name
from pipeline.tabular.roles.values import Found

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.tabular.roles.looks import Look
    from pipeline.tabular.roles.values import Scene

    Rule = Callable[[Look, Scene], Found | None]


def the_target(look: Look, scene: Scene) -> Found | None:
    """The column to predict, and others that could be."""
    if look.name == scene.target.value:
        return Found("target", scene.target.evidence, missing=look.missing_words)
    if look.name in scene.targets:
        return Found("target", "the sample submission asks for it too; one draft trains one target", listed=True)
    return None


def the_id(look: Look, scene: Scene) -> Found | None:
    """The column that tells rows apart; a second one is dropped."""
    if look.name == scene.id.value:
        return Found("id", scene.id.evidence)
    if look.distinct < max(look.rows, 2) or not is_id_name(look.name) or not is_unique(scene.raw.train, look.name):
        return None
    return Found(
        "id", f"{look.distinct} distinct values on {look.rows} rows and named like an id, but no id", listed=True
    )


def in_one_file(look: Look, scene: Scene) -> Found | None:
    """In one file and not in the other: no feature."""
    if scene.raw.test is None or (look.in_train and look.in_test):
        return None
    here, there = (scene.raw.train, scene.raw.test) if look.in_train else (scene.raw.test, scene.raw.train)
    role = "train_only" if look.in_train else "test_only"
    return Found(role, f"in {base_name(here.file)}, not in {base_name(there.file)}", listed=True)


def empty(look: Look, _scene: Scene) -> Found | None:
    """No training row has a value."""
    return None if look.distinct else Found("empty", f"no value on {look.rows} rows", listed=True)


def constant(look: Look, _scene: Scene) -> Found | None:
    """The same value on every training row."""
    if look.distinct != 1 or look.missing:
        return None
    return Found("constant", f"always {look.shown(1)} on {look.rows} rows", listed=True)


def duplicate(look: Look, scene: Scene) -> Found | None:
    """Cell for cell what another column holds."""
    other = scene.copies.get(look.name)
    return None if other is None else Found("duplicate", f"every cell equals that of {other!r}", listed=True)


RULES: tuple[Rule, ...] = (
    the_target, the_id, in_one_file, empty, constant, duplicate, kinds.date, kinds.part_of_time, kinds.boolean,
    kinds.code, kinds.group, kinds.ordinal, kinds.numeric, kinds.free_text, kinds.high_cardinality, kinds.categorical,
)  # fmt: skip
