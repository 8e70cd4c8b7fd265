"""Forecasts: the likelihood of each next value of a series, and errors behind its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.checks import ConfigError
from jaxode.models.forecaster import Forecast
from jaxode.tasks.base import Batch, Metrics, Model, Predictions, Task, call_model
from jaxode.tasks.series import series_of


class NextValue(Task[Forecast]):
    """The negative log-likelihood of the observed values of every next row, in nats.

    A batch has the arrays of `jaxode.tasks.examples_of`, and `target_times`, `target_values` and
    `target_mask` as of `LatentSeries`; errors are measured at those that lie behind a series' last
    row.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 5.1.

    Args:
      noise_std: standard deviation of an observation in the likelihood, above 0.
      monitor: metric that selects the best checkpoint, as of `Task`.

    Raises:
      ConfigError: a deviation that is not above 0.

    Example:
      >>> from jaxode.tasks import NextValue
      >>> NextValue(0.1).monitor
      'test_loss'
    """

    name = "next_value"
    examples = "series"
    mode = "min"
    loss_title = "negative log-likelihood in nats"
    curve = ("rmse", "root mean squared error", 1.0)

    def __init__(self, noise_std: float, monitor: str = "test_loss") -> None:
        if not (math.isfinite(noise_std) and noise_std > 0):
            raise ConfigError(f"noise_std must be above 0, got {noise_std!r}")
        self.noise_std, self.monitor = noise_std, monitor

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Forecast]:
        """Share of the mean over series of the sum over their values."""
        outputs = call_model(model, (series_of(batch), batch["target_times"]), batch)
        errors = (outputs.following[:, :-1] - batch["values"][:, 1:]) / self.noise_std
        constant = 0.5 * math.log(2 * math.pi) + math.log(self.noise_std)
        nats = jnp.where(batch["mask"][:, 1:] > 0, 0.5 * errors**2 + constant, 0.0).sum((1, 2))
        weight = batch["weight"]
        return jnp.sum(jnp.where(weight > 0, nats, 0.0) * weight) / total, outputs

    def metrics(self, outputs: Forecast, batch: Batch) -> Metrics:
        """Sums of squared errors behind the last rows, and of the values there."""
        squares, counted = self._errors(outputs, batch)
        within = batch["weight"][:, None, None] > 0
        return {
            "squares": jnp.sum(jnp.where(within, squares, 0.0)),
            "values": jnp.sum(jnp.where(within, counted, 0.0)),
        }

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Root mean squared error behind the last rows; 0 where nothing is known there."""
        return {"rmse": math.sqrt(float(metrics["squares"]) / max(float(metrics["values"]), 1.0))}

    def headline(self) -> tuple[str, ...]:
        """Losses and the error."""
        return ("loss", "test_loss", "test_rmse")

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """The error of the test split."""
        return [f"test RMSE {record['test_rmse']:.4g}"]

    def predictions(self, outputs: Forecast, batch: Batch) -> dict[str, Array]:
        """The mean squared error of each series."""
        squares, counted = self._errors(outputs, batch)
        return {"mse": squares.sum((1, 2)) / jnp.maximum(counted.sum((1, 2)), 1)}

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether there is one real number for each series."""
        return arrays["mse"].dtype.kind == "f" and arrays["mse"].ndim == 1

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether there are as many as series."""
        return len(stored["mse"]) == len(examples["times"])

    def _errors(self, outputs: Forecast, batch: Batch) -> tuple[Array, Array]:
        """Squares [B, T', D], 0 where they do not count, and where they do."""
        behind = batch["target_times"] > batch["times"][:, -1:]
        counted = jnp.where(behind[..., None], batch["target_mask"], 0.0)
        errors = outputs.beyond - batch["target_values"]
        return jnp.where(counted > 0, errors**2, 0.0), counted
