"""Processes beside a sweep on this machine: one for each GPU, or for each core of a CPU, as workers of the same study.

Networks of tabular size leave cores of a shared step waiting for each other: on two cores, two processes of one thread
each train half as many again (docs/LOG.md).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Thread
from typing import TYPE_CHECKING

from pipeline.config import seconds_of
from pipeline.devices import MOST_PROCESSES, available_cores, memory_bytes, resolve_compute
from pipeline.progress import interject, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.cli import Options
    from pipeline.runner import Runner
    from pipeline.settings import Config
    from pipeline.training_settings import Train

# in the environment of a process that is to end with the one that started it: until when it may ask for trials, by
# `time.monotonic`, which processes of a computer share
BESIDE = "FOLDPACK_BESIDE"
FEWEST_TRIALS = 20  # of a sweep, before further processes of a CPU are worth their start
OF_RAW_FILES = 20  # what a process holds of tables, matrices and packs, beside the size of the raw files
OF_ITS_OWN = 1 << 30  # bytes that it holds in any case
PATIENCE = 20.0  # seconds for giving back what is in flight, and for saying good-bye to a study that is complete
SHORT = 2.0  # seconds of waiting that are not worth a word


def spread_out(config: Config, raw_bytes: int) -> Train:
    """Where a sweep trains: on a CPU in a process for each core, unless somebody said otherwise or it is too short.

    raw_bytes: of the competition's tables, for every process holds them.
    """
    train = config.train
    if train.engine != "local" or resolve_compute(train.device, train.threads, train.precision).device != "cpu":
        return train  # several GPUs have a process each without being asked
    processes = train.workers
    if not processes and config.search.trials >= FEWEST_TRIALS:
        fitting = memory_bytes() // (OF_ITS_OWN + OF_RAW_FILES * raw_bytes)
        processes = min(MOST_PROCESSES, fitting, available_cores() // max(train.threads, 1))
    return train.model_copy(update={"engine": "processes", "workers": processes}) if processes > 1 else train


@contextmanager
def beside(runner: Runner, options: Options, devices: Sequence[str]) -> Iterator[Crew]:
    """A context in which a process for each of `devices` helps out, but for the first, which is ours.

    No more of them than there are to be trials in flight. They end with the study, or as their time is up. Left by an
    exception, they give back what they have in flight.
    """
    devices = devices[: runner.config.search.parallel]
    crew = Crew()
    if len(devices) < 2:
        yield crew
        return
    runner.bring("ingest")  # once, and not by all at the same time
    parallel = runner.config.search.parallel // len(devices)
    own = runner.config.search.model_copy(update={"parallel": parallel})
    runner.config = runner.config.model_copy(update={"search": own})
    runner.compute = replace(runner.compute, device=devices[0])
    say(f"{'search':<11} {f'{len(devices)} processes':<18} {_words(devices, runner.compute.threads)}")
    seconds = seconds_of(runner.config.search.timeout)
    deadline = time.monotonic() + seconds if seconds else float("inf")
    try:
        for device in devices[1:]:
            crew.helpers.append(_Helper(device, _command(options, runner, device, len(devices)), deadline))
        yield crew
    except BaseException:
        for helper in crew.helpers:
            helper.stop()
        raise
    finally:
        until = time.monotonic() + PATIENCE  # for all of them together
        for helper in crew.helpers:
            helper.end(until)


@dataclass(slots=True)
class Crew:
    """The processes that help out."""

    helpers: list[_Helper] = field(default_factory=list)

    def wait(self) -> None:
        """Return when all have ended: with the study, or with their last trials because their time is up."""
        begun, is_said = time.monotonic(), False
        while running := [helper for helper in self.helpers if helper.process.poll() is None]:
            if not is_said and time.monotonic() - begun > SHORT:
                others = f"{len(running)} other process{'es' if len(running) > 1 else ''}"
                words = f"waiting for what {others} of this sweep still train; Ctrl-C ends it, and loses nothing told"
                interject(f"{'search':<11} {'time is up':<18} {words}")
                is_said = True
            time.sleep(0.1)
        for helper in self.helpers:
            helper.reader.join(PATIENCE)  # its last trials are told


def leave_with_parent() -> float:
    """Where another process started this one to help it: end, as if told to, when that one is gone.

    Returns until when it may ask for trials, by `time.monotonic`.
    """
    if not (until := os.environ.pop(BESIDE, "")):
        return float("inf")

    def watch() -> None:
        while os.read(0, 1):  # not through sys.stdin, whose lock would be held as the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True, name="parent").start()
    return float(until)


def _command(options: Options, runner: Runner, device: str, processes: int) -> list[str]:
    """A worker with the settings of the sweep, but for where it computes."""
    places = {
        "train.device": f'"{device}"',
        "train.threads": runner.compute.threads,
        # what "auto" is on this sweep's device: of another kind of GPU it may be another, and so another study
        "train.precision": f'"{runner.compute.precision}"',
        "train.engine": '"local"',
        "train.workers": processes,
        "search.parallel": runner.config.search.parallel,
    }
    settings = [*options.settings, *(f"{name}={value}" for name, value in places.items())]
    words = [word for setting in settings for word in ("--set", setting)]
    fast = ["--fast"] if options.fast else []
    return [sys.executable, "-m", "pipeline", "worker", options.name, *words, *fast]


def _words(devices: Sequence[str], threads: int) -> str:
    if devices[0] == "cpu":
        return f"of {threads} thread{'s' if threads > 1 else ''} each; --workers 1 for one process"
    return f"on {', '.join(devices)}"


@dataclass(slots=True)
class _Helper:
    """A worker of our study as a process of its own. Its trials are told as ours are."""

    device: str
    command: Sequence[str]
    until: float = float("inf")  # by `time.monotonic`: when it is to ask for no further trial
    is_stopped: bool = False
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=1))  # the last that is not about a trial
    process: subprocess.Popen[str] = field(init=False)
    reader: Thread = field(init=False)

    def __post_init__(self) -> None:
        # a session of its own, for Ctrl-C is ours to hand on, once; its input ends when we do
        self.process = subprocess.Popen(  # noqa: S603 - our own command, with what was typed
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, BESIDE: str(self.until)},
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self.reader = Thread(target=self._read, daemon=True, name=f"beside {self.device}")
        self.reader.start()

    def stop(self) -> None:
        """Have it give back what it has in flight, and end."""
        self.is_stopped = True
        self.process.terminate()

    def end(self, until: float) -> None:
        """Wait for its end, but not longer than until then, by `time.monotonic`."""
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.is_stopped = True
            self.process.kill()
            self.process.wait()
            interject(
                f"{'search':<11} {'a process less':<18} the one on {self.device} had not ended after {PATIENCE:.0f} s "
                f"and was killed; the next command tries again what it had in flight"
            )
        self.reader.join(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("trial "):
                interject(line.rstrip("\n"))
            elif line.strip():
                self.lines.append(line.strip())
        if (code := self.process.wait()) and not self.is_stopped:
            ended = f"the one on {self.device} ended: {_end_in_words(code, self.lines)}"
            interject(f"{'search':<11} {'a process less':<18} {ended}")


def _end_in_words(code: int, lines: Sequence[str]) -> str:
    """Its last words, unless a signal left it no time for any."""
    if code == -signal.SIGKILL:
        return "killed (SIGKILL), mostly by a system that is short of memory; --workers 1 takes less"
    if code < 0:
        return f"killed by signal {-code} ({signal.strsignal(-code)})"
    return lines[-1] if lines else f"exit code {code}"
