"""The loss over a batch of weighted examples, in which padding has weight 0."""

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
    """Weighted mean over examples of the cross-entropy with the label.

    Source: torch.nn.functional.cross_entropy, to which it is equal if all weights are 1.

    Args:
      logits: [B, K], finite.
      labels: [B], 0, …, K - 1.
      weights: [B], in [0, 1]; not all 0 if `total` is None.
      total: for a micro-batch, the sum of the weights of the whole batch, so that the losses of its
        micro-batches add up to the batch's; None for the sum of `weights`.

    Returns:
      The loss in nats, at least 0.

    Example:
      >>> import jax.numpy as jnp
      >>> logits, labels = jnp.zeros((3, 10)), jnp.array([4, 0, 2])
      >>> print(f"{cross_entropy(logits, labels, jnp.ones(3)):.4f}")  # the logarithm of 10
      2.3026
    """
    values = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.sum(values * weights) / (jnp.sum(weights) if total is None else total)
