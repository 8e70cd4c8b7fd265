"""The opening of a classifier on a CPU: conv 3x3 · group norm · ReLU · conv 4x4 of stride 2, a few images at a time.

Step by step, its widest maps, [B, 26, 26, 64], would go through memory a dozen times, and that is what takes the time.
Three things keep them out of it:

- The first convolution is laid out as the second reads it: one row for each 2x2 patch of the padded map,
  [B, 14, 14, 2·2·64], itself a convolution of stride 2 of the image.
- Its group norm needs no pass over its outputs: mean and variance of w·p over the image's 3x3 patches p are w·mean(p)
  and wᵀ cov(p) w, with cov of the centred patches, so that nothing is lost against the two-pass formula.
- Nothing of that size is kept: the gradient computes it anew, for as many images at a time as stay in the cache.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxode.nn.convolution import Kernel, gather, matmul, pack, pack_kernel
from jaxode.nn.normalization import Channels, PerChannel, group_mean
from jaxode.types import Images, Maps

CHUNK = 8
"""Images at a time: their map of 14·14·256 numbers takes 1.6 MB, and two or three such maps live at once."""


def opening(
    images: Images,
    first: Kernel,
    shift: Channels,
    scale: Channels,
    bias: Channels,
    second: Kernel,
    groups: int,
    eps: float,
) -> Maps:
    """conv(ReLU(norm(conv(images, first) + shift) · scale + bias), second): [B, H, W, I] → [B, (H - 2) // 2, ..., O].

    `first` is 3x3 without padding, `second` 4x4 with stride 2 and padding 1. Reverse mode only.
    """
    factor, offset = _affine(images, first, shift, scale, bias, groups, eps)
    return _by_chunks(images, first, factor, offset, second)


def _affine(
    images: Images, first: Kernel, shift: Channels, scale: Channels, bias: Channels, groups: int, eps: float
) -> tuple[PerChannel, PerChannel]:
    """Factor and offset that take each image's convolution without `shift` to its scaled and shifted norm."""
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


def _spread(first: Kernel) -> Kernel:
    """The 3x3 kernel as a 4x4 one of stride 2 that computes 2x2 neighbouring outputs: [4, 4, I, 4·O]."""
    placed = [jnp.pad(first, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1)]
    return jnp.concatenate(placed, -1)


def _image_rows(images: Images) -> Float[Array, "B pixels 16*I"]:
    """The 4x4 patches of stride 2 of the padded images."""
    packed = pack(images, (4, 4), 2, 1)
    size = packed.shape[1] - 1, packed.shape[2] - 1
    return gather(packed, [(0, 0), (0, 1), (1, 0), (1, 1)], size).reshape(len(images), size[0] * size[1], -1)


def _hidden(
    rows: Float[Array, "B pixels 16*I"], matrix: Array, factor: PerChannel, offset: PerChannel, height: int, width: int
) -> Maps:
    """ReLU of the norm in 2x2 patches, [B, H // 2, W // 2, 4·C], zero in the padding around the [H - 2, W - 2] map."""
    outside = [2 * np.arange(size // 2)[:, None] + np.arange(2) - 1 for size in (height, width)]
    inside = [(at >= 0) & (at < size - 2) for at, size in zip(outside, (height, width), strict=True)]
    mask = (inside[0][:, None, :, None] & inside[1][:, None, :]).reshape(height // 2, width // 2, 4)
    mask = np.repeat(mask, factor.shape[1], -1)
    out = (rows.reshape(-1, rows.shape[2]) @ matrix).reshape(-1, *mask.shape)
    factor, offset = (jnp.tile(each, 4)[:, None, None] for each in (factor, offset))
    return jnp.where(mask, jax.nn.relu(out * factor + offset), 0)


def _matrix(first: Kernel) -> Float[Array, "16*I 4*C"]:
    return pack_kernel(_spread(first), 2).reshape(-1, 4 * first.shape[3])


def _unit(hidden: Maps, second: Kernel) -> Maps:
    return matmul(hidden, pack_kernel(second, 2), 1, 0)


def _chunked(batch: int, *arrays: Array) -> tuple[Array, ...]:
    """Arrays [B, ...] as [chunks, images, ...], the last chunk filled with zeros."""
    size = min(CHUNK, batch)
    fill = -batch % size
    filled = (jnp.pad(each, ((0, fill), *[(0, 0)] * (each.ndim - 1))) if fill else each for each in arrays)
    return tuple(each.reshape(-1, size, *each.shape[1:]) for each in filled)


def _joined(chunks: Array, batch: int) -> Array:
    return chunks.reshape(-1, *chunks.shape[2:])[:batch]


@jax.custom_vjp
def _by_chunks(images: Images, first: Kernel, factor: PerChannel, offset: PerChannel, second: Kernel) -> Maps:
    matrix = _matrix(first)

    def chunk(part: tuple[Array, ...]) -> Maps:
        images, factor, offset = part
        return _unit(_hidden(_image_rows(images), matrix, factor, offset, *images.shape[1:3]), second)

    return _joined(lax.map(chunk, _chunked(len(images), images, factor, offset)), len(images))


def _forward(*inputs: Any) -> tuple[Maps, Any]:
    return _by_chunks(*inputs), inputs


def _backward(saved: Any, slope: Maps) -> tuple[Array, ...]:
    images, first, factor, offset, second = saved
    matrix, to_first = jax.vjp(_matrix, first)

    def chunk(sums: tuple[Array, Array], part: tuple[Array, ...]) -> tuple[Any, Any]:
        images, factor, offset, slope = part
        rows, to_images = jax.vjp(_image_rows, images)
        hidden = _hidden(rows, matrix, factor, offset, *images.shape[1:3])
        to_hidden, to_second = jax.vjp(_unit, hidden, second)[1](slope)
        pull = jnp.where(hidden > 0, to_hidden, 0).reshape(*rows.shape[:2], -1)
        pull = lax.optimization_barrier(pull)
        wide = jnp.tile(factor, 4)[:, None]
        by_image = lax.optimization_barrier(rows.transpose(0, 2, 1)) @ pull
        to_factor = jnp.sum(by_image * matrix, 1).reshape(len(images), 4, -1).sum(1)
        to_offset = pull.sum(1).reshape(len(images), 4, -1).sum(1)
        sums = sums[0] + jnp.sum(by_image * wide, 0), sums[1] + to_second
        # Where nobody asks for the images' gradient, XLA removes it from the loop.
        return sums, (*to_images((pull * wide) @ matrix.T), to_factor, to_offset)

    zeros = jnp.zeros_like(matrix), jnp.zeros_like(second)
    (to_matrix, to_second), parts = lax.scan(chunk, zeros, _chunked(len(images), images, factor, offset, slope))
    to_images, to_factor, to_offset = (_joined(part, len(images)) for part in parts)
    return to_images, *to_first(to_matrix), to_factor, to_offset, to_second


_by_chunks.defvjp(_forward, _backward)
