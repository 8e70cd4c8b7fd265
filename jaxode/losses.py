"""The loss over a batch whose images carry weights, so that padding counts for nothing."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def cross_entropy(
    logits: Float[Array, "B K"],
    labels: Int[Array, " B"],
    weights: Float[Array, " B"],
    total: Float[Array, ""] | None = None,
) -> Float[Array, ""]:
    """Weighted mean over images of the cross-entropy with the label, in nats, at least 0.

    Args:
        logits: one row of finite numbers an image.
        labels: 0, ..., K - 1.
        weights: in [0, 1], not all of them 0 unless `total` is given.
        total: sum of the weights of a larger batch, of which this is a part; the parts' losses add
          up to the batch's.

    Source: torch.nn.functional.cross_entropy, which this equals where all weights are 1.

    Example:
        >>> import jax.numpy as jnp
        >>> logits, labels = jnp.zeros((3, 10)), jnp.array([4, 0, 2])
        >>> print(f"{cross_entropy(logits, labels, jnp.ones(3)):.4f}")  # the logarithm of 10
        2.3026
    """
    values = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.sum(values * weights) / (jnp.sum(weights) if total is None else total)
