"""`python -m pipeline` and the `foldpack` script: exit codes, and nothing else."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED, TERMINATED, PIPE_CLOSED, USER_FAULT = 130, 143, 141, 2


def _terminate(signum: int, frame: FrameType | None) -> None:
    del signum, frame
    raise SystemExit(TERMINATED)


def run(arguments: list[str] | None = None) -> int:
    """Run one command. 0 done; 2 the user's input or environment, in one message; 130/143 interrupted."""
    from pipeline.cli import parse
    from pipeline.errors import PipelineError

    signal.signal(signal.SIGTERM, _terminate)
    # read once, when OpenMP is loaded: waiting threads spin for microseconds, then sleep (docs/decisions/005)
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        options = parse(sys.argv[1:] if arguments is None else arguments)
        from pipeline.commands import execute

        execute(options)
    except PipelineError as error:
        from pipeline.progress import shown

        sys.stdout.flush()
        print(f"error: {shown(str(error))}", file=sys.stderr)
        return USER_FAULT
    except KeyboardInterrupt:
        print("\ninterrupted: the same command continues", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` closed the pipe: stopped half-way
        return PIPE_CLOSED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"error: {where}{error.strerror or error}; make room or give permission there, then run the same "
            f"command again: nothing finished is lost",
            file=sys.stderr,
        )
        return USER_FAULT
    return 0


if __name__ == "__main__":
    sys.exit(run())
