"""Which boxes the losses are means over: a fixed number, of which a part finds objects."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Sampled(NamedTuple):
    """Some of N boxes."""

    rows: Int[Array, " count"]
    """Their numbers."""
    taken: Bool[Array, " count"]
    """Which of these are part of the sample; the others fill it up."""


def sampled(
    labels: Int[Array, " N"], priorities: Float[Array, " N"], count: int, positives: int
) -> Sampled:
    """A sample with as many positives as there are, up to a number, and negatives for the rest.

    Source: Ren et al. 2015, "Faster R-CNN", section 3.1.3; torchvision's
    `BalancedPositiveNegativeSampler`.

    Args:
      labels: above 0 of a positive, 0 of a negative, below 0 of what counts for nothing.
      priorities: in [0, 1); of each kind, those of highest priority are taken. Uniform random
        numbers make the sample random.
      count: size of the sample; there are fewer where there are no more.
      positives: at most so many.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import sampled
      >>> priorities = jnp.array([0.1, 0.9, 0.5, 0.7])
      >>> sampled(jnp.array([1, 1, 0, -1]), priorities, count=3, positives=1)
      Sampled(rows=Array([1, 2, 0], dtype=int32), taken=Array([ True,  True, False], dtype=bool))
    """
    total = len(labels)
    count, positives = min(count, total), min(positives, total)
    first, rows = jax.lax.top_k(jnp.where(labels > 0, priorities, -1), positives)
    chosen = jnp.zeros(total, bool).at[rows].set(first >= 0)
    order = jnp.where(chosen, priorities + 1, jnp.where(labels == 0, priorities, -1))
    values, rows = jax.lax.top_k(order, count)
    return Sampled(rows, values >= 0)
