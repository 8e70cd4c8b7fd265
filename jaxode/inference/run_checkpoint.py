"""The parameters in a run's checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jaxode.checks import ConfigError
from jaxode.optim import optimizer
from jaxode.runs import Checkpoint, RunDirectory
from jaxode.runs.checkpoint_folder import CHECKPOINTS
from jaxode.train.state import Learned, initial_state

Which = Literal["last", "best"]


def run_of(path: Path) -> tuple[Path, str | None]:
    """The run's directory, and the checkpoint's name if `path` is that of a checkpoint."""
    place = path.resolve()
    if place.parent.name != CHECKPOINTS:
        return path, None
    return place.parents[1], place.name


def read_checkpoint(
    directory: RunDirectory,
    which: Which | str,
    learned: Learned,
    blocks: int,
    *,
    regularised: bool,
) -> Checkpoint:
    """The last checkpoint of a run, that of its best epoch, or one by its name.

    Args:
      directory: of the run, with the settings read.
      which: last, best, or the name of a checkpoint.
      learned: parameters and statistics of the right shapes.
      blocks: ODE blocks of the model.
      regularised: whether it was trained with regularisers.

    Raises:
      ConfigError: there is none.
      CheckpointError: none can be read.
      ValueError: it is of other shapes.
    """
    config, path = directory.config, directory.path
    template = initial_state(
        learned, optimizer(config.optim, 1), blocks, config.precision, regularised=regularised
    )
    if which == "best":
        best = directory.best_checkpoint
        if best is None:
            raise ConfigError(f"{path} has no checkpoint of its best epoch")
        return directory.checkpoints.read(best.name, template)
    if which != "last":
        return directory.checkpoints.read(which, template)
    found = directory.checkpoints.load(template, lambda text: None)
    if found is None:
        raise ConfigError(f"{path} must hold a checkpoint to load, and has none")
    return found
