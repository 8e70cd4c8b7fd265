"""Boxes: area, overlap, clipping, and their code relative to reference boxes.

Source: Girshick et al. 2014, "Rich feature hierarchies", appendix C, for the code.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

Boxes = Float[Array, "*N 4"]
"""x and y of two opposite corners, in pixels; the second is the larger."""

Weights = tuple[float, float, float, float]
"""What the four numbers of a code are multiplied by: those of the centre, then of the size."""

LARGEST = math.log(1000 / 16)
"""Largest logarithm of a decoded box's size to its reference's (Detectron)."""


def areas(boxes: Boxes) -> Float[Array, "*N"]:
    """Area of each box in square pixels; 0 or less of a box without extent.

    Args:
      boxes: [..., 4].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import areas
      >>> areas(jnp.array([[0.0, 0.0, 2.0, 3.0]])).tolist()
      [6.0]
    """
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlaps(one: Float[Array, "M 4"], other: Float[Array, "N 4"]) -> Float[Array, "M N"]:
    """Intersection over union of every pair; 0 where neither box has an area.

    Args:
      one: [M, 4].
      other: [N, 4].

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import overlaps
      >>> boxes = jnp.array([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0]])
      >>> overlaps(boxes, boxes)[0].round(4).tolist()
      [1.0, 0.33329999446868896]
    """
    low = jnp.maximum(one[:, None, :2], other[None, :, :2])
    high = jnp.minimum(one[:, None, 2:], other[None, :, 2:])
    sides = jnp.maximum(high - low, 0)
    common = sides[..., 0] * sides[..., 1]
    union = areas(one)[:, None] + areas(other) - common
    return jnp.where(union > 0, common / jnp.where(union > 0, union, 1), 0)


def clipped(boxes: Boxes, extent: Float[Array, " 2"]) -> Boxes:
    """The part of each box within the image.

    Args:
      boxes: [..., 4].
      extent: height and width of the image in pixels.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import clipped
      >>> clipped(jnp.array([-1.0, 2.0, 9.0, 4.0]), jnp.array([3.0, 8.0])).tolist()
      [0.0, 2.0, 8.0, 3.0]
    """
    return jnp.clip(boxes, 0, extent[jnp.array([1, 0, 1, 0])])


def encoded(boxes: Boxes, references: Boxes, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Boxes:
    """The code of boxes: shift of the centre in reference sizes, and logarithms of the sizes.

    Args:
      boxes: [..., 4], each with an area.
      references: [..., 4], each with an area.
      weights: factors of the four numbers.

    Returns:
      [..., 4]: dx, dy, dw, dh.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import encoded
      >>> reference = jnp.array([0.0, 0.0, 4.0, 4.0])
      >>> encoded(reference + jnp.array([1.0, 0.0, 1.0, 0.0]), reference).tolist()
      [0.25, 0.0, 0.0, 0.0]
    """
    size, centre = _size_and_centre(references)
    own_size, own_centre = _size_and_centre(boxes)
    factors = jnp.asarray(weights, boxes.dtype)
    shift = factors[:2] * (own_centre - centre) / size
    return jnp.concatenate([shift, factors[2:] * jnp.log(own_size / size)], -1)


def decoded(codes: Boxes, references: Boxes, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Boxes:
    """The boxes of codes: the inverse of `encoded`, with sizes of at most 1000/16 references.

    Args:
      codes: [..., 4]: dx, dy, dw, dh.
      references: [..., 4].
      weights: factors of the four numbers.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.detection import decoded
      >>> decoded(jnp.array([0.25, 0.0, 0.0, 0.0]), jnp.array([0.0, 0.0, 4.0, 4.0])).tolist()
      [1.0, 0.0, 5.0, 4.0]
    """
    size, centre = _size_and_centre(references)
    codes = codes / jnp.asarray(weights, codes.dtype)
    middle = codes[..., :2] * size + centre
    half = 0.5 * (jnp.exp(jnp.minimum(codes[..., 2:], LARGEST)) * size)
    return jnp.concatenate([middle - half, middle + half], -1)


def _size_and_centre(boxes: Boxes) -> tuple[Float[Array, "*N 2"], Float[Array, "*N 2"]]:
    size = boxes[..., 2:] - boxes[..., :2]
    return size, boxes[..., :2] + 0.5 * size
