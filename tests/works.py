"""Parts' work that travels to other processes: small values whose results a reader knows beforehand."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.errors import TrainingError


class Ours:
    """Calls no function of a user's."""

    users_code = ()


@dataclass(frozen=True)
class Sum(Ours):
    """The sum of the shared numbers, times `factor`; and which process and device computed it."""

    factor: int = 1

    def __call__(self, shared, runtime, checkpoint, on_epochs):
        on_epochs(1)
        return self.factor * int(np.sum(shared)), os.getpid(), runtime.compute.device


@dataclass(frozen=True)
class Environment(Ours):
    """What the process was told about threads, and the identity of the shared value in it."""

    def __call__(self, shared, runtime, checkpoint, on_epochs):
        time.sleep(0.05)
        return os.getpid(), os.environ.get("OMP_NUM_THREADS"), id(shared), type(shared)


@dataclass(frozen=True)
class Failing(Ours):
    """An error of the user's, as a stage raises it."""

    text: str

    def __call__(self, shared, runtime, checkpoint, on_epochs):
        raise TrainingError(self.text)


@dataclass(frozen=True)
class KillsItsProcess(Ours):
    """SIGKILL to the process it is called in, as the kernel does when memory runs out; `times`, then a sum."""

    folder: str
    times: int

    def __call__(self, shared, runtime, checkpoint, on_epochs):
        deaths = len(list(Path(self.folder).iterdir()))
        if deaths < self.times:
            (Path(self.folder) / str(deaths)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return int(np.sum(shared))


@dataclass(frozen=True)
class UntilTold(Ours):
    """Steps for ever, each asking its checkpoint, and leaves a file when it is ended by what that says."""

    folder: str
    name: str

    def __call__(self, shared, runtime, checkpoint, on_epochs):
        (Path(self.folder) / f"{self.name} began").write_text(str(os.getpid()))
        try:
            while True:
                checkpoint.due()
                time.sleep(0.01)
        finally:
            (Path(self.folder) / f"{self.name} ended").touch()
