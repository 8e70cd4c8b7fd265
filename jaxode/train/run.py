"""`run`: train into a directory, or go on with what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from jaxode.callbacks.calls import Callbacks
from jaxode.checks import ConfigError
from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.distributed.process_group import ProcessGroup
from jaxode.models import create_model
from jaxode.runs.progress import LoggedProgress, Progress
from jaxode.strict_json import JsonObject
from jaxode.tasks import Task
from jaxode.train.compiled_steps import Builder
from jaxode.train.interrupts import Interrupts
from jaxode.train.loop import Trainer
from jaxode.train.pace import Pace


def run(
    config: RunConfig,
    data: Dataset,
    out: Path | str,
    *,
    progress: Progress | None = None,
    build: Builder = create_model,
    pace: Pace | None = None,
    cluster: ProcessGroup | None = None,
    task: Task | None = None,
    callbacks: Sequence[Any] = (),
) -> JsonObject:
    """Train to the last epoch and return the result.

    Training goes on from the checkpoints in `out`, if there are any.

    Args:
        config: settings; `config.data.data` must be what `data` is, "full" or "sample".
        data: what is trained on: as `jaxode.data.load` returns it, or your own.
        out: a directory that no other process writes into, see `jaxode.runs.lock_run_directory`;
          it is made if it does not exist.
        progress: shows the progress; by default it is logged.
        build: what makes the model.
        pace: chooses the lengths of compiled calls.
        cluster: the processes of the run, all of which call this; process 0 alone
          reads and writes `out`.
        task: what is learned; classification by default.
        callbacks: objects with some of the methods of `jaxode.callbacks.Callback`, such as
            `jaxode.callbacks.TensorBoard()`.

    Raises:
        ConfigError: settings that cannot be run.
        ResumeError: `out` holds checkpoints of other settings or other data, or results without a
          checkpoint.
        CheckpointError: a checkpoint could not be written, or none read.
        RunFailed: a value was not finite or a solve failed; named with its epoch and step.
        Stopped: a signal ended the run (see `Interrupts`); the state is saved.
        Exception: whatever a callback raises; the state is saved.
        OSError: a result file could not be written.

    Example:
        Training on the bundled sample of MNIST:

        >>> import tempfile
        >>> from jaxode.config import DataConfig, ModelConfig, RunConfig
        >>> from jaxode.data import load
        >>> from jaxode.train import run
        >>> config = RunConfig(
        ...     model=ModelConfig(model="mlp"),
        ...     data=DataConfig(data="sample", limit_train=64, limit_test=16),
        ...     epochs=1,
        ...     batch_size=32,
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = run(config, load(config.data), f"{folder}/run")
        >>> result["status"], result["epochs"], result["train_images"]
        ('complete', 1, 64)
    """
    if config.precision == "float64" and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise ConfigError(
            'precision float64 needs jax.config.update("jax_enable_x64", True) before anything else'
        )
    if config.data.data != data.source:
        raise ConfigError(
            f"data must be {data.source}, which the images are, got {config.data.data!r}"
        )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    cluster = cluster or ProcessGroup()
    shown = progress or LoggedProgress()
    with Interrupts(shown.warn) as interrupts:
        with interrupts.compiling(alone=cluster.count == 1):
            rest = (cluster, task, Callbacks(callbacks))
            trainer = Trainer(config, data, out, shown, build, pace, interrupts, *rest)
        return trainer.run()
