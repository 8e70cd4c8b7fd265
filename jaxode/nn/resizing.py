"""Bilinear resizing of maps by two small matrix products, whose gradient is quick on a CPU."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.types import Maps


def enlarged(x: Maps, size: tuple[int, int]) -> Float[Array, "B rows columns C"]:
    """A map [B, H, W, C] of more pixels, bilinear.

    What torch.nn.functional.interpolate computes with mode="bilinear" and align_corners=False:
    centres of pixels are at half integers, and beyond the outermost ones a value stays.

    Args:
      x: [B, H, W, C].
      size: rows and columns, each at least those of x.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn.resizing import enlarged
      >>> enlarged(jnp.array([0.0, 1.0]).reshape(1, 1, 2, 1), (1, 4)).ravel().tolist()
      [0.0, 0.25, 0.75, 1.0]
    """
    high = jax.lax.Precision.HIGHEST
    for axis, new in zip((1, 2), size, strict=True):
        if x.shape[axis] != new:
            weights = jnp.asarray(_between(x.shape[axis], new), x.dtype)
            product = jnp.tensordot(weights, x, ((1,), (axis,)), precision=high)
            x = jnp.moveaxis(product, 0, axis)
    return x


def _between(old: int, new: int) -> np.ndarray:
    """Weights [new, old] of the two old pixels around each new one."""
    place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(old)))
