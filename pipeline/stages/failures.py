"""What is said of networks whose loss became not finite: a sentence each, or one for all of a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.facts import Advice
from pipeline.stages.cases import Case
from pipeline.stages.causes import cause_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.diagnosis import Diagnosis
    from pipeline.engine.fit import Fitted
    from pipeline.fits import Job
    from pipeline.stages.assignments import Candidate
    from pipeline.stages.causes import Cause
    from pipeline.tables import Design

MOST_KINDS = 3  # that have a line of their own in an error; what is left is counted in one more
MOST_NAMED = 4  # networks of a kind that are named
COLUMNS_TOLD = 3


def failed(
    design: Design, candidate: Candidate, jobs: Sequence[Job], fitted: Sequence[Fitted]
) -> list[tuple[Case, int]]:
    """The networks whose loss became not finite, each with the epoch whose weights it kept; -1 for none."""
    return [
        (Case(job, result.failure, candidate, design), result.curve.best_epoch)
        for job, result in zip(jobs, fitted, strict=True)
        if result.failure is not None
    ]


def sentence(case: Case) -> str:
    """Who, when, where, why, and what mends it. No full stop at its end."""
    cause = cause_of(case)
    return f"{named(case.job, case.design)}: {_happened(case)}; {_looks_like(cause)}; set {cause.remedy}"


def short(case: Case) -> str:
    """The same for one line of a sweep."""
    cause = cause_of(case)
    return f"{cause.name} ({named(case.job, case.design)}, {_place(case.diagnosis)}); {cause.remedy}"


def kinds_of(cases: Sequence[Case]) -> list[list[Case]]:
    """Cases of one cause together, the most frequent first."""
    kinds: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        cause = cause_of(case)
        kinds.setdefault((cause.name, cause.remedy), []).append(case)
    return sorted(kinds.values(), key=len, reverse=True)


def report_of(cases: Sequence[Case], networks: int) -> str:
    """At most five lines on networks without usable weights, of so many in all."""
    kinds = kinds_of(cases)
    lines = [sentence_of_kind(alike) for alike in kinds[:MOST_KINDS]]
    rest = sum(map(len, kinds[MOST_KINDS:]))
    if rest:
        lines.append(f"and {_networks(rest)} of other causes")
    others = networks - len(cases)
    trained = f"; {_networks(others)} trained on" if others else ""
    return "\n".join([f"{len(cases)} of {_networks(networks)} came to nothing{trained}", *lines])


def sentence_of_kind(alike: Sequence[Case]) -> str:
    """The first network in full, and who else the same cause struck."""
    first, *others = alike
    if not others:
        return sentence(first)
    shown = "; ".join(named(case.job, case.design) for case in others[:MOST_NAMED])
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    return f"{sentence(first)} (and so {shown}{more})"


def advice_of_kind(alike: Sequence[Case]) -> Advice:
    """What a report says of networks that one cause struck."""
    cause = cause_of(alike[0])
    seen = f"The loss of {_networks(len(alike))} was not finite: {_looks_like(cause)}."
    return Advice(seen, f"Set {cause.remedy}.", "")


def named(job: Job, design: Design) -> str:
    """A network by its fold, counted from 1, and seed."""
    fold = f"fold {job.fold + 1}" if job.fold < design.folds.count else "the refit on all rows"
    return f"{fold}, seed {job.seed}"


def _networks(count: int) -> str:
    return f"{count} network{'s' * (count != 1)}"


def _happened(case: Case) -> str:
    failure = case.failure
    inputs = case.diagnosis.inputs[:COLUMNS_TOLD]
    largest = ", ".join(f"{case.name_of(large)} {large.value:.3g}" for large in inputs)
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
        "loss": f"the loss after {layer}",
        "": "the batch with its dropout, not without it",
    }
    return places.get(fault.first, f"the {fault.first} of {layer}")
