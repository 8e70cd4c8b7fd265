"""The task protocol: loss, metrics and reports of what a model learns.

The trainer knows neither images nor classes. It passes batches to the task, differentiates the
task's loss, and adds its metrics over batches, micro-batches and devices.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree, Shaped

from jaxode.types import Training

Batch = dict[str, Shaped[Array, "B ..."]]
"""Arrays with a leading batch axis, by name.

`weight` [B] is 1, or 0 for padding. `key` [B], a random key for each example, is present in
training only. The others are the data set's, such as `image` and `label` of a classifier.
"""

Metrics = dict[str, Array]
"""Sums over examples: the metrics of two batches together are the sum of theirs."""

Predictions = dict[str, np.ndarray]
"""One row for each example of a split, in the order stored."""

Model = Callable[..., Any]
"""A module that maps inputs to outputs, or inputs and `Training` or None to outputs."""

Outputs = TypeVar("Outputs")
"""A pytree of arrays."""


class Task(ABC, Generic[Outputs]):
    """What a model learns. A subclass must define `loss` and may override the rest.

    `loss`, `metrics` and `predictions` are traced by JAX and must be functions of their arguments
    alone. `Task[Outputs]` names the type of what `loss` returns beside the loss.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.tasks import Task
      >>> from jaxode.tasks.base import call_model
      >>> class Absolute(Task):
      ...     name = "absolute"
      ...     def loss(self, model, batch, total):
      ...         outputs = call_model(model, batch["input"], batch)
      ...         errors = jnp.abs(outputs - batch["target"])
      ...         return jnp.sum(errors * batch["weight"]) / total, outputs
      >>> batch = {"input": jnp.ones(4), "target": jnp.zeros(4), "weight": jnp.ones(4)}
      >>> loss, _ = Absolute().loss(lambda x: 3 * x, batch, jnp.array(4.0))
      >>> float(loss)
      3.0
    """

    name: ClassVar[str]
    """Name of the task in records."""

    monitor: str = "test_loss"
    """Metric that selects the best checkpoint: `test_`, `train_` or, of a data set with that split,
    `validation_`, and `loss` or a name of `summarize`."""

    mode: Literal["max", "min"] = "min"
    """Whether the best value of `monitor` is the largest or the smallest."""

    examples: str = "examples"
    """What an example is called in the lines of progress, in the plural."""

    loss_title: str = "loss"
    """Title of the loss in plots."""

    curve: tuple[str, str, float] | None = None
    """Name in `summarize`, title and factor of the metric whose learning curves are drawn."""

    @abstractmethod
    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Outputs]:
        """A micro-batch's share of the batch's mean loss, and the model's outputs.

        Args:
          model: to be called by `call_model`.
          batch: a micro-batch.
          total: sum of the weights of the whole batch; the losses of its micro-batches add up to
            its mean.

        Returns:
          The share, and a pytree for `metrics` and `predictions`.
        """

    def metrics(self, outputs: Outputs, batch: Batch) -> Metrics:
        """Sums over the examples of weight above 0, for evaluation.

        Args:
          outputs: the second result of `loss`.
          batch: the same micro-batch.

        Returns:
          Arrays by name, of shapes that do not depend on the batch.
        """
        return {}

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics of a split from the sums, by names without the split's prefix.

        Args:
          metrics: sums over the split, on the host.

        Returns:
          Numbers for metrics.jsonl, progress and `monitor`.
        """
        return {}

    def headline(self) -> tuple[str, ...]:
        """Names of the last epoch's metrics that are part of a result, in order."""
        return ("loss", "test_loss")

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """The task's part of an epoch's progress line, between loss and solver statistics.

        Args:
          record: the epoch's metrics by name; the training split's are None if not evaluated.
        """
        return [f"test loss {record['test_loss']:.4f}"]

    def result_text(self, result: Mapping[str, Any]) -> str:
        """The metrics of a finished run in one line.

        Args:
          result: of the run, by name; those of `headline` and the best value of `monitor`.
        """
        last = (f"{name.replace('_', ' ')} {result[name]:.4g}" for name in self.headline())
        best = f"best {self.monitor.replace('_', ' ')} {result[f'best_{self.monitor}']:.4g}"
        return f"{', '.join(last)} ({best} in epoch {result['best_epoch']})"

    def predictions(self, outputs: Outputs, batch: Batch) -> dict[str, Shaped[Array, "B ..."]]:
        """Predictions of a batch, one row for each example, that are copied to the host.

        Args:
          outputs: the second result of `loss`; the default requires an array [B, …].
          batch: the same micro-batch.
        """
        output: Any = outputs
        return {"output": output}

    def stored(self, predictions: Predictions, examples: Mapping[str, np.ndarray]) -> Predictions:
        """The arrays that are stored in a file of the run.

        Args:
          predictions: results of `predictions`, on the host.
          examples: the same rows of the split.
        """
        return predictions

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether arrays from a file have the types and shapes of `stored`.

        Raises:
          KeyError: an array is missing.
        """
        return True

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether stored predictions can belong to the examples of a split."""
        return True

    def report(self, stored: Predictions, spec: Any) -> dict[str, Any]:
        """JSON values for the result, from the predictions of a whole split.

        For metrics that are not sums over batches, such as an average precision.

        Args:
          stored: results of `stored` for all examples.
          spec: facts of the data set (`jaxode.data.Dataset.spec`), such as class names.
        """
        return {}

    def report_names(self, stored: Predictions) -> tuple[str, ...]:
        """Names of the values that `report` returns for these predictions."""
        return ()

    def plots(
        self, stored: Predictions, examples: Mapping[str, np.ndarray], spec: Any, title: str
    ) -> dict[str, bytes]:
        """PNG files by name, from the predictions of a whole split.

        Args:
          stored: results of `stored` for all examples.
          examples: the split.
          spec: facts of the data set, such as class names.
          title: above the figures.
        """
        return {}

    def plot_names(self, stored: Predictions) -> tuple[str, ...]:
        """Names of the files that `plots` returns for these predictions."""
        return ()


def call_model(model: Model, inputs: PyTree[Array], batch: Batch) -> Any:
    """The model's outputs for inputs of a batch.

    Args:
      model: if its call has a parameter `training`, for layers that differ in training (batch norm,
        dropout), that is a `jaxode.types.Training` in training and None in evaluation.
      inputs: the model's first argument.
      batch: with `key` in training.
    """
    if not takes_training(model):
        return model(inputs)
    training = Training(batch["key"], batch["weight"]) if "key" in batch else None
    return model(inputs, training)


def takes_training(model: Model) -> bool:
    """Whether a model's call has a parameter named `training`."""
    return "training" in call_parameters(model)


def call_parameters(model: Model) -> tuple[str, ...]:
    """Names of the parameters of a model's `__call__` method, without self; none for a function."""
    code = getattr(type(model).__call__, "__code__", None)
    if code is None:
        return ()
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]


def example_count(weight: Float[Array, " B"]) -> Int[Array, ""]:
    """Number of examples of weight above 0."""
    return jnp.sum(weight > 0, dtype=jnp.int32)
