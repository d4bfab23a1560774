"""What a training would do, without doing it: its jobs, cut into packs and explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.engine.explanations import explanations
from pipeline.engine.packing import plan_packs
from pipeline.fits import Job
from pipeline.stages.limits import limits_of, matrix_bytes
from pipeline.stages.packs import assignments_for, cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engine.explanations import Explanation
    from pipeline.runtime import Runtime
    from pipeline.stages.assignments import Candidate
    from pipeline.tables import Design


def trial_jobs(design: Design, trials: int, seed: int) -> list[Job]:
    """Every fold of so many candidates, with one seed."""
    return [Job(number, fold, seed) for number in range(trials) for fold in range(design.folds.count)]


def explained(
    design: Design, candidates: Sequence[Candidate], jobs: Sequence[Job], runtime: Runtime
) -> list[Explanation]:
    """The packs that these jobs would be trained in. Raises ConfigError for settings that do not go together."""
    folds = sorted({job.fold for job in jobs})
    assignments = assignments_for(design, candidates, jobs, dict.fromkeys(folds, 0))
    rows = matrix_bytes(design, folds, runtime.compute.precision)
    is_streamed = rows > runtime.room.device
    limits = limits_of(
        runtime,
        candidates[0].train.pack_size,
        is_streamed=is_streamed,
        still_to_come=0 if is_streamed else rows,
    )
    shares = runtime.compute.shares
    return explanations(assignments, cut(plan_packs(assignments, limits), shares), limits, shares=shares)
