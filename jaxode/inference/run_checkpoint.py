"""The parameters in a run's checkpoint."""

from __future__ import annotations

from typing import Literal

from jaxode.checks import ConfigError
from jaxode.optim import optimizer
from jaxode.runs import Checkpoint, RunDirectory
from jaxode.train.state import Learned, initial_state

Which = Literal["last", "best"]


def read_checkpoint(
    directory: RunDirectory, which: Which, learned: Learned, blocks: int
) -> Checkpoint:
    """The last checkpoint of a run, or that of its best epoch.

    Args:
      directory: of the run, with the settings read.
      which: last or best.
      learned: parameters and statistics of the right shapes.
      blocks: ODE blocks of the model.

    Raises:
      ConfigError: there is none.
      CheckpointError: none can be read.
      ValueError: it is of other shapes.
    """
    config, path = directory.config, directory.path
    template = initial_state(learned, optimizer(config.optim, 1), blocks, config.precision)
    if which == "best":
        best = directory.best_checkpoint
        if best is None:
            raise ConfigError(f"{path} has no checkpoint of its best epoch")
        return directory.checkpoints.read(best.name, template)
    found = directory.checkpoints.load(template, lambda text: None)
    if found is None:
        raise ConfigError(f"{path} must hold a checkpoint to load, and has none")
    return found
