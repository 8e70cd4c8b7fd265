"""A convolution with a stride as one without: a patch of pixels becomes one pixel's channels."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxode.types import Kernel, Maps


def pack(
    x: Maps, size: tuple[int, int], stride: int, padding: int
) -> Float[Array, "B rows columns C*{stride}**2"]:
    """The padded map with every stride x stride patch of pixels as the channels of one pixel.

    Args:
      x: [B, H, W, C].
      size: height and width of the kernel that will be applied.
      stride: side of a patch, the kernel's stride.
      padding: zeros on every side.

    Returns:
      A map to which `pack_kernel`'s kernel is applied with stride 1 and padding 0. Pixels that no
      output depends on are left out.
    """
    rows, columns = (
        (extent + 2 * padding - reach) // stride + -(-reach // stride)
        for extent, reach in zip(x.shape[1:3], size, strict=True)
    )
    grow_h = max(0, rows * stride - x.shape[1] - padding)
    grow_w = max(0, columns * stride - x.shape[2] - padding)
    x = jnp.pad(x, ((0, 0), (padding, grow_h), (padding, grow_w), (0, 0)))[
        :, : rows * stride, : columns * stride
    ]
    x = x.reshape(-1, rows, stride, columns, stride, x.shape[3]).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, rows, columns, stride * stride * x.shape[5])


def pack_kernel(kernel: Kernel, stride: int) -> Float[Array, "taps_h taps_w I*{stride}**2 O"]:
    """The kernel for maps from `pack`, to be applied with stride 1 and padding 0.

    Args:
      kernel: [kh, kw, I, O].
      stride: with which the kernel is applied to the map before `pack`.

    Returns:
      [⌈kh / stride⌉, ⌈kw / stride⌉, stride² I, O].
    """
    height, width, inner, outer = kernel.shape
    taps_h, taps_w = -(-height // stride), -(-width // stride)
    kernel = jnp.pad(
        kernel, ((0, taps_h * stride - height), (0, taps_w * stride - width), (0, 0), (0, 0))
    )
    kernel = kernel.reshape(taps_h, stride, taps_w, stride, inner, outer).transpose(
        0, 2, 1, 3, 4, 5
    )
    return kernel.reshape(taps_h, taps_w, stride * stride * inner, outer)
