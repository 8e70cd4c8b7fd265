"""`fit`: train a model of your own, in memory or into a run's directory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from flax import nnx

from jaxode.callbacks.calls import Callbacks
from jaxode.config import RunConfig
from jaxode.data import BatchStream, Dataset, as_dataset
from jaxode.data.streaming import Examples
from jaxode.distributed.process_group import ProcessGroup
from jaxode.runs.directory_lock import CONFIG, lock_run_directory
from jaxode.runs.history import History
from jaxode.runs.next_steps import where_text
from jaxode.runs.progress import Progress, usual_progress
from jaxode.runs.resume import merge_resume_request
from jaxode.runs.stored_config import read_config
from jaxode.strict_json import JsonObject
from jaxode.tasks import Task
from jaxode.train.given_model import recorded_config
from jaxode.train.interrupts import Interrupts
from jaxode.train.loop import Trainer


class Fitted(NamedTuple):
    """What `fit` returns; its docstring has an example.

    Attributes:
        model: the trained model.
        history: the metrics of each epoch.
        result: the metrics of the run.
    """

    model: nnx.Module
    history: History
    result: JsonObject


def fit(
    model: nnx.Module,
    task: Task,
    data: Dataset | Mapping[str, Examples | BatchStream | Iterable[Any]],
    config: RunConfig,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callbacks: Sequence[Any] = (),
    progress: Progress | None = None,
) -> Fitted:
    """Train a model of your own.

    With `out` it writes what the command writes: settings, metrics, result, checkpoints, pictures.
    `jaxode.load(out)` makes the trained model again if it is what `config.model` and
    `config.solve` describe (`jaxode.create_model(config.model, config.solve, …)`); a model of your
    own is passed to it once more, `jaxode.load(out, model=MyModel(…))`, and gets the trained
    weights.

    Args:
        model: any `nnx.Module`; it is left as it is, and a trained copy returned.
        task: what it learns.
        data: training and test examples: a data set, or arrays or batches of each, see
            `jaxode.data.as_dataset`. Batches are streamed.
        config: epochs, batch size, optimizer, seed, precision and devices; its settings of model
            and solve do not change the model.
        out: the run's directory; None to keep the run in memory.
        resume: go on with the run in `out`, if there is one; without it, a directory that holds a
            run is refused. More epochs than that run has are allowed: see
            `jaxode.runs.merge_resume_request`.
        callbacks: objects with some of the methods of `jaxode.callbacks.Callback`.
        progress: shows the progress; by default a bar in a notebook and on a terminal where Python
            is used interactively, elsewhere lines for the logger.

    Returns:
        The trained model, the history, and the result that a run's directory has.

    Raises:
        ConfigError: settings that cannot be run, or a directory that holds a run.
        ResumeError: `out` holds a run of another model, other settings or other data.
        RunFailed: a value was not finite or a solve failed.
        Stopped: a signal ended it; with `out`, the state is saved.
        Exception: whatever a callback raises; with `out`, the state is saved.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> from jaxode.config import OptimConfig, RunConfig
      >>> from jaxode.data import ArrayDataset
      >>> from jaxode.tasks import Regression
      >>> from jaxode.train import fit
      >>> x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
      >>> line = {"input": x, "target": 2 * x}
      >>> data = ArrayDataset("a line", line, line)
      >>> model = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
      >>> config = RunConfig(epochs=40, batch_size=8, optim=OptimConfig(lr=0.1))
      >>> fitted = fit(model, Regression(), data, config)
      >>> round(fitted.result["test_rmse"], 2)
      0.0
    """
    data = as_dataset(data)
    if isinstance(data.splits["train"], BatchStream) and config.data.feed == "resident":
        config = config.replaced(feed="streamed")
    shown, callers = progress or usual_progress(), Callbacks(callbacks)
    with _directory(out, resume) as directory, Interrupts(shown.warn) as interrupts:

        def build(*_: object, **__: object) -> nnx.Module:
            return nnx.clone(model)

        with interrupts.compiling():
            if directory is not None:
                config = _settings(directory, recorded_config(model, data, config))
            rest = (interrupts, ProcessGroup(), task, callers)
            trainer = Trainer(config, data, directory, shown, build, None, *rest)
        result = trainer.run()
    trained = nnx.merge(trainer.steps.work.graphdef, *trainer.state.learned)
    if directory is not None:
        shown.say(where_text(directory, _how_to_load(directory, config)))
    return Fitted(trained, trainer.records.history, result)


@contextmanager
def _directory(out: str | os.PathLike[str] | None, resume: bool) -> Iterator[Path | None]:
    """Context in which the run's directory is this process's alone; None without one."""
    if out is None:
        yield None
        return
    with lock_run_directory(Path(out), may_hold_run=resume) as path:
        yield path


def _settings(directory: Path, config: RunConfig) -> RunConfig:
    """The settings of a new run, or those of the one in a directory with more epochs.

    Raises ResumeError if it is another run.
    """
    if not (directory / CONFIG).exists():
        return config
    own = None if isinstance(config.model.model, str) else config.model.model
    request = config.flat()
    del request["extended_from"]  # what happened to that run, it knows itself
    return merge_resume_request(directory, read_config(directory, own), request)


def _how_to_load(directory: Path, config: RunConfig) -> str:
    """What to type next."""
    if isinstance(config.model.model, str):
        return f"jaxode.load({str(directory)!r})"
    return f"jaxode.load({str(directory)!r}, model={config.model.facts.title}(…))"
