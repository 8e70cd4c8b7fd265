"""Regression: real targets, mean squared error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jaxode.tasks.base import Batch, Metrics, Predictions, Task, call_model


class Regression(Task):
    """Inputs to real numbers of any shape, by the mean squared error of all of them.

    Args:
      inputs: the batch's array that the model takes, [B, ...].
      targets: the batch's array that its output should equal, of the output's shape.

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
        self, model: nnx.Module, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, "B ..."]]:
        """Mean over examples of the mean squared error of an example's numbers."""
        outputs = call_model(model, batch[self.inputs], batch)
        squares = self._each(jnp.square, outputs, batch)
        return jnp.sum(squares * batch["weight"]) / total, outputs

    def metrics(self, outputs: Float[Array, "B ..."], batch: Batch) -> Metrics:
        """Sums of each example's mean squared and mean absolute error, and the examples."""
        weight = batch["weight"]
        return {
            "squared": jnp.sum(self._each(jnp.square, outputs, batch) * weight),
            "absolute": jnp.sum(self._each(jnp.abs, outputs, batch) * weight),
            "examples": jnp.sum(weight),
        }

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Root of the mean squared error, and the mean absolute error."""
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
        """Whether outputs and targets are real numbers of one shape."""
        output, target = arrays["output"], arrays["target"]
        return output.shape == target.shape and output.dtype.kind == "f"

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether the targets are the same."""
        return np.array_equal(stored["target"], examples[self.targets])

    def _each(self, function: Any, outputs: Any, batch: Batch) -> Float[Array, " B"]:
        """Mean of a function of the errors over the numbers of each example."""
        errors = function(outputs - batch[self.targets])
        return errors.reshape(len(errors), -1).mean(1)
