"""What a start finds in the directory of a run: a checkpoint to go on from, or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from jaxode.config import RunConfig
from jaxode.errors import NOT_WRITTEN, ResumeError
from jaxode.runs import leftovers
from jaxode.runs.checkpoint import Checkpoint
from jaxode.runs.directory_lock import CONFIG
from jaxode.runs.files import count_lines
from jaxode.runs.history import METRICS
from jaxode.runs.identity import check_identity
from jaxode.runs.progress import Progress
from jaxode.runs.run_directory import RunDirectory
from jaxode.runs.summary import RESULT
from jaxode.strict_json import need, read_object


def restore_checkpoint(
    directory: RunDirectory,
    config: RunConfig,
    fingerprint: str,
    template: PyTree,
    monitor: str,
    progress: Progress,
) -> Checkpoint | None:
    """The newest whole checkpoint, which is one of this run.

    What killed processes have left in the directory is deleted.

    Args:
        directory: of the run, which this process has locked.
        config: the run's settings.
        fingerprint: of the run's data.
        template: the state of a run that has not begun.
        monitor: name of the number that every epoch has.
        progress: shows which checkpoints are damaged.

    Returns:
        The checkpoint; None if the run starts from the beginning.

    Raises:
        ResumeError: the checkpoint is not of this run, or there are results but no checkpoint. The
            files of the run are then as they were.
        CheckpointError: there are checkpoints, and none can be read.
    """
    checkpoints = directory.checkpoints
    checkpoint = checkpoints.load(template, progress.warn)
    if checkpoint is None:
        announce_beginning(directory.path, progress)
    else:
        where = checkpoints.directory / checkpoint.name
        check_identity(checkpoint, config, fingerprint, template, monitor, where)
    leftovers.sweep(directory.path, checkpoints.trusted)
    return checkpoint


def announce_beginning(directory: Path, progress: Progress) -> None:
    """Say that a run without a checkpoint starts from the beginning, unless it is new.

    Args:
        directory: of the run.
        progress: shows the line.

    Raises:
        ResumeError: there are results, which would be overwritten, or a result that cannot be
            read: nothing says how many epochs it is of.
    """
    result = _result(directory / RESULT)
    # The metrics where the result is lost, or the result where the metrics are.
    epochs = max(result.get("epochs", 0), count_lines(directory / METRICS))
    if epochs and not _lacks_first_checkpoint(result, epochs):
        raise ResumeError(
            f"{directory} holds results of {epochs} epochs but no checkpoint to go on from: "
            "train again with another --out, or delete the directory first"
        )
    if epochs:
        progress.warn("the first checkpoint could not be written: starting from the beginning")
    elif (directory / CONFIG).exists():
        progress.say("there is no checkpoint yet: starting from the beginning")


def _result(path: Path) -> dict[str, Any]:
    """The content of a result.json, empty without one. Raises ResumeError."""
    try:
        values = read_object(path)
        need(values, "epochs", int, path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ResumeError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ResumeError(
            f"{error}: train again with another --out, or delete the file first"
        ) from error
    return values


def _lacks_first_checkpoint(result: Mapping[str, Any], epochs: int) -> bool:
    """Whether the results are those of a start whose first checkpoint could not be written.

    Earlier versions wrote the results of that epoch nevertheless; of more epochs there have been
    checkpoints.
    """
    failed = result.get("status") == "failed"
    return epochs == 1 and failed and str(result.get("error", "")).startswith(NOT_WRITTEN)
