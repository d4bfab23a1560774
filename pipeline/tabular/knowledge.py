"""What may be known of each column, and when: ahead, once it happened, or for ever; each guess with its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import ConfigError
from pipeline.tabular.cells import levels_of
from pipeline.tabular.schema import nearest
from pipeline.timeline import ColumnRole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings import Schema
    from pipeline.tables import Codes, Floats, RawTables
    from pipeline.time_settings import Time

AHEAD, PAST, STATIC, MADE = "known in the future", "past only", "static", "made of the target"
AUTO = ("auto",)
SAME = 1e-9  # of the target's spread: what a sum of columns may differ by and still be the target
MOST_PARTS = 12  # past columns that are tried together


def column_roles(raw: RawTables, roles: Schema, time: Time, series: Codes) -> tuple[ColumnRole, ...]:
    """The role of every column that is none of time, groups, id, target or dropped, in the order of train.

    series: of each row of train. Raises ConfigError for a listed column that is not there, listed twice, or listed as
    known ahead though the test file has it not.
    """
    out = {roles.target, *roles.drop, *time.column, *time.groups} | ({roles.id} - set(roles.dates))
    names = [name for name in raw.train.names if name not in out]
    listed = _listed(names, time, raw)
    found = []
    for name in names:
        if name in listed:
            role = ColumnRole(name, listed[name], f"listed under [time] {_KEYS[listed[name]]}")
        elif raw.test is not None and time.known_future != AUTO:
            role = ColumnRole(name, PAST, "not listed under [time] known_future")
        elif raw.test is not None:
            is_ahead = name in raw.test.names
            told = f"{raw.test.file} has it" if is_ahead else f"{raw.test.file} has it not"
            role = ColumnRole(name, AHEAD if is_ahead else PAST, told)
        elif time.groups and time.static == AUTO and _is_static(raw, name, series):
            role = ColumnRole(name, STATIC, "never changes in a series")
        else:
            role = ColumnRole(name, PAST, "no test file tells whether it is known ahead; see [time] known_future")
        found.append(role)
    return tuple(found)


_KEYS = {AHEAD: "known_future", PAST: "past_only", STATIC: "static"}


def _listed(names: Sequence[str], time: Time, raw: RawTables) -> dict[str, str]:
    listed: dict[str, str] = {}
    for role, key in _KEYS.items():
        for name in () if getattr(time, key) == AUTO else getattr(time, key):
            if name not in names:
                raise ConfigError(f"[time] {key} lists {name!r}, which is no feature of train; {nearest(name, names)}")
            if name in listed:
                raise ConfigError(f"column {name!r} is listed under [time] {_KEYS[listed[name]]} and {key}; keep one")
            if role != PAST and raw.test is not None and name not in raw.test.names:
                raise ConfigError(f"[time] {key} lists {name!r}, but {raw.test.file} has it not; list it as past_only")
            listed[name] = role
    return listed


def _is_static(raw: RawTables, name: str, series: Codes) -> bool:
    codes = levels_of(raw.train.columns[name]).codes.astype(np.int64)
    pairs = np.unique(series.astype(np.int64) * (codes.max() + 2) + codes + 1)
    return len(pairs) == len(np.unique(series))


def made_of_target(target: Floats, past: Mapping[str, Floats]) -> tuple[ColumnRole, ...]:
    """Past-only columns of numbers that together are the target: one alone, or the fewest that add up to it."""
    names = [name for name in past if np.isfinite(past[name]).any()][:MOST_PARTS]
    kept = np.isfinite(target) & np.all([np.isfinite(past[name]) for name in names], axis=0) if names else None
    if kept is None or kept.sum() <= len(names) + 1:
        return ()
    columns = np.stack([past[name][kept] for name in names] + [np.ones(int(kept.sum()))], axis=1)
    weights = np.linalg.lstsq(columns, target[kept], rcond=None)[0]
    off = np.abs(columns @ weights - target[kept]).max()
    if off > SAME * max(float(np.ptp(target[kept])), 1e-300) * len(names):
        return ()
    parts = [(name, weight) for name, weight in zip(names, weights, strict=False) if abs(weight) > 1e-6]
    told = " + ".join(name if abs(weight - 1) < 1e-6 else f"{weight:.6g} {name}" for name, weight in parts)
    told += f" + {weights[-1]:.6g}" if abs(weights[-1]) > 1e-6 * max(float(np.abs(target[kept]).max()), 1e-300) else ""
    return tuple(ColumnRole(name, MADE, f"the target is {told} on every row") for name, _ in parts)
