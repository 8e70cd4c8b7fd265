"""Losses: of a batch of weighted examples, in which padding has weight 0; of maps of errors."""

from __future__ import annotations

import jax
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


def berhu(errors: Float[Array, "B *S"], mask: Float[Array, "B *S"]) -> Float[Array, " B"]:
    """Mean over the masked pixels of the reverse Huber loss, for each example.

    |e| up to c, and (e² + c²) / (2c) beyond, with c a fifth of the example's largest |e|, which is
    taken for a constant. Laina et al. take the largest of the batch; an example's own is the same
    whichever way a batch is divided.

    Source: Laina et al. 2016, "Deeper Depth Prediction with Fully Convolutional Residual Networks",
    equation 2; Owen 2007.

    Args:
      errors: [B, ...].
      mask: 1 where an error counts, else 0.

    Returns:
      [B]; 0 for an example without a pixel that counts.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.losses import berhu
      >>> berhu(jnp.array([[0.1, 1.0]]), jnp.ones((1, 2))).round(2).tolist()
      [1.350000023841858]
    """
    axes = tuple(range(1, errors.ndim))
    size = jnp.where(mask > 0, jnp.abs(errors), 0.0)
    limit = jax.lax.stop_gradient(0.2 * size.max(axes, keepdims=True))
    far = size > limit
    divisor = jnp.where(limit > 0, 2 * limit, 1.0)
    each = jnp.where(far, (size**2 + limit**2) / divisor, size)
    return each.sum(axes) / jnp.maximum(mask.sum(axes), 1)


def scale_invariant(
    errors: Float[Array, "B *S"], mask: Float[Array, "B *S"], share: float = 0.5
) -> Float[Array, " B"]:
    """mean(e²) - λ mean(e)² over the masked pixels of errors of logarithms, for each example.

    With λ = 1 an error that all pixels share, a wrong scale, counts for nothing.

    Source: Eigen, Puhrsch and Fergus 2014, "Depth Map Prediction from a Single Image", equation 4.

    Args:
      errors: of logarithms, [B, ...].
      mask: 1 where an error counts, else 0.
      share: λ, in [0, 1].

    Returns:
      [B], at least 0; 0 for an example without a pixel that counts.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.losses import scale_invariant
      >>> scale_invariant(jnp.array([[1.0, 1.0]]), jnp.ones((1, 2))).tolist()
      [0.5]
    """
    axes = tuple(range(1, errors.ndim))
    count = jnp.maximum(mask.sum(axes), 1)
    counted = jnp.where(mask > 0, errors, 0.0)
    return (counted**2).sum(axes) / count - share * (counted.sum(axes) / count) ** 2
