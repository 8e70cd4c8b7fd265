"""The downsampling segment's first convolution and group norm, laid out for the second convolution.

- The convolution is laid out as the second one reads it: one row for each 2x2 patch of the padded
  map, [B, 14, 14, 2·2·64], itself a convolution of stride 2 of the image.
- Its group norm needs no pass over its outputs: mean and variance of w·p over the image's 3x3
  patches p are w·mean(p) and wᵀ cov(p) w, with cov of the centred patches, as accurate as the
  two-pass formula.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxode.nn.normalization import Channels, PerChannel, group_mean
from jaxode.nn.packing import pack, pack_kernel
from jaxode.nn.taps import dot, gather
from jaxode.types import Kernel

Images = Float[Array, "B H W I"]

Rows = Float[Array, "B pixels taps"]
"""The image's 4x4 patches of stride 2."""

Matrix = Float[Array, "taps wide"]
"""The first kernel for such rows."""


def affine(
    images: Images,
    first: Kernel,
    shift: Channels,
    scale: Channels,
    bias: Channels,
    groups: int,
    eps: float,
) -> tuple[PerChannel, PerChannel]:
    """Factor and offset, for each image, from a convolution without `shift` to its group norm."""
    height, width = images.shape[1] - 2, images.shape[2] - 2
    taps = [images[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    patches = jnp.stack(taps, 1).transpose(0, 1, 4, 2, 3).reshape(len(images), -1, height * width)
    mean = patches.mean(2)
    centred = lax.optimization_barrier(patches - mean[:, :, None])
    covariance = jnp.einsum("bip,bjp->bij", centred, centred) / (height * width)

    weights = first.reshape(-1, first.shape[3])
    means = mean @ weights + shift
    variances = jnp.sum((covariance @ weights) * weights, 1)
    average = group_mean(means, groups)
    factor = scale * lax.rsqrt(group_mean(variances + (means - average) ** 2, groups) + eps)
    return factor, bias + (shift - average) * factor


def _spread(first: Kernel) -> Float[Array, "4 4 I 4*O"]:
    """The 3x3 kernel as a 4x4 one of stride 2 that computes 2x2 outputs."""
    placed = [
        jnp.pad(first, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1)
    ]
    return jnp.concatenate(placed, -1)


def image_rows(images: Images) -> Rows:
    """The 4x4 patches of stride 2 of the padded images."""
    packed = pack(images, (4, 4), 2, 1)
    size = packed.shape[1] - 1, packed.shape[2] - 1
    return gather(packed, [(0, 0), (0, 1), (1, 0), (1, 1)], size).reshape(
        len(images), size[0] * size[1], -1
    )


def hidden_maps(
    rows: Rows,
    matrix: Matrix,
    factor: PerChannel,
    offset: PerChannel,
    height: int,
    width: int,
) -> Float[Array, "B {height//2} {width//2} wide"]:
    """ReLU of the norm in 2x2 patches; the padding around the [H - 2, W - 2] map is zero."""
    outside = [2 * np.arange(size // 2)[:, None] + np.arange(2) - 1 for size in (height, width)]
    inside = [
        (at >= 0) & (at < size - 2) for at, size in zip(outside, (height, width), strict=True)
    ]
    mask = (inside[0][:, None, :, None] & inside[1][:, None, :]).reshape(height // 2, width // 2, 4)
    mask = np.repeat(mask, factor.shape[1], -1)
    out = dot(rows.reshape(-1, rows.shape[2]), matrix).reshape(-1, *mask.shape)
    factor, offset = (jnp.tile(each, 4)[:, None, None] for each in (factor, offset))
    return jnp.where(mask, jax.nn.relu(out * factor + offset), 0)


def kernel_matrix(first: Kernel) -> Float[Array, "16*I 4*O"]:
    """The 3x3 kernel for the rows of `image_rows`."""
    return pack_kernel(_spread(first), 2).reshape(-1, 4 * first.shape[3])
