"""What a callback is, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jaxode.config import RunConfig
from jaxode.runs.history import History
from jaxode.strict_json import JsonObject
from jaxode.tasks import Task


@dataclass
class RunInfo:
    """The run that a callback is told of, and how it asks for its end.

    Args:
      config: the settings.
      task: what is learned; names `monitor`, the number by which the best epoch is chosen, and
        `mode`, whether it is to be large (`max`) or small (`min`).
      directory: of the run; None for one in memory.
      parameters: how many numbers are trained.
      steps_per_epoch: training steps of an epoch.
      history: the metrics of the epochs that are done when the run begins, which it has when it
        was resumed.
      step: training steps that are done by then.

    Example:
      >>> from jaxode.callbacks import RunInfo
      >>> from jaxode.config import RunConfig
      >>> from jaxode.tasks import Regression
      >>> run = RunInfo(RunConfig(), Regression(), None, 2, 8, [], 0)
      >>> run.stop("the error is small enough")
      >>> run.stop_reason
      'the error is small enough'
    """

    config: RunConfig
    task: Task
    directory: Path | None
    parameters: int
    steps_per_epoch: int
    history: History
    step: int
    stop_reason: str | None = field(default=None, init=False)
    """Why the training is to end; None while it is not."""

    def stop(self, reason: str) -> None:
        """Ask for the end of the training after the epoch in progress.

        The run then ends as a complete one does, with its predictions and pictures, and its
        result has the status `stopped_early` and this reason.

        Args:
          reason: for the record.
        """
        if self.stop_reason is None:
            self.stop_reason = str(reason)


class TrainingStep(NamedTuple):
    """What a training step came to.

    Args:
      step: its number in the run, from 1.
      epoch: its epoch, from 1.
      loss: mean over the batch, before the update.
      lr: learning rate of the update.
      gradient_norm: Euclidean norm of the gradient of the mean loss, all parameters together.
      nfe: function evaluations of a forward solve, the mean over solves and blocks; None for a
        model that solves no ODE.
      accepted: steps of the solver, likewise.
      rejected: steps of the solver, likewise.
      nfe_backward: function evaluations of a backward solve, likewise, under the gradient mode
        backsolve; else None.

    Example:
      >>> from jaxode.callbacks import TrainingStep
      >>> TrainingStep(step=1, epoch=1, loss=2.3, lr=0.1, gradient_norm=0.5).nfe is None
      True
    """

    step: int
    epoch: int
    loss: float
    lr: float
    gradient_norm: float
    nfe: float | None = None
    accepted: float | None = None
    rejected: float | None = None
    nfe_backward: float | None = None


class Callback:
    """A base class whose methods do nothing: override those that you need.

    Any object with one or more of these methods is a callback; it need not be a subclass. Pass it
    to `jaxode.fit(…, callbacks=[…])` or `jaxode.train.run`. Training steps come after each
    compiled call of several steps, in order, and cost a transfer for each call only where some
    callback has `on_step`. The trained numbers are the same with and without callbacks.

    An exception that a callback raises ends the run and reaches the caller with its traceback;
    what was computed is saved first. Of several processes the first alone calls callbacks.

    Example:
      >>> import numpy as np
      >>> from flax import nnx
      >>> import jaxode
      >>> from jaxode.tasks import Regression
      >>> class Losses(jaxode.callbacks.Callback):
      ...     def on_start(self, run):
      ...         self.run, self.losses = run, []
      ...     def on_step(self, step):
      ...         self.losses.append(step.loss)
      ...     def on_epoch(self, metrics):
      ...         if metrics["test_rmse"] < 0.5:
      ...             self.run.stop("the error is below 0.5")
      >>> x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
      >>> data = jaxode.ArrayDataset("line", *2 * [{"input": x, "target": 2 * x}])
      >>> config = jaxode.RunConfig(epochs=40, batch_size=8, optim=jaxode.OptimConfig(lr=0.1))
      >>> model, losses = nnx.Linear(1, 1, rngs=nnx.Rngs(0)), Losses()
      >>> found = jaxode.fit(model, Regression(), data, config, callbacks=[losses])
      >>> found.result["status"], len(losses.losses) == 4 * found.result["epochs"]
      ('stopped_early', True)
    """

    def on_start(self, run: RunInfo) -> None:
        """Called once, before the first step of a run or of the rest of a resumed one.

        Args:
          run: the run; keep it to call `run.stop`.
        """

    def on_step(self, step: TrainingStep) -> None:
        """Called for each training step, in order.

        A resumed run begins with the first step after its checkpoint, which may have been
        reported before, if the process was killed after it.

        Args:
          step: its numbers.
        """

    def on_epoch(self, metrics: JsonObject) -> None:
        """Called after each epoch, when its checkpoint is written.

        Args:
          metrics: the epoch's line of metrics.jsonl: `epoch`, `loss`, `lr`, `nfe_forward`, the
            task's numbers of both splits, seconds.
        """

    def on_end(self, result: JsonObject) -> None:
        """Called once at the end, however the run ends, if `on_start` was called.

        Args:
          result: of the run, as in result.json. Its `status` is complete, stopped_early (by a
            callback), stopped (by a signal) or failed, with an `error` and little else.
        """
