"""Depth from one picture: losses of log depth, and the errors of the literature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.checks import require_choice
from jaxode.losses import berhu, scale_invariant
from jaxode.tasks.base import Batch, Metrics, Model, Predictions, Task, call_model

LOSSES = {"berhu": berhu, "scale_invariant": scale_invariant}
"""Of maps of errors of log depth."""

THRESHOLD = 1.25
"""δ1, δ2 and δ3 are shares of pixels with max(d/g, g/d) below its powers."""

NAMES = ("rel", "rms", "log10", "delta1", "delta2", "delta3")

LogDepth = Float[Array, "B H W"]


class DepthEstimation(Task[LogDepth]):
    """Depth in metres from pictures; the model's output is its logarithm.

    A batch has `image`, `depth` in metres and `mask`, 1 where a pixel counts
    (`jaxode.data.depth.views`). An example's loss is a mean over its pixels; metrics are means over
    the pixels of all examples together, as in the literature: with d the depth found and g the
    true one, rel is the mean of |d - g| / g, rms the root of the mean of (d - g)², log10 the mean
    of |log10 d - log10 g|, and delta1 to delta3 the shares of pixels with max(d/g, g/d) below 1.25,
    1.25² and 1.25³.

    Source: Eigen, Puhrsch and Fergus 2014, "Depth Map Prediction from a Single Image", section 4.

    Args:
      loss: berhu or scale_invariant, of differences of log depth.
      monitor: metric that selects the best checkpoint, as of `Task`.

    Raises:
      ConfigError: an unknown loss.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.tasks import DepthEstimation
      >>> task, ones = DepthEstimation(), jnp.ones((1, 2, 2))
      >>> batch = {"depth": 2 * ones, "mask": ones, "weight": jnp.ones(1)}
      >>> found = task.summarize(task.metrics(jnp.log(3 * ones), batch))
      >>> print(f"{found['rel']:.2f} {found['rms']:.2f} {found['delta2']:.0f}")
      0.50 1.00 1
    """

    name = "depth"
    mode = "min"
    examples = "pictures"
    loss_title = "loss of log depth"
    curve = ("rel", "mean relative error", 1.0)

    def __init__(self, loss: str = "berhu", monitor: str = "test_rel") -> None:
        require_choice("loss", loss, tuple(LOSSES))
        self.of_errors, self.monitor = LOSSES[loss], monitor
        self.mode = "max" if "delta" in monitor else "min"

    def loss(
        self, model: Model, batch: Batch, total: Float[Array, ""]
    ) -> tuple[Float[Array, ""], LogDepth]:
        """Share of the mean over pictures, and the logarithm of depth [B, H, W]."""
        found = call_model(model, batch["image"], batch)
        errors = jnp.where(batch["mask"] > 0, found - _log(batch), 0.0)
        each = self.of_errors(errors, batch["mask"])
        return jnp.sum(each * batch["weight"]) / total, found

    def metrics(self, outputs: LogDepth, batch: Batch) -> Metrics:
        """Sums over pixels of every error, and the number of pixels."""
        counted = (batch["mask"] > 0) & (batch["weight"] > 0)[:, None, None]
        wide = jax.dtypes.canonicalize_dtype(np.float64)
        found = {
            name: jnp.sum(jnp.where(counted, each, 0.0), dtype=wide)
            for name, each in _errors(outputs, batch).items()
        }
        return {**found, "pixels": jnp.sum(counted, dtype=wide)}

    def summarize(self, metrics: Mapping[str, np.ndarray]) -> dict[str, float]:
        """The errors of the literature; zeros where no pixel counts."""
        pixels = max(float(metrics["pixels"]), 1.0)
        means = {name: float(metrics[name]) / pixels for name in NAMES if name != "rms"}
        return {
            "rel": means.pop("rel"),
            "rms": math.sqrt(float(metrics["squares"]) / pixels),
        } | means

    def headline(self) -> tuple[str, ...]:
        """Losses and errors of the test pictures."""
        return ("loss", "test_loss", *(f"test_{name}" for name in NAMES))

    def progress_text(self, record: Mapping[str, Any]) -> list[str]:
        """The errors of the test pictures."""
        rel, rms, delta = (record[f"test_{name}"] for name in ("rel", "rms", "delta1"))
        return [f"test rel {rel:.4f}", f"rms {rms:.4f} m", f"δ1 {delta:.4f}"]

    def predictions(self, outputs: LogDepth, batch: Batch) -> dict[str, Array]:
        """Of each picture its errors, and how many pixels counted."""
        counted = batch["mask"] > 0
        pixels = counted.sum((1, 2))
        means = {
            name: jnp.where(counted, each, 0.0).sum((1, 2)) / jnp.maximum(pixels, 1)
            for name, each in _errors(outputs, batch).items()
        }
        rms = jnp.sqrt(means.pop("squares"))
        return {**means, "rms": rms, "pixels": pixels}

    def is_stored(self, arrays: Predictions) -> bool:
        """Whether there is one number of each kind for each picture."""
        found = [arrays[name] for name in (*NAMES, "pixels")]
        return all(each.ndim == 1 and len(each) == len(found[0]) for each in found)

    def belong(self, stored: Predictions, examples: Mapping[str, np.ndarray]) -> bool:
        """Whether there are as many as pictures."""
        return len(stored["rel"]) == len(examples["depth"])


def _log(batch: Batch) -> LogDepth:
    """The logarithm of true depth; 0 where it is unknown."""
    return jnp.log(jnp.where(batch["mask"] > 0, batch["depth"], 1.0))


def _errors(outputs: LogDepth, batch: Batch) -> dict[str, Array]:
    """What is averaged over pixels; anything where depth is unknown."""
    logs = outputs - _log(batch)
    truth = jnp.where(batch["mask"] > 0, batch["depth"], 1.0)
    errors = jnp.exp(outputs) - truth
    larger = jnp.abs(logs) / math.log(THRESHOLD)
    return {
        "rel": jnp.abs(errors) / truth,
        "squares": errors**2,
        "log10": jnp.abs(logs) / math.log(10),
        **{f"delta{power}": (larger < power).astype(logs.dtype) for power in (1, 2, 3)},
    }
