"""Non-maximum suppression of a fixed number of boxes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxode.detection.boxes import overlaps


def kept(
    boxes: Float[Array, "N 4"],
    real: Bool[Array, " N"],
    threshold: float,
    groups: Int[Array, " N"] | None = None,
) -> Bool[Array, " N"]:
    """Which boxes overlap no kept box of a higher score by more than a threshold.

    A box is kept if none before it that is kept suppresses it. Beginning with all boxes, the rule
    is applied to all of them at once until nothing changes: after n rounds the first n are final,
    and a chain of boxes that suppress each other in turn is as long as the rounds that it takes,
    which is a few.

    Args:
      boxes: by falling score.
      real: which there are; the others are padding, and not kept.
      threshold: of the intersection over union.
      groups: only boxes of the same group suppress each other; None for one group.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import kept
      >>> boxes = jnp.array([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.1], [5.0, 5.0, 6.0, 6.0]])
      >>> kept(boxes, jnp.ones(3, bool), 0.5).tolist()
      [True, False, True]
    """
    suppresses = overlaps(boxes, boxes) > threshold
    if groups is not None:
        suppresses &= groups[:, None] == groups
    earlier = jnp.tri(len(boxes), k=-1, dtype=bool).T
    # A product of 0 and 1 in float32 counts exactly up to 2²⁴ boxes.
    matrix = (suppresses & earlier & real[:, None]).astype(jnp.float32)

    def changed(state: tuple[Array, Array]) -> Array:
        now, before = state
        return jnp.any(now != before)

    def again(state: tuple[Array, Array]) -> tuple[Array, Array]:
        now, _ = state
        return real & (now.astype(jnp.float32) @ matrix == 0), now

    return jax.lax.while_loop(changed, again, (real, jnp.zeros_like(real)))[0]
