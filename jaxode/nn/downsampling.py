"""The downsampling segment on a CPU, a few images at a time.

conv 3x3 · group norm · ReLU · conv 4x4 of stride 2 · group norm · ReLU · conv 4x4 of stride 2. Step
by step, its widest maps, [B, 26, 26, 64], would go through memory a dozen times, and that is what
takes the time. Three things avoid it:

- The first convolution is laid out as the second reads it: one row for each 2x2 patch of the padded
  map, [B, 14, 14, 2·2·64], itself a convolution of stride 2 of the image.
- Its group norm needs no pass over its outputs: mean and variance of w·p over the image's 3x3
  patches p are w·mean(p) and wᵀ cov(p) w, with cov of the centred patches, so that nothing is lost
  against the two-pass formula.
- Nothing of that size is kept: the gradient computes it anew. Only the second convolution's output
is kept.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxode.nn.convolution import Kernel, dot, gather, matmul, pack, pack_kernel
from jaxode.nn.normalization import Channels, PerChannel, group_mean, group_norm
from jaxode.types import Images, Maps

CHUNK = 8
"""Images at a time: their map of 14·14·256 numbers takes 1.6 MB, and two or three such maps live at
once.
"""


class Segment(NamedTuple):
    """The segment's parameters in their order; a convolution's bias is called shift."""

    first: Kernel
    first_shift: Channels
    first_scale: Channels
    first_bias: Channels
    second: Kernel
    second_shift: Channels
    second_scale: Channels
    second_bias: Channels
    third: Kernel
    third_shift: Channels


def downsampling(images: Images, segment: Segment, groups: int, eps: float) -> Maps:
    """[B, H, W, I] → [B, (H - 2) // 4, (W - 2) // 4, C], reverse mode only.

    The first kernel is 3x3 without padding, the others 4x4 with stride 2 and padding 1.
    """
    first = segment.first, segment.first_shift, segment.first_scale, segment.first_bias
    factor, offset = _affine(images, *first, groups, eps)
    return _by_chunks(images, factor, offset, segment, groups, eps)


def _affine(
    images: Images,
    first: Kernel,
    shift: Channels,
    scale: Channels,
    bias: Channels,
    groups: int,
    eps: float,
) -> tuple[PerChannel, PerChannel]:
    """Scale and offset that take a convolution without `shift` to its scaled and shifted norm.

    Each image has its own.
    """
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
    """The 3x3 kernel as a 4x4 one of stride 2 that computes 2x2 outputs: [4, 4, I, 4·O]."""
    placed = [
        jnp.pad(first, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1)
    ]
    return jnp.concatenate(placed, -1)


def _image_rows(images: Images) -> Float[Array, "B pixels 16*I"]:
    """The 4x4 patches of stride 2 of the padded images."""
    packed = pack(images, (4, 4), 2, 1)
    size = packed.shape[1] - 1, packed.shape[2] - 1
    return gather(packed, [(0, 0), (0, 1), (1, 0), (1, 1)], size).reshape(
        len(images), size[0] * size[1], -1
    )


def _hidden(
    rows: Float[Array, "B pixels 16*I"],
    matrix: Array,
    factor: PerChannel,
    offset: PerChannel,
    height: int,
    width: int,
) -> Maps:
    """ReLU of the norm in 2x2 patches, [B, H // 2, W // 2, 4·C].

    The padding around the [H - 2, W - 2] map is zero.
    """
    outside = [2 * np.arange(size // 2)[:, None] + np.arange(2) - 1 for size in (height, width)]
    inside = [
        (at >= 0) & (at < size - 2) for at, size in zip(outside, (height, width), strict=True)
    ]
    mask = (inside[0][:, None, :, None] & inside[1][:, None, :]).reshape(height // 2, width // 2, 4)
    mask = np.repeat(mask, factor.shape[1], -1)
    out = dot(rows.reshape(-1, rows.shape[2]), matrix).reshape(-1, *mask.shape)
    factor, offset = (jnp.tile(each, 4)[:, None, None] for each in (factor, offset))
    return jnp.where(mask, jax.nn.relu(out * factor + offset), 0)


def _matrix(first: Kernel) -> Float[Array, "16*I 4*C"]:
    return pack_kernel(_spread(first), 2).reshape(-1, 4 * first.shape[3])


def _widest(
    matrix: Array, second: Kernel, images: Images, factor: PerChannel, offset: PerChannel
) -> Maps:
    """Output of the second convolution, without its shift."""
    hidden = _hidden(_image_rows(images), matrix, factor, offset, *images.shape[1:3])
    return matmul(hidden, second, 1, 0)


def _rest(out: Maps, segment: Segment, groups: int, eps: float) -> Maps:
    """What follows the second convolution."""
    out = group_norm(
        out + segment.second_shift, segment.second_scale, segment.second_bias, groups, eps
    )
    return matmul(jax.nn.relu(out), segment.third, 2, 1) + segment.third_shift


def _chunked(batch: int, *arrays: Array) -> tuple[Array, ...]:
    """Arrays [B, ...] as [chunks, images, ...], the last chunk filled with zeros."""
    size = min(CHUNK, batch)
    fill = -batch % size
    filled = (
        jnp.pad(each, ((0, fill), *[(0, 0)] * (each.ndim - 1))) if fill else each for each in arrays
    )
    return tuple(each.reshape(-1, size, *each.shape[1:]) for each in filled)


def _joined(chunks: Array, batch: int) -> Array:
    return chunks.reshape(-1, *chunks.shape[2:])[:batch]


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _by_chunks(
    images: Images,
    factor: PerChannel,
    offset: PerChannel,
    segment: Segment,
    groups: int,
    eps: float,
) -> Maps:
    return _forward(images, factor, offset, segment, groups, eps)[0]


def _forward(
    images: Images,
    factor: PerChannel,
    offset: PerChannel,
    segment: Segment,
    groups: int,
    eps: float,
) -> tuple[Maps, Any]:
    matrix, second = lax.optimization_barrier(
        (_matrix(segment.first), pack_kernel(segment.second, 2))
    )

    def chunk(part: tuple[Array, ...]) -> tuple[Maps, Maps]:
        wide = _widest(matrix, second, *part)
        return _rest(wide, segment, groups, eps), wide

    batch = len(images)
    out, wide = (
        _joined(each, batch) for each in lax.map(chunk, _chunked(batch, images, factor, offset))
    )
    return out, (images, factor, offset, segment, wide)


def _backward(groups: int, eps: float, saved: Any, slope: Maps) -> tuple[Any, ...]:
    images, factor, offset, segment, wide = saved
    matrix, to_first = jax.vjp(_matrix, segment.first)
    second, to_second = jax.vjp(partial(pack_kernel, stride=2), segment.second)
    matrix, second = lax.optimization_barrier((matrix, second))

    def chunk(sums: Any, part: tuple[Array, ...]) -> tuple[Any, Any]:
        images, factor, offset, wide, slope = part
        slope, to_segment = jax.vjp(partial(_rest, groups=groups, eps=eps), wide, segment)[1](slope)
        rows, to_images = jax.vjp(_image_rows, images)
        hidden = _hidden(rows, matrix, factor, offset, *images.shape[1:3])
        to_hidden, to_packed = jax.vjp(lambda x, kernel: matmul(x, kernel, 1, 0), hidden, second)[
            1
        ](slope)
        pull = jnp.where(hidden > 0, to_hidden, 0).reshape(*rows.shape[:2], -1)
        pull = lax.optimization_barrier(pull)
        factors = jnp.tile(factor, 4)[:, None]
        by_image = lax.optimization_barrier(rows.transpose(0, 2, 1)) @ pull
        to_factor = jnp.sum(by_image * matrix, 1).reshape(len(images), 4, -1).sum(1)
        to_offset = pull.sum(1).reshape(len(images), 4, -1).sum(1)
        found = jnp.sum(by_image * factors, 0), to_packed, to_segment
        # Where nobody asks for the images' gradient, XLA removes it from the loop.
        return jax.tree.map(jnp.add, sums, found), (
            *to_images((pull * factors) @ matrix.T),
            to_factor,
            to_offset,
        )

    batch = len(images)
    zeros = jax.tree.map(jnp.zeros_like, (matrix, second, segment))
    (to_matrix, to_packed, to_segment), parts = lax.scan(
        chunk, zeros, _chunked(batch, images, factor, offset, wide, slope)
    )
    (to_first,), (to_second,) = to_first(to_matrix), to_second(to_packed)
    return *(_joined(part, batch) for part in parts), to_segment._replace(
        first=to_first, second=to_second
    )


_by_chunks.defvjp(_forward, _backward)
