"""`sweep.html`: the page of the study of this configuration, written for people."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from pipeline.config import shown_layers
from pipeline.database import OUT_OF_REACH
from pipeline.digests import asset_digests, code_digest, library_versions
from pipeline.errors import ConfigError, StorageError
from pipeline.gathered import gathered
from pipeline.graph import SEARCH, key_of
from pipeline.outputs import Publisher
from pipeline.stages.setups import setup_of
from pipeline.storage import load_winner

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

    from pipeline.outcomes import Winner
    from pipeline.runner import Runner

MODULE = "pipeline.report.sweep_page"


def publish_sweep(runner: Runner, studies: Sequence[optuna.Study], winner: Winner | None) -> None:
    """Write the page anew where it would say something else. Raises StorageError, ArtifactError.

    studies: the one of a flat plan, or those of a guided plan's phases.
    """
    from pipeline.report.sweep_page import render_sweep
    from pipeline.studied import facts_of

    config, competition = runner.config, runner.competition
    values = winner.values if winner else {}
    try:
        study, space = studies[0], config.search.space
        if config.search.plan == "guided":
            together = gathered(studies, setup_of(config).values)
            study, space = together.study, together.space
            winner = together.renumbered(winner) if winner and together.knows(winner) else None
        facts = facts_of(
            study,
            winner,
            space=space,
            metric=config.metric,
            settings=shown_layers(values) if config.model.hidden else values,
        )
    except OUT_OF_REACH as error:
        reason = str(error.__cause__ or error).strip().split("\n")[0]
        raise StorageError(
            f"the study's database does not answer ({reason}), so its page was not written; when it is back: "
            f"python -m pipeline runs {competition.name} --page"
        ) from None
    made_by = {**code_digest(MODULE), **library_versions(MODULE), **asset_digests(MODULE)}
    key = key_of({"facts": hashlib.sha256(repr(facts).encode()).hexdigest(), "made by": made_by})
    publisher = Publisher(competition.outputs("reports"), root=competition.root)
    publisher.publish("sweep.html", key, {}, lambda: render_sweep(facts, competition=competition.name))


def publish_page_of(runner: Runner, studies: Sequence[optuna.Study]) -> None:
    """The page of a search that is finished or in progress. Raises ConfigError where there is none."""
    name = runner.competition.name
    if not studies:
        raise ConfigError(
            f"there is no study of the configuration of {name} as it is now, so no page of it; begin one: "
            f"make sweep NAME={name} TRIALS=20"
        )
    try:
        found = load_winner(runner.store(SEARCH).folder, runner.winner_key, name=name)
        winner = found if found.study == runner.key("search") else None  # another sweep's
    except ConfigError:
        winner = None  # the search has not come to its end yet
    publish_sweep(runner, studies, winner)
