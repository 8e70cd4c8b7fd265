"""Which object each box is meant to find."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

BACKGROUND, BETWEEN = -1, -2
"""Instead of an object's number: of a box that finds none, and of one that counts for nothing."""


def matched(
    overlap: Float[Array, "M N"],
    real: Bool[Array, " M"],
    high: float,
    low: float,
    *,
    best_too: bool = False,
) -> Int[Array, " N"]:
    """The object that overlaps each box most, if it does so enough.

    Source: Ren et al. 2015, "Faster R-CNN", section 3.1.2; torchvision's `Matcher`. Unlike there,
    an object that no box overlaps is the best of none, where it would be of all.

    Args:
      overlap: intersection over union of M objects and N boxes.
      real: which objects there are; the others are padding.
      high: a box is an object's from this overlap on.
      low: a box is background below this overlap.
      best_too: whether the boxes that overlap an object most are matched whatever their overlap.

    Returns:
      Numbers of objects; BACKGROUND, or BETWEEN the two overlaps.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import matched
      >>> overlap = jnp.array([[0.8, 0.4, 0.0]])
      >>> matched(overlap, jnp.array([True]), 0.7, 0.3).tolist()
      [0, -2, -1]
    """
    overlap = jnp.where(real[:, None], overlap, -1)
    best = overlap.max(0)
    nearest = overlap.argmax(0).astype(jnp.int32)
    found = jnp.where(best >= high, nearest, jnp.where(best >= low, BETWEEN, BACKGROUND))
    if best_too:
        most = overlap.max(1, keepdims=True)
        wanted = jnp.any((overlap == most) & (most > 0), 0)
        found = jnp.where(wanted, nearest, found)
    return found.astype(jnp.int32)
