"""What can go wrong in a run, each told to the user in one line."""

from __future__ import annotations

NOT_WRITTEN = "cannot write a checkpoint"
"""How the error of a checkpoint that found no room begins, in result.json too."""


class RunFailed(RuntimeError):
    """Training cannot go on: a value is not finite, or an ODE solve failed. Earlier checkpoints are untouched."""


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, or none could be read."""


class ResumeError(ValueError):
    """The directory holds no run, a run that the request contradicts, or one that nothing can go on from."""


class Stopped(Exception):
    """The run was asked to stop by a signal and has saved its state."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum = signum


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python or of XLA says that there is not enough memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error) or "Out of memory" in str(error)
