"""Density estimation of images: bits per dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Array, Float

from jaxode.checks import require_count
from jaxode.tasks.base import Batch, Model, Predictions
from jaxode.tasks.density import Density


class ImageDensity(Density):
    """Maximum likelihood of images: the loss is the mean of -log₂ p / D, D numbers of an image.

    The model maps bytes to their log-densities [B] in nats, those of a flow with dequantisation
    bound the log-probability from below, so that the loss bounds the bits per dimension from above.

    Args:
      dimensions: D.
      points: name of the model's input in a batch, [B, H, W, C].
      monitor: metric that selects the best checkpoint, as of `Task`.

    Raises:
      ConfigError: D below 1.

    Example:
      >>> import math
      >>> import jax.numpy as jnp
      >>> from jaxode.tasks import ImageDensity
      >>> batch = {"points": jnp.zeros((4, 2, 2, 1)), "weight": jnp.ones(4)}
      >>> uniform = lambda x: jnp.full(x.shape[0], -4 * math.log(256))
      >>> loss, _ = ImageDensity(4).loss(uniform, batch, jnp.array(4.0))
      >>> print(f"{loss:.3f}")
      8.000
    """

    name = "image density"
    examples = "images"
    loss_title = "bits per dimension"
    curve = None

    def __init__(self, dimensions: int, points: str = "points", monitor: str = "test_loss") -> None:
        require_count("dimensions", dimensions)
        super().__init__(points, monitor)
        self.unit = dimensions * math.log(2)

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, " B"]]:
        """Share of the mean of the bits per dimension, and the log-densities [B] in nats."""
        nats, log_p = super().loss(model, batch, total)
        return nats / self.unit, log_p

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Bits per dimension."""
        return {"bits_per_dim": -super().summarize(metrics)["log_likelihood"] / self.unit}

    def headline(self) -> tuple[str, ...]:
        """Losses and bits per dimension."""
        return ("loss", "test_loss", "train_bits_per_dim", "test_bits_per_dim")

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """Bits per dimension of the test split."""
        return [f"test {record['test_bits_per_dim']:.4f} bits/dim"]

    def report(self, stored: Predictions, spec: Any) -> dict[str, Any]:
        """Bits per dimension with the standard error, and the mean log-density in nats."""
        log_p = stored["log_p"].astype(np.float64)
        bits = -log_p / self.unit
        error = float(bits.std() / np.sqrt(len(bits)))
        found = {"bits_per_dim": float(bits.mean()), "standard_error": error}
        return {"density": {**found, "nats": float(log_p.mean())}}
