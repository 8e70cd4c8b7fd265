"""The task protocol: everything that a trainer has to know about what is being learned.

The trainer knows neither images nor classes. It hands a task batches, differentiates its loss, adds
up its metrics over batches, gradient-accumulation parts and devices, and names its numbers as the
task does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxode.types import Training

Batch = dict[str, Any]
"""Arrays with a leading batch axis, by name.

`weight` [B] is 1, or 0 for padding. `key` [B], a random key for each example, is there in training
alone. The others are what the data set holds: `image` and `label` of a classifier.
"""

Metrics = dict[str, Array]
"""Sums over examples: of two batches, the metrics are the sum of both."""

Predictions = dict[str, np.ndarray]
"""One row for each example of a split, in the order stored."""


class Task(ABC):
    """What is learned. Subclass it; only `loss` must be given.

    A loss and its metrics are traced by JAX and must be functions of their arguments alone.
    """

    name: ClassVar[str]
    """Identifies the task in records."""

    monitor: str = "test_loss"
    """The number of an epoch's metrics that picks the best checkpoint: `test_` or `train_`, and
    `loss` or a name of `summarize`."""

    mode: Literal["max", "min"] = "min"
    """Whether the best value of `monitor` is the largest or the smallest."""

    loss_title: str = "loss"
    """Of the loss in plots."""

    curve: tuple[str, str, float] | None = None
    """The number of `summarize` whose learning curves are drawn, its title and a factor."""

    @abstractmethod
    def loss(
        self, model: nnx.Module, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Any]:
        """A micro-batch's share of the batch's mean loss, and the model's outputs.

        Args:
          model: called with `call_model`.
          batch: a part of a batch.
          total: sum of the weights of the whole batch, so that the parts' losses add up to its
            mean.

        Returns:
          The share, and any pytree that `metrics` and `predictions` need.
        """

    def metrics(self, outputs: Any, batch: Batch) -> Metrics:
        """Sums over the batch's examples of weight above 0, for evaluation.

        Args:
          outputs: what `loss` returned beside the loss.
          batch: the same part of a batch.
        """
        return {}

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Numbers for people from the summed metrics, by names without a split's prefix."""
        return {}

    def headline(self) -> tuple[str, ...]:
        """Names of the epoch's metrics that a result tells of the last epoch, in order."""
        return ("loss", "test_loss")

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """The task's part of an epoch's line of progress, between loss and solver statistics."""
        return [f"test loss {record['test_loss']:.4f}"]

    def result_text(self, result: Mapping[str, Any]) -> str:
        """The metrics of a finished run in one line, from its result."""
        last = (f"{name.replace('_', ' ')} {result[name]:.4g}" for name in self.headline())
        best = f"best {self.monitor.replace('_', ' ')} {result[f'best_{self.monitor}']:.4g}"
        return f"{', '.join(last)} ({best} in epoch {result['best_epoch']})"

    def predictions(self, outputs: Any, batch: Batch) -> dict[str, Array]:
        """One row for each example of the batch, to be brought to the host."""
        return {"output": outputs}

    def stored(self, predictions: Predictions, examples: Mapping[str, np.ndarray]) -> Predictions:
        """What is kept of predictions, in a file of the run.

        Args:
          predictions: rows of `predictions`.
          examples: the same rows of the split.
        """
        return predictions

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether arrays read from a file are such as `stored` returns; KeyError if one lacks."""
        return True

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether stored predictions can be those of a split's examples."""
        return True

    def report(self, stored: Predictions, spec: Any) -> dict[str, Any]:
        """JSON values for the result, from the predictions of a whole split.

        The place for what does not add up over batches, such as an average precision.

        Args:
          stored: what `stored` returned, of all examples.
          spec: facts of the data set, such as class names.
        """
        return {}

    def report_names(self, stored: Predictions) -> tuple[str, ...]:
        """Names of the values that `report` would give."""
        return ()

    def plots(
        self, stored: Predictions, examples: Mapping[str, np.ndarray], spec: Any, title: str
    ) -> dict[str, bytes]:
        """PNG files by their names, from the predictions of a whole split."""
        return {}

    def plot_names(self, stored: Predictions) -> tuple[str, ...]:
        """Names of the files that `plots` would give."""
        return ()


def call_model(model: Any, inputs: Any, batch: Batch) -> Any:
    """The model's outputs for some inputs of a batch.

    Models whose layers differ in training (batch norm, dropout) take a second argument, a
    `jaxode.types.Training` in training and None in evaluation; others are called with the inputs
    alone.
    """
    if not takes_training(model):
        return model(inputs)
    training = Training(batch["key"], batch["weight"]) if "key" in batch else None
    return model(inputs, training)


def takes_training(model: Any) -> bool:
    """Whether a model's call has a parameter named `training`."""
    return "training" in call_parameters(model)


def call_parameters(model: Any) -> tuple[str, ...]:
    """Names of the parameters of a module's call, without self."""
    code = getattr(type(model).__call__, "__code__", None)
    if code is None:
        return ()
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]


def example_count(weight: Float[Array, " B"]) -> Array:
    """How many examples have a weight above 0."""
    return jnp.sum(weight > 0, dtype=jnp.int32)
