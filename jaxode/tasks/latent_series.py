"""Series by a latent ODE: the evidence lower bound, errors of its predictions, a binary outcome."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.checks import ConfigError, require_choice
from jaxode.metrics import auroc
from jaxode.models.latent_ode import LatentOutputs
from jaxode.nn.series import Series
from jaxode.plots import series
from jaxode.tasks.base import Batch, Metrics, Model, Predictions, Task, call_model
from jaxode.tasks.series import series_of

LIKELIHOODS = ("sum", "mean")
ROC = "roc.png"


class LatentSeries(Task[LatentOutputs]):
    """The negative evidence lower bound of series, in nats; and the log-loss of an outcome.

    -log Σ_s exp(log p(x | z_s)) + w KL(q ‖ N(0, 1)) + label_weight · log-loss, of each series.

    A batch has the arrays of `jaxode.tasks.examples_of`. With `target_times`, `target_values` and
    `target_mask` too, it is these that are predicted: points that the encoder does not see. With
    `divergence_weight` [B], w is that; it is 1 otherwise.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 5 (`sum`); Rubanova,
    Chen and Duvenaud 2019, "Latent ODEs for Irregularly-Sampled Time Series", as its code has it
    (`mean`, where the log-loss is a mean over the known outcomes of a batch).

    Args:
      noise_std: standard deviation of an observation in the likelihood, above 0.
      likelihood: sum, over all observations and numbers of z; or mean, over the observations of
        each channel, then over channels (one without observations counts as 0) and numbers of z.
      outcome: name of the binary outcome in a batch, 0, 1 or NaN where it is unknown; None without.
      label_weight: of the outcome's log-loss.
      monitor: metric that selects the best checkpoint, as of `Task`.

    Raises:
      ConfigError: a value outside its range.

    Example:
      >>> from jaxode.tasks import LatentSeries
      >>> LatentSeries(noise_std=0.3).loss_title
      'negative ELBO in nats'
    """

    name = "latent_series"
    examples = "series"
    mode = "min"
    loss_title = "negative ELBO in nats"
    curve = ("rmse", "root mean squared error", 1.0)

    def __init__(
        self,
        noise_std: float,
        likelihood: Literal["sum", "mean"] = "sum",
        outcome: str | None = None,
        label_weight: float = 100.0,
        monitor: str = "test_loss",
    ) -> None:
        require_choice("likelihood", likelihood, LIKELIHOODS)
        for name, value in (("noise_std", noise_std), ("label_weight", label_weight)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be above 0, got {value!r}")
        self.noise_std, self.likelihood = noise_std, likelihood
        self.outcome, self.label_weight, self.monitor = outcome, label_weight, monitor

    def series(self, batch: Batch) -> Series:
        """What the encoder reads."""
        return series_of(batch)

    def targets(self, batch: Batch) -> tuple[Array, Array, Array]:
        """Times [B, T], values and mask [B, T, D] of what is predicted."""
        prefix = "target_" if "target_times" in batch else ""
        times, values, mask = (batch[f"{prefix}{name}"] for name in ("times", "values", "mask"))
        return times, values, mask

    def losses(
        self, outputs: LatentOutputs, batch: Batch, label_share: float | Array = 1.0
    ) -> Float[Array, " B"]:
        """The loss of each series.

        Args:
          outputs: of the model.
          batch: with what it predicts.
          label_share: factor of the outcome's log-loss.
        """
        _, values, mask = self.targets(batch)
        errors = (outputs.predicted - values[:, None]) / self.noise_std
        constant = 0.5 * math.log(2 * math.pi) + math.log(self.noise_std)
        likelihood = self._over_observations(-0.5 * errors**2 - constant, mask)
        divergence = outputs.posterior.divergence
        summed = self.likelihood == "sum"
        divergence = divergence.sum(1) if summed else divergence.mean(1)
        divergence = divergence * batch.get("divergence_weight", 1.0)
        loss = divergence - jax.nn.logsumexp(likelihood, 1)
        if self.outcome is None:
            return loss
        label, log_odds = batch[self.outcome], self._outcome(outputs)
        known = ~jnp.isnan(label)
        wanted = jnp.where(known, label, 0.0)[:, None]
        log_loss = jax.nn.softplus(log_odds) - wanted * log_odds
        samples = log_odds.shape[1]
        log_loss = jnp.where(known, log_loss.mean(1) / samples, 0.0)
        return loss + label_share * self.label_weight * log_loss

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], LatentOutputs]:
        """Share of the mean loss of a series."""
        inputs = (self.series(batch), self.targets(batch)[0])
        outputs = call_model(model, inputs, batch)
        weight = batch["weight"]
        return jnp.sum(
            jnp.where(weight > 0, self.losses(outputs, batch), 0) * weight
        ) / total, outputs

    def metrics(self, outputs: LatentOutputs, batch: Batch) -> Metrics:
        """Sums of squared errors, of observations, of each series' mean error, and of series."""
        _, values, mask = self.targets(batch)
        weight = batch["weight"]
        squares = jnp.where(mask[:, None] > 0, (outputs.predicted - values[:, None]) ** 2, 0.0)
        mean = self._over_observations(squares, mask, mean=True).mean(1)
        within = weight[:, None, None] > 0
        return {
            "squares": jnp.sum(jnp.where(within, squares.mean(1), 0.0)),
            "observations": jnp.sum(jnp.where(within, mask, 0.0)),
            "means": jnp.sum(jnp.where(weight > 0, mean, 0.0)),
            "examples": jnp.sum(weight),
        }

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Errors of the predictions.

        `rmse` is the root of the mean over all observations; `mse` the mean over series of that of
        each, over the observations of each channel and then over channels, as Rubanova et al. have
        it.
        """
        sums = {name: float(value) for name, value in metrics.items()}
        mean = sums["squares"] / max(sums["observations"], 1.0)
        return {"rmse": math.sqrt(mean), "mse": sums["means"] / sums["examples"]}

    def headline(self) -> tuple[str, ...]:
        """Losses and errors."""
        return ("loss", "test_loss", "train_rmse", "test_rmse", "test_mse")

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """The errors of the test split."""
        return [f"test RMSE {record['test_rmse']:.4g}, MSE {record['test_mse']:.4g}"]

    def predictions(self, outputs: LatentOutputs, batch: Batch) -> dict[str, Array]:
        """The mean squared error of each series and, with an outcome, its log-odds."""
        _, values, mask = self.targets(batch)
        squares = (outputs.predicted - values[:, None]) ** 2
        found = {"mse": self._over_observations(squares, mask, mean=True).mean(1)}
        return (
            found if self.outcome is None else {**found, "log_odds": self._outcome(outputs).mean(1)}
        )

    def stored(self, predictions: Predictions, examples: Mapping[str, np.ndarray]) -> Predictions:
        """The predictions, with the outcomes."""
        return (
            predictions
            if self.outcome is None
            else {**predictions, "outcome": examples[self.outcome]}
        )

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether there is one real number of each kind for each series."""
        names = ("mse",) if self.outcome is None else ("mse", "log_odds", "outcome")
        return all(arrays[name].dtype.kind == "f" and arrays[name].ndim == 1 for name in names)

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether there are as many as series, and the outcomes are equal."""
        same = self.outcome is None or np.array_equal(
            stored["outcome"], examples[self.outcome], equal_nan=True
        )
        return len(stored["mse"]) == len(examples["times"]) and same

    def report(self, stored: Predictions, spec: Any) -> dict[str, Any]:
        """The mean error; with an outcome, the area under the ROC curve of the known ones."""
        found: dict[str, Any] = {"mse": float(np.mean(stored["mse"], dtype=np.float64))}
        if self.outcome is not None:
            known = ~np.isnan(stored["outcome"])
            label = stored["outcome"][known]
            found["positives"], found["known"] = int(label.sum()), int(known.sum())
            if 0 < found["positives"] < found["known"]:
                found["auroc"] = auroc(label, stored["log_odds"][known])
        return {"latent_series": found}

    def report_names(self, stored: Predictions) -> tuple[str, ...]:
        """`latent_series`."""
        return ("latent_series",)

    def plots(
        self, stored: Predictions, examples: Mapping[str, np.ndarray], spec: Any, title: str
    ) -> dict[str, bytes]:
        """The ROC curve of the outcome, if there is one of each kind."""
        area = self.report(stored, spec)["latent_series"].get("auroc")
        if area is None:
            return {}
        known = ~np.isnan(stored["outcome"])
        label, score = stored["outcome"][known], stored["log_odds"][known]
        return {ROC: series.draw_roc(label, score, area, title)}

    def plot_names(self, stored: Predictions) -> tuple[str, ...]:
        """roc.png, if there are outcomes of each kind."""
        label = stored.get("outcome", np.zeros(0))
        return (ROC,) if np.any(label == 0) and np.any(label == 1) else ()

    def _over_observations(
        self, figures: Float[Array, "B S T D"], mask: Float[Array, "B T D"], *, mean: bool = False
    ) -> Float[Array, "B S"]:
        """The sum, or the mean over each channel's observations and then over channels."""
        seen = jnp.where(mask[:, None] > 0, figures, 0.0).sum(2)
        if self.likelihood == "sum" and not mean:
            return seen.sum(2)
        return (seen / jnp.maximum(mask.sum(1), 1)[:, None]).mean(2)

    def _outcome(self, outputs: LatentOutputs) -> Float[Array, "B S"]:
        """Log-odds. Raises ConfigError if the model has no classifier."""
        if outputs.outcome is None:
            raise ConfigError("model must have a classifier for a task with an outcome, got none")
        return outputs.outcome
