"""`run`: train into a directory, or go on with what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.distributed.process_group import ProcessGroup
from jaxode.models import create_model
from jaxode.runs.progress import Progress
from jaxode.tasks import Task
from jaxode.train.compiled_steps import Builder
from jaxode.train.interrupts import Interrupts
from jaxode.train.loop import Trainer
from jaxode.train.pace import Pace


def run(
    config: RunConfig,
    data: Dataset,
    out: Path,
    *,
    progress: Progress | None = None,
    tensorboard: bool = False,
    build: Builder = create_model,
    pace: Pace | None = None,
    cluster: ProcessGroup | None = None,
    task: Task | None = None,
) -> dict[str, Any]:
    """Train to the last epoch and return the result.

    Training goes on from the checkpoints in `out`, if there are any.

    Args:
        config: settings; `config.data.data` must be what `data` is, "full" or "sample".
        data: what is trained on: as `jaxode.data.load` returns it, or your own.
        out: an existing directory that no other process writes into, see
          `jaxode.runs.lock_run_directory`.
        progress: where progress is shown; nowhere if left out.
        tensorboard: write event files too.
        build: what makes the model.
        pace: chooses the lengths of compiled calls.
        cluster: the processes of the run, all of which call this; `out` and what goes there is
          process 0's alone.
        task: what is learned; classification by default.

    Raises:
        ConfigError: settings that cannot be run.
        ResumeError: `out` holds checkpoints of other settings or other data, or results without a
          checkpoint.
        CheckpointError: a checkpoint could not be written, or none read.
        RunFailed: a value was not finite or a solve failed; named with its epoch and step.
        Stopped: a signal asked for an end (see `Interrupts`); the state is saved.
        OSError: a result file could not be written.
    """
    if config.precision == "float64" and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise ConfigError(
            'precision float64 needs jax.config.update("jax_enable_x64", True) before anything else'
        )
    if config.data.data != data.source:
        raise ConfigError(
            f"data must be {data.source}, which the images are, got {config.data.data!r}"
        )
    cluster = cluster or ProcessGroup()
    with Interrupts((progress or Progress(quiet=True)).warn) as interrupts:
        with interrupts.compiling(alone=cluster.count == 1):
            trainer = Trainer(
                config, data, out, progress, tensorboard, build, pace, interrupts, cluster, task
            )
        return trainer.run()
