"""Faults a person can mend. Everything here becomes one sentence and exit code 2; any other exception is our bug."""

# what want of memory is called where it has no type of its own: by PyTorch on a CPU, by cuBLAS and cuDNN, by CUDA where
# it pins memory or makes a graph ready, and by Triton
OUT_OF_MEMORY = ("can't allocate memory", "STATUS_ALLOC_FAILED", "error: out of memory", "[CUDA]: out of memory")


class PipelineError(Exception):
    """A fault of the user's input or environment: found, expected, where, remedy."""


class ConfigError(PipelineError):
    """The configuration is wrong; the message lists every fault at once, each with its line."""


class DataError(PipelineError):
    """A table is wrong; the message names the file, the row or the column, and the remedy."""


class ArtifactError(PipelineError):
    """A stored artifact cannot be written or used, and rebuilding it would not help."""


class TrainingError(PipelineError):
    """Training could not produce usable predictions; the message names fold, seed and the config line that mends it."""


class WorkerError(PipelineError):
    """Other processes cannot compute: not reached, not installed, of another version, or killed again and again."""


class StorageError(PipelineError):
    """A study's storage cannot be opened, read or written; what it was told before is safe in it."""
