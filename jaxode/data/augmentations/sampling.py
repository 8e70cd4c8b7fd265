"""An image read between its pixels, and beyond its border."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def mirrored(position: Float[Array, "*S"], size: int) -> Float[Array, "*S"]:
    """Positions reflected into [0, size - 1] about the centres of the outermost pixels.

    This is cv2's BORDER_REFLECT_101: the outermost pixels are not repeated.
    """
    last = size - 1
    if last == 0:
        return jnp.zeros_like(position)
    return last - jnp.abs(last - 2 * last * turns(position / (2 * last)))


def turns(position: Float[Array, "*S"]) -> Float[Array, "*S"]:
    """The position within the turn, in [0, 1]: jnp.mod(position, 1).

    jnp.mod itself takes ten times as long on a CPU.
    """
    return position - jnp.floor(position)


def bilinear(image: Float[Array, "H W C"], rows: Array, columns: Array) -> Float[Array, "N M C"]:
    """The image at positions whose whole numbers are the centres of pixels.

    Args:
        image: values in [0, 1].
        rows: in [0, H - 1], of a shape that broadcasts with that of `columns` to [N, M].
        columns: in [0, W - 1].
    """
    height, width, _ = image.shape

    def nearby(position: Array, size: int) -> tuple[Array, Array, Array]:
        before = jnp.clip(jnp.floor(position), 0, max(size - 2, 0))
        first = before.astype(jnp.int32)
        return first, jnp.minimum(first + 1, size - 1), (position - before)[..., None]

    top, bottom, down = nearby(rows, height)
    left, right, across = nearby(columns, width)

    def along(row: Array) -> Array:
        start = image[row, left]
        return start + across * (image[row, right] - start)

    upper = along(top)
    return jnp.clip(upper + down * (along(bottom) - upper), 0, 1)  # rounding may leave [0, 1]
