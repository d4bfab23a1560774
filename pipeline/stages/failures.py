"""What is said of networks whose loss became not finite: a sentence each, or one for all of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.stages.causes import cause_of, column_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.diagnosis import Diagnosis
    from pipeline.stages.causes import Case, Cause
    from pipeline.tables import Design, Job

MOST_KINDS = 4  # lines of an error; what is left is counted in one more
MOST_NAMED = 4  # networks of a kind that are named
COLUMNS_TOLD = 3


def sentence(case: Case) -> str:
    """Who, when, where, why, and what mends it. No full stop at its end."""
    cause = cause_of(case)
    return f"{named(case.job, case.design)}: {_happened(case)}; {_looks_like(cause)}; set {cause.remedy}"


def short(case: Case) -> str:
    """The same for one line of a sweep."""
    cause = cause_of(case)
    return f"{cause.name} ({named(case.job, case.design)}, {_place(case.diagnosis)}); {cause.remedy}"


def grouped(cases: Sequence[Case]) -> list[str]:
    """A line for each kind of cause, most frequent first: its first network in full, and who else it struck."""
    kinds: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        cause = cause_of(case)
        kinds.setdefault((cause.name, cause.remedy), []).append(case)
    ordered = sorted(kinds.values(), key=len, reverse=True)
    lines = [_kind(alike) for alike in ordered[:MOST_KINDS]]
    rest = [case for alike in ordered[MOST_KINDS:] for case in alike]
    return [*lines, f"and {_networks(rest)} of other causes"] if rest else lines


def named(job: Job, design: Design) -> str:
    """A network by its fold, counted from 1, and seed."""
    fold = f"fold {job.fold + 1}" if job.fold < design.folds.count else "the refit on all rows"
    return f"{fold}, seed {job.seed}"


def _kind(alike: Sequence[Case]) -> str:
    first, *others = alike
    if not others:
        return sentence(first)
    shown = "; ".join(named(case.job, case.design) for case in others[:MOST_NAMED])
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    return f"{sentence(first)} (and so {shown}{more})"


def _networks(cases: Sequence[Case]) -> str:
    return f"{len(cases)} network{'s' * (len(cases) != 1)}"


def _happened(case: Case) -> str:
    failure = case.failure
    inputs = case.diagnosis.inputs[:COLUMNS_TOLD]
    largest = ", ".join(f"{column_name(case.design, large)!r} {large.value:.3g}" for large in inputs)
    when = f"epoch {failure.epoch + 1}, step {failure.step + 1}"
    told = f"the loss was not finite in {when}, first seen in {_place(case.diagnosis)}"
    return f"{told} (largest inputs: {largest})" if largest else told


def _looks_like(cause: Cause) -> str:
    return f"it looks like {cause.name}: {cause.evidence}"


def _place(diagnosis: Diagnosis) -> str:
    fault = diagnosis.fault
    layer = f"layer {fault.layer + 1} of {len(diagnosis.layers)}"
    if fault.layer < 0 and fault.tensor:
        return f"the {fault.first} of {fault.tensor}"
    places = {
        "inputs": f"the inputs of layer 1 of {len(diagnosis.layers)}",
        "target": "the target",
        "hidden": f"what {layer} says",
        "outputs": f"the outputs, {layer}",
        "loss": f"the loss after {layer}",
        "": "the batch with its dropout, not without it",
    }
    return places.get(fault.first, f"the {fault.first} of {layer}")
