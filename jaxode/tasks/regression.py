"""Regression: real targets, mean squared error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.tasks.base import Batch, Metrics, Model, Predictions, Task, call_model


class Regression(Task[Float[Array, "B ..."]]):
    """Regression of real targets of any shape, by the mean squared error.

    Args:
      inputs: name of the model's input in a batch, [B, …].
      targets: name of the targets in a batch, shaped as the model's outputs.

    Example:
      >>> from jaxode.tasks import Regression
      >>> task = Regression()
      >>> task.monitor, task.mode
      ('test_rmse', 'min')
    """

    name = "regression"
    monitor = "test_rmse"
    mode = "min"
    loss_title = "mean squared error"
    curve = ("rmse", "root-mean-square error", 1.0)

    def __init__(self, inputs: str = "input", targets: str = "target") -> None:
        self.inputs, self.targets = inputs, targets

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, "B ..."]]:
        """Share of the mean over examples of each example's mean squared error, and the outputs."""
        outputs = call_model(model, batch[self.inputs], batch)
        squares = self._each(jnp.square, outputs, batch)
        return jnp.sum(squares * batch["weight"]) / total, outputs

    def metrics(self, outputs: Float[Array, "B ..."], batch: Batch) -> Metrics:
        """Sums of each example's mean squared and mean absolute error, and of weights."""
        weight = batch["weight"]
        return {
            "squared": jnp.sum(self._each(jnp.square, outputs, batch) * weight),
            "absolute": jnp.sum(self._each(jnp.abs, outputs, batch) * weight),
            "examples": jnp.sum(weight),
        }

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Root-mean-square error and mean absolute error, in the unit of the targets."""
        examples = float(metrics["examples"])
        return {
            "rmse": math.sqrt(float(metrics["squared"]) / examples),
            "mae": float(metrics["absolute"]) / examples,
        }

    def headline(self) -> tuple[str, ...]:
        """Losses and errors."""
        return ("loss", "test_loss", "train_rmse", "test_rmse", "train_mae", "test_mae")

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """Root-mean-square errors."""
        train = record["train_rmse"]
        shown = [] if train is None else [f"train rmse {train:.4g}"]
        return [*shown, f"test rmse {record['test_rmse']:.4g}"]

    def stored(self, predictions: Predictions, examples: Mapping[str, np.ndarray]) -> Predictions:
        """Output and target of each example."""
        return {"output": predictions["output"], "target": examples[self.targets]}

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether outputs and targets have one shape, and outputs are real numbers."""
        output, target = arrays["output"], arrays["target"]
        return output.shape == target.shape and output.dtype.kind == "f"

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether the targets are equal."""
        return np.array_equal(stored["target"], examples[self.targets])

    def _each(
        self,
        function: Callable[[Array], Array],
        outputs: Float[Array, "B ..."],
        batch: Batch,
    ) -> Float[Array, " B"]:
        """For each example, the mean of a function of its errors."""
        errors = function(outputs - batch[self.targets])
        return errors.reshape(len(errors), -1).mean(1)
