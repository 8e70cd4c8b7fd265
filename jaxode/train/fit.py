"""`fit`: train a model of your own in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from flax import nnx

from jaxode.config import RunConfig
from jaxode.data import BatchStream, Dataset, as_dataset
from jaxode.data.streaming import Examples
from jaxode.distributed.process_group import ProcessGroup
from jaxode.runs.history import History
from jaxode.runs.progress import LoggedProgress, Progress
from jaxode.strict_json import JsonObject
from jaxode.tasks import Task
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
    progress: Progress | None = None,
) -> Fitted:
    """Train a model of your own in memory: no file is written.

    Args:
        model: any `nnx.Module`; it is left as it is, and a trained copy returned.
        task: what it learns.
        data: training and test examples: a data set, or arrays or batches of each, see
            `jaxode.data.as_dataset`. Batches are streamed.
        config: epochs, batch size, optimizer, seed, precision and devices; its settings of model
            and solve are not used.
        progress: shows the progress; by default it is logged.

    Returns:
        The trained model, the history, and the result that a run's directory would have.

    Raises:
        ConfigError: settings that cannot be run.
        RunFailed: a value was not finite or a solve failed.
        Stopped: a signal ended it.

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
    shown = progress or LoggedProgress()
    with Interrupts(shown.warn) as interrupts:

        def build(*_: object, **__: object) -> nnx.Module:
            return nnx.clone(model)

        with interrupts.compiling():
            trainer = Trainer(
                config, data, None, shown, False, build, None, interrupts, ProcessGroup(), task
            )
        result = trainer.run()
    trained = nnx.merge(trainer.steps.work.graphdef, *trainer.state.learned)
    return Fitted(trained, trainer.records.history, result)
