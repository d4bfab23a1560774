"""The facts of a sweep -> one HTML file in the look of the report."""

from __future__ import annotations

import json
import math
from itertools import groupby
from typing import TYPE_CHECKING

from pipeline.facts import Verdict
from pipeline.report.layout import LONGEST_TITLE, filled, is_plain, laid_out
from pipeline.report.sweep_figures import draw_sweep
from pipeline.report.sweep_tables import best_table, failure_table, finalist_table
from pipeline.report.text import clean, count, duration, number, short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.report.sweep_facts import SweepFacts, WinnerFacts


def render_sweep(facts: SweepFacts, *, competition: str) -> bytes:
    """Lay the facts out; the same arguments give the same bytes."""
    lead = _lead(facts)
    return laid_out(
        "sweep.html.j2",
        title=clean(competition, LONGEST_TITLE),
        subtitle=_subtitle(facts),
        lead=lead,
        gain=_gain(facts),
        trials=_trials(facts),
        time=_time(facts),
        use=_use(facts, competition),
        pictures=draw_sweep(facts),
        first=filled(finalist_table(facts)),
        last=filled(best_table(facts), failure_table(facts)),
    )


def _subtitle(facts: SweepFacts) -> str:
    better = "higher is better" if facts.greater_is_better else "lower is better"
    settings = count(len(facts.dimensions), "setting")
    return f"a sweep over {settings}, judged by {clean(facts.metric, LONGEST_TITLE)} ({better})"


def _lead(facts: SweepFacts) -> dict[str, str]:
    """The winner, or what there is in its place."""
    metric, winner, best = clean(facts.metric, LONGEST_TITLE), facts.winner, facts.best
    if winner is not None and math.isfinite(winner.fresh):
        return {
            "what": f"{metric}, on folds that did not choose it",
            "score": number(winner.fresh),
            "detail": f"Trial {winner.number}, the winner. {_flattery(winner)}",
        }
    if best is None:
        return {"what": metric, "score": number(math.nan), "detail": "No trial has a score yet."}
    shown = winner.score if winner else best.score
    name = f"Trial {winner.number}, the winner" if winner else f"Trial {best.number}, the best so far"
    return {
        "what": f"{metric}, in the search",
        "score": number(shown),
        "detail": f"{name}. This score chose it among {count(len(facts.of('scored')), 'trial')}, so it flatters it.",
    }


def _flattery(winner: WinnerFacts) -> str:
    said = f"The score that chose it was {number(winner.score)}"
    if winner.flattered > 0:
        return f"{said}: it flattered it by {short(winner.flattered)}."
    return f"{said}: it did not flatter it."


def _gain(facts: SweepFacts) -> Verdict | None:
    """The winner beside the configuration as it stands, on the same fresh folds."""
    winner = facts.winner
    stands = [one for one in winner.finalists if one.number == facts.stands] if winner else []
    if winner is None or not stands:
        return None
    if winner.number == facts.stands:
        return Verdict("Nothing better found", "The configuration as it stands won.", is_good=False)
    before, sign = stands[0].fresh, -1 if facts.greater_is_better else 1
    gain = sign * (before - winner.fresh)
    claim = f"{short(gain)} better"
    if not facts.greater_is_better and before > 0:
        claim = f"{100 * gain / before:.1f} % lower"
    better = sum(
        sign * (old - new) > 0
        for one in winner.finalists
        if one.number == winner.number
        for old, new in zip(stands[0].again, one.again, strict=True)
    )
    splits = f"better on {better} of {count(len(stands[0].again), 'fresh split')}"
    return Verdict(claim, f"Before: {number(before)}, on the same rows; {splits}.", is_good=gain > 0)


def _trials(facts: SweepFacts) -> dict[str, str]:
    parts = [
        f"{len(own):,} {state}" for state in ("scored", "given up", "failed", "in flight") if (own := facts.of(state))
    ]
    interrupted = (
        f"{count(facts.interrupted, 'trial')} interrupted, counted for nothing and tried again."
        if facts.interrupted
        else ""
    )
    return {"count": count(len(facts.trials), "trial"), "parts": ", ".join(parts), "interrupted": interrupted}


def _time(facts: SweepFacts) -> dict[str, str]:
    speed = facts.trials_a_minute
    pauses = f", {count(len(facts.pauses), 'pause')} left out" if facts.pauses else ""
    return {
        "long": duration(facts.seconds),
        "speed": f"{speed:.1f} trials a minute" if speed >= 1 else f"{60 * speed:.1f} trials an hour",
        "where": f"{count(len(facts.workers), 'process').replace('processs', 'processes')}{pauses}",
    }


def _use(facts: SweepFacts, competition: str) -> dict[str, object]:
    """What to do with it: commands, and the winner's settings as they are written into a config."""
    name = f" NAME={competition}" if is_plain(competition) else ""
    again = f"python -m pipeline search{f' {competition}' if is_plain(competition) else ''}"
    winner, scored = facts.winner, len(facts.of("scored"))
    stale = ""
    if winner is not None and scored > winner.scored:
        stale = (
            f"The winner is the best of {winner.scored:,} scored trials; the study has {scored:,} by now. The command "
            f"that searches, with the same settings, looks again:"
        )
    if winner is None:
        return {"toml": [], "command": "", "again": again if facts.trials else "", "stale": ""}
    return {
        "toml": toml_lines(winner.settings),
        "command": f"make train submit{name} SET=train.tuned=true",
        "again": again if stale else "",
        "stale": stale,
    }


def toml_lines(settings: Mapping[str, object]) -> list[str]:
    """Dotted keys and values as sections of a config."""
    lines: list[str] = []
    ordered = sorted(settings.items(), key=lambda pair: pair[0].rpartition(".")[0])
    for section, own in groupby(ordered, key=lambda pair: pair[0].rpartition(".")[0]):
        lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        lines += [f"{key.rpartition('.')[2]} = {json.dumps(value, ensure_ascii=False)}" for key, value in own]
    return lines
