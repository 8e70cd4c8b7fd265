"""The errors of a run, each of which is one line for the user."""

from __future__ import annotations

NOT_WRITTEN = "cannot write a checkpoint"
"""The beginning of the error of a checkpoint on a full disk, in result.json too."""


class RunFailed(RuntimeError):
    """Training cannot go on: a value is not finite, or an ODE solve failed.

    Earlier checkpoints are untouched.
    """


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, or none could be read."""


class ResumeError(ValueError):
    """The directory holds no run, or one that the request contradicts or that cannot go on."""


class Stopped(Exception):
    """A signal stopped the run, and nothing that it computed is lost.

    Args:
        signum: the signal.
        compiling: whether XLA still compiles in another thread, which only the end of the process
          stops.
        result: of the run, if the signal came when all epochs were done and recorded.
    """

    def __init__(
        self, signum: int, compiling: bool = False, result: dict[str, object] | None = None
    ) -> None:
        super().__init__(f"stopped by signal {signum}")
        self.signum, self.compiling, self.result = signum, compiling, result


def out_of_memory(error: BaseException) -> bool:
    """Whether an error reports that there is not enough memory.

    Args:
        error: of Python or of XLA.
    """
    return (
        isinstance(error, MemoryError)
        or "RESOURCE_EXHAUSTED" in str(error)
        or "Out of memory" in str(error)
    )
