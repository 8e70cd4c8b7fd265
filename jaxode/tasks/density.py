"""Density estimation: log-densities of points, by maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.tasks.base import Batch, Metrics, Model, Predictions, Task, call_model


class Density(Task[Float[Array, " B"]]):
    """Maximum likelihood: the loss is the mean of -log p in nats.

    The model maps points to their log-densities [B]. If the data set's `spec` has an `entropy`, the
    result has the gap to it too.

    Args:
      points: name of the model's input in a batch, [B, …].
      monitor: metric that selects the best checkpoint, as of `Task`.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.tasks import Density
      >>> batch = {"points": jnp.zeros((4, 2)), "weight": jnp.ones(4)}
      >>> loss, _ = Density().loss(lambda x: x.sum(1) - 1.5, batch, jnp.array(4.0))
      >>> float(loss)
      1.5
    """

    name = "density"
    mode = "min"
    examples = "points"
    loss_title = "negative log-likelihood in nats"
    curve = ("log_likelihood", "log-likelihood in nats", 1.0)

    def __init__(self, points: str = "points", monitor: str = "test_loss") -> None:
        self.points, self.monitor = points, monitor

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, " B"]]:
        """Share of the mean of -log p in nats, and the log-densities [B]."""
        log_p = call_model(model, batch[self.points], batch)
        return -jnp.sum(log_p * batch["weight"]) / total, log_p

    def metrics(self, outputs: Float[Array, " B"], batch: Batch) -> Metrics:
        """Sums of log-densities and of weights."""
        weight = batch["weight"]
        return {"log_p": jnp.sum(outputs * weight), "examples": jnp.sum(weight)}

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Mean log-likelihood of a point, in nats."""
        return {"log_likelihood": float(metrics["log_p"]) / float(metrics["examples"])}

    def headline(self) -> tuple[str, ...]:
        """Losses and log-likelihoods."""
        return ("loss", "test_loss", "train_log_likelihood", "test_log_likelihood")

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """The log-likelihoods of the test split and, if there is one, of the validation split."""
        held = record.get("validation_log_likelihood")
        texts = [] if held is None else [f"validation {held:.4f} nats"]
        return [*texts, f"test {record['test_log_likelihood']:.4f} nats"]

    def predictions(self, outputs: Float[Array, " B"], batch: Batch) -> dict[str, Array]:
        """The log-densities."""
        return {"log_p": outputs}

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether log-densities are one real number for each point."""
        return arrays["log_p"].dtype.kind == "f" and arrays["log_p"].ndim == 1

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether there are as many as points."""
        return len(stored["log_p"]) == len(examples[self.points])

    def report(self, stored: Predictions, spec: Any) -> dict[str, Any]:
        """The mean and its standard error; with an entropy, the gap to it."""
        log_p = stored["log_p"].astype(np.float64)
        error = float(log_p.std() / np.sqrt(len(log_p)))
        found = {"nats": float(log_p.mean()), "standard_error": error}
        entropy = getattr(spec, "entropy", None)
        if entropy is not None:
            found |= {"entropy": entropy, "gap": -found["nats"] - entropy}
        return {"density": found}

    def report_names(self, stored: Predictions) -> tuple[str, ...]:
        """`density`."""
        return ("density",)
