"""`python -m pipeline` and the `foldpack` script: exit codes, and nothing else."""

from __future__ import annotations

import os
import sys

from pipeline.interrupts import interruptible

INTERRUPTED, PIPE_CLOSED, USER_FAULT = 130, 141, 2


def run(arguments: list[str] | None = None) -> int:
    """Run one command. 0 done; 2 the user's input or environment, in one message; 130/143 interrupted."""
    with interruptible():
        return _run(sys.argv[1:] if arguments is None else arguments)


def _run(arguments: list[str]) -> int:
    from pipeline.cli import parse
    from pipeline.errors import PipelineError

    # read once, when OpenMP is loaded: waiting threads spin for microseconds, then sleep (docs/decisions/005)
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    try:
        options = parse(arguments)
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
