"""Whether nothing is left to do for a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxode.config import RunConfig
from jaxode.runs.checkpoint_folder import STATE
from jaxode.runs.checkpoint_meta import DamagedError, compare_files
from jaxode.runs.history import METRICS, agrees
from jaxode.tasks import Task

if TYPE_CHECKING:
    from jaxode.runs.run_directory import RunDirectory

STATE_BYTES = 1 << 38
"""More than any file of a checkpoint's state."""


def is_complete(directory: RunDirectory, config: RunConfig, task: Task) -> bool:
    """Whether all epochs are done, and no file is missing or damaged.

    Checkpoints that were deleted, to save space, are not missed.

    Args:
        directory: of the run.
        config: the settings, of which the number of epochs counts.
        task: of the run.
    """
    result = directory.result
    done = result.get("status") == "complete" and type(result.get("epochs")) is int
    return (
        done
        and result["epochs"] == config.epochs
        and directory.has_report(task)
        and is_whole(directory, config.epochs)
    )


def is_whole(directory: RunDirectory, epochs: int) -> bool:
    """Whether the newest checkpoint is whole, of so many epochs, and has the metrics' history.

    True without any checkpoint.

    Args:
        directory: of the run.
        epochs: how many there are to be.
    """
    newest, meta = directory.last_checkpoint, directory.newest_meta
    if newest is None:
        return True
    if meta is None:
        return False
    try:
        compare_files(newest / STATE, meta["files_sha256"], STATE_BYTES)
    except DamagedError:
        return False
    return len(meta["history"]) == epochs and agrees(directory.path / METRICS, meta["history"])
