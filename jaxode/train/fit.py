"""`fit`: train a model of your own in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

from flax import nnx

from jaxode.config import RunConfig
from jaxode.data import Dataset
from jaxode.distributed.process_group import ProcessGroup
from jaxode.runs.history import History
from jaxode.runs.progress import Progress
from jaxode.tasks import Task
from jaxode.train.interrupts import Interrupts
from jaxode.train.loop import Trainer


class Fitted(NamedTuple):
    """A trained model, the metrics of each epoch, and the result."""

    model: nnx.Module
    history: History
    result: dict[str, Any]


def fit(
    model: nnx.Module,
    task: Task,
    data: Dataset,
    config: RunConfig,
    *,
    progress: Progress | None = None,
) -> Fitted:
    """Train a model of your own in memory: no file is written.

    Args:
        model: any `nnx.Module`; it is left as it is, and a trained copy returned.
        task: what it learns.
        data: training and test examples.
        config: epochs, batch size, optimizer, seed, precision and devices; its settings of model
            and solve are not used.
        progress: where progress is shown; nowhere if left out.

    Returns:
        the trained model, the history, and the result that a run's directory would have.

    Raises:
        ConfigError: settings that cannot be run.
        RunFailed: a value was not finite or a solve failed.
        Stopped: a signal asked for an end.

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
    with Interrupts((progress or Progress(quiet=True)).warn) as interrupts:

        def build(*_: Any, **__: Any) -> nnx.Module:
            return nnx.clone(model)

        with interrupts.compiling():
            trainer = Trainer(
                config, data, None, progress, False, build, None, interrupts, ProcessGroup(), task
            )
        result = trainer.run()
    trained = nnx.merge(trainer.steps.work.graphdef, *trainer.state.learned)
    return Fitted(trained, trainer.records.history, result)
