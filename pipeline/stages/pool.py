"""Trials in flight: their networks train in the packs of others of the same program, leave together, and make room.

Some of a trial's networks go ahead, and the others follow if it is not given up. As a trial ends, the next one takes
its places; one that needs another program waits for that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipeline.engine.fit import Watch, serve
from pipeline.engine.packing import may_join, plan_packs
from pipeline.engine.sources import Streamed
from pipeline.errors import ConfigError, TrainingError
from pipeline.fits import Job
from pipeline.runtime import Flight
from pipeline.stages.assignments import assignment_of
from pipeline.stages.learners import products_in
from pipeline.stages.legs import PARTS, Course, legs_of
from pipeline.stages.limits import limits_of
from pipeline.stages.packs import Judge
from pipeline.stages.setups import Benches
from pipeline.stages.spaces import suggested
from pipeline.stages.trials import Trained, stands

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import optuna

    from pipeline.engine.epochs import EpochScore
    from pipeline.engine.fit import Fitted
    from pipeline.engine.packing import Assignment
    from pipeline.stages.setups import Quest, Setup
    from pipeline.stages.trials import Session
    from pipeline.tables import Floats, Integers


@dataclass(slots=True, eq=False)
class Live:
    """A trial in flight. jobs and assignments: one for each of its networks."""

    trial: optuna.Trial
    setup: Setup
    jobs: list[Job]
    assignments: list[Assignment]
    course: Course
    fitted: dict[int, Fitted] = field(default_factory=dict)  # place among `jobs` -> its network
    positions: list[int] = field(default_factory=list)  # of its networks in their pack
    reached: dict[int, int] = field(default_factory=dict)  # place among `jobs` -> epochs finished
    is_over: bool = False
    told: int = 0  # the last step of which the study has heard, in per cent of the trial

    @property
    def flight(self) -> Flight:
        """How far it is; a network that ended early counts as one that has nothing left to do."""
        of, ended = self.course.epochs, len(self.fitted)
        epochs = ended * of + sum(epoch for place, epoch in self.reached.items() if place not in self.fitted)
        return Flight(self.trial.number, self.course.places.stop, ended, epochs / len(self.jobs), of)


class Pool:
    """Keeps `search.parallel` trials in flight until the session gives no more."""

    def __init__(self, quest: Quest, session: Session) -> None:
        self.quest, self.session = quest, session
        self.benches = Benches(quest, quest.folds)
        self.flying: list[Live] = []
        self.waiting: list[Live] = []

    def run(self) -> None:
        """Train until nothing is left to ask for."""
        torch.set_num_threads(self.quest.runtime.compute.threads)
        self.ask()
        while self.waiting:
            self.tell_flights()
            company = _Company(self)
            try:
                company.train()
            except TrainingError as error:  # too large for this machine, alone in its pack too
                self._without_largest(company.lives, error)
            self.look_again()
            self.ask()

    def tell_flights(self) -> None:
        """Say how far everybody is."""
        self.quest.on_flights([live.flight for live in self.flying])

    def ask(self) -> None:
        """Fill up what is in flight. A trial whose settings do not go together ends here."""
        while len(self.flying) < self.quest.search.parallel:
            trials = self.session.ask(self.quest.search.parallel - len(self.flying))
            if not trials:
                return
            for trial in trials:
                try:
                    live = self._live(trial)
                except ConfigError as error:
                    if stands(trial):
                        raise
                    self.session.fail(trial, str(error))
                else:
                    self.waiting.append(live)
                    self.flying.append(live)

    def look_again(self) -> None:
        """Give up trials that wait for their next leg, if what others have come to meanwhile leaves them no hope."""
        for live in [live for live in self.waiting if live.course.is_leg_over]:
            if self.session.is_hopeless(live.trial):
                self.waiting.remove(live)
                self.give_up(live)

    def give_up(self, live: Live) -> None:
        """Tell a trial as given up, whose networks leave or have left."""
        self.session.give_up(live.trial)
        self.end(live)

    def end(self, live: Live) -> None:
        """It has been told."""
        live.is_over = True
        self.flying.remove(live)

    def _without_largest(self, lives: Sequence[Live], error: TrainingError) -> None:
        """Tell the largest of these trials as failed, and let the others begin anew."""
        left = [live for live in lives if not live.is_over]
        largest = max(left, key=lambda live: live.assignments[0].network.parameters, default=None)
        if largest is None or stands(largest.trial):
            raise error
        for live in left:
            self.flying.remove(live)
            if live is largest:
                self.session.fail(live.trial, str(error))
            else:
                fresh = replace(self._live(live.trial), told=live.told)
                self.flying.append(fresh)
                self.waiting.append(fresh)

    def _live(self, trial: optuna.Trial) -> Live:
        setup = self.quest.base.with_values(suggested(trial, self.quest.search.space))
        design, start = self.benches.design_of(setup), self.benches.starts_of(setup)
        seeds = range(setup.train.seed, setup.train.seed + self.quest.search.seeds)
        own = design.folds  # what says most goes ahead; of blocks in time the latest, which learns from most
        folds = sorted(range(own.count), key=lambda fold: (-len(own.valid[fold]), -len(own.train[fold])))
        jobs = [Job(0, fold, seed) for seed in seeds for fold in folds]
        assignments = [assignment_of(design, setup.candidate, job, start[job.fold]) for job in jobs]
        ahead = 1.0 if self.quest.search.pruner == "none" else self.quest.search.ahead
        course = Course(legs_of(len(jobs), ahead), setup.train.epochs, setup.train.restore_best)
        return Live(trial, setup, jobs, assignments, course)


class _Company:
    """Trials that share a program and its pack: the supply of the engine's places, and the ear for their scores."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        oldest = pool.waiting[0]
        self.bench = pool.benches.of(oldest.setup)
        self.limits = limits_of(
            pool.quest.runtime,
            pool.quest.base.train.pack_size,
            is_streamed=isinstance(self.bench.blocks.source, Streamed),
        )
        own = [live for live in pool.waiting if self._same_rows(live)]
        owners = [live for live in own for _ in live.jobs]
        pack = plan_packs([a for live in own for a in live.assignments], self.limits)[0]
        self.network, each = pack.network, len(oldest.jobs)
        self.slots = pack.most // each * each or pack.most  # whole trials, where at least one has room
        self.pending: deque[tuple[Live, int]] = deque()
        self.training = 0  # networks that have a place
        self.places: list[tuple[Live, int]] = []  # position in the pack -> trial, place among its jobs
        chosen = {id(owners[position]) for position in pack.positions}
        self.lives: list[Live] = []
        self.like = [a for live in own if id(live) in chosen for a in live.assignments]
        for live in own:
            if id(live) in chosen:
                self._enter(live)

    def train(self) -> None:
        """Until no trial that fits is left."""
        # a guided plan asks whether the network overfits: its training rows are scored at the first and the last epoch
        points = 2 if self.pool.quest.search.plan == "guided" else 0
        watch = Watch(self._judge, train_curve_points=points, prune=self._given_up)
        with products_in(self.pool.quest.runtime.compute.precision):
            serve(self, self.like, self.bench.data, watch=watch, slots=self.slots)

    # --- the engine asks for jobs, and hands over what it has trained

    def more(self, free: int) -> Sequence[Assignment]:
        """Jobs for so many free places, if there are any."""
        self.pending = deque(entry for entry in self.pending if not entry[0].is_over)
        if len(self.pending) < free:
            self.pool.look_again()
            self.pool.ask()
            waiting = self.pool.waiting
            if waiting and not self.pending and not self.training and not self._fits(waiting[0]):
                return []  # nobody trains here any more, and another program has waited for longer
            for live in [live for live in waiting if self._fits(live)]:
                self._enter(live)
        taken = [self.pending.popleft() for _ in range(min(free, len(self.pending)))]
        self.training += len(taken)
        for live, place in taken:
            live.positions.append(len(self.places))
            self.places.append((live, place))
        return [live.assignments[place] for live, place in taken]

    def take(self, position: int, fitted: Fitted) -> None:
        """A network that has left its place."""
        self.training -= 1
        live, place = self.places[position]
        if live.is_over:
            return
        live.fitted[place] = fitted
        curve = fitted.curve
        if curve.best_epoch < 0:  # the trial has come to nothing, and its other networks leave too
            self._finish(live)
            return
        live.course.end(place, curve.valid)
        if not live.course.is_leg_over:
            return
        if live.course.is_last:
            self._finish(live)
        elif not self._is_given_up(live):
            # it queues again: beside what those before it come to it will be seen what it is worth
            self.lives.remove(live)
            self.pool.waiting.append(live)

    # --- it tells scores, and hears who is to be given up

    def _judge(self, position: int, rows: Integers, outputs: Floats) -> float:
        live, place = self.places[position]
        judge = Judge(self.bench.design, self.pool.quest.metric, live.jobs, self.bench.blocks.start)
        return judge(place, rows, outputs)

    def _given_up(self, scores: Sequence[EpochScore]) -> Iterable[int]:
        """Positions of networks whose trial is over, among them trials that the study gives up at these scores."""
        heard: dict[int, Live] = {}
        for score in scores:
            live, place = self.places[score.position]
            live.course.add(place, score.epoch, score.loss)
            live.reached[place] = score.epoch
            heard[id(live)] = live
        for live in heard.values():
            if not live.is_over:
                self._is_given_up(live)
        self.pool.tell_flights()
        return [position for live in heard.values() if live.is_over for position in live.positions]

    def _is_given_up(self, live: Live) -> bool:
        """Tell the study what is new of a trial, and whether that was its end."""
        session, share = self.pool.session, self.pool.quest.search.warmup_share
        for step, score, part in live.course.reports():
            if step > live.told and np.isfinite(score):
                live.told = step
                is_wanted = session.report(live.trial, step, score)
                if not is_wanted or (part >= PARTS * share and session.is_hopeless(live.trial)):
                    self.pool.give_up(live)
                    return True
        return False

    # --- trials

    def _finish(self, live: Live) -> None:
        """Score the whole of the trial and tell it."""
        places = sorted(live.fitted)
        trained = Trained(
            live.setup, self.bench, [live.jobs[place] for place in places], [live.fitted[place] for place in places]
        )
        score = trained.score(self.pool.quest.metric)
        if np.isfinite(score):
            self.pool.session.complete(live.trial, score, trained)
        else:
            self.pool.session.fail(live.trial, trained.cause())
        self.pool.end(live)

    def _enter(self, live: Live) -> None:
        self.pool.waiting.remove(live)
        live.positions = []  # networks of an earlier leg have left
        self.lives.append(live)
        if live.course.is_leg_over:
            live.course.go_on()
        self.pending.extend((live, place) for place in live.course.places)

    def _same_rows(self, live: Live) -> bool:
        return self.pool.benches.key_of(live.setup) == self.bench.key

    def _fits(self, live: Live) -> bool:
        first = self.like[0]
        own = live.assignments[0]
        on_gpu = self.limits.circumstances.on_gpu
        return self._same_rows(live) and first.graph == own.graph and may_join(own.network, self.network, on_gpu=on_gpu)
