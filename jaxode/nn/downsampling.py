"""The downsampling segment by matrix products on a CPU, a few images at a time.

conv 3x3 · group norm · ReLU · conv 4x4 of stride 2 · group norm · ReLU · conv 4x4 of stride 2.
Layer by layer, its widest maps, [B, 26, 26, 64], would move through memory a dozen times, which
takes most of the time. Three things avoid it:

- The first convolution is laid out as the second reads it: one row for each 2x2 patch of the padded
  map, [B, 14, 14, 2·2·64], itself a convolution of stride 2 of the image.
- Its group norm needs no pass over its outputs: mean and variance of w·p over the image's 3x3
  patches p are w·mean(p) and wᵀ cov(p) w, with cov of the centred patches, as accurate as the
  two-pass formula.
- No map of that size is saved: the gradient rematerialises it. Only the second convolution's output
  is saved.
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

Images = Float[Array, "B H W I"]
Outputs = Float[Array, "B rows columns C"]
Last = Float[Array, "B last_rows last_columns C"]
"""Output of the second and of the third convolution."""

Packed = Float[Array, "2 2 packed O"]
"""A 4x4 kernel of stride 2, from `pack_kernel`."""

Rows = Float[Array, "B pixels taps"]
"""The image's 4x4 patches of stride 2."""

Matrix = Float[Array, "taps wide"]
"""The first kernel for such rows."""

CHUNK = 8
"""Images at a time: their map of 14·14·256 numbers is 1.6 MB, and two or three such maps exist at
once."""


class Segment(NamedTuple):
    """The segment's parameters in order; a convolution's bias is called shift."""

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


Saved = tuple[Images, PerChannel, PerChannel, Segment, Outputs]
"""Images, factor and offset of the first norm, parameters, the second convolution's output."""


def downsampling(images: Images, segment: Segment, groups: int, eps: float) -> Outputs:
    """The downsampling segment of Chen et al. 2018; reverse mode only.

    Source: `odenet_mnist.py` of torchdiffeq.

    Args:
      images: [B, H, W, I].
      segment: kernels 3x3 without padding, then 4x4 with stride 2 and padding 1; each of C outputs.
      groups: of the group norms, a divisor of C.
      eps: added to a variance.

    Returns:
      [B, (H - 2) // 4, (W - 2) // 4, C].
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


def _image_rows(images: Images) -> Rows:
    """The 4x4 patches of stride 2 of the padded images."""
    packed = pack(images, (4, 4), 2, 1)
    size = packed.shape[1] - 1, packed.shape[2] - 1
    return gather(packed, [(0, 0), (0, 1), (1, 0), (1, 1)], size).reshape(
        len(images), size[0] * size[1], -1
    )


def _hidden(
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


def _matrix(first: Kernel) -> Float[Array, "16*I 4*O"]:
    return pack_kernel(_spread(first), 2).reshape(-1, 4 * first.shape[3])


def _widest(
    matrix: Matrix, second: Packed, images: Images, factor: PerChannel, offset: PerChannel
) -> Outputs:
    """Output of the second convolution, without its shift."""
    hidden = _hidden(_image_rows(images), matrix, factor, offset, *images.shape[1:3])
    return matmul(hidden, second, 1, 0)


def _rest(out: Outputs, segment: Segment, groups: int, eps: float) -> Last:
    """The layers after the second convolution."""
    out = group_norm(
        out + segment.second_shift, segment.second_scale, segment.second_bias, groups, eps
    )
    return matmul(jax.nn.relu(out), segment.third, 2, 1) + segment.third_shift


def _chunked(batch: int, *arrays: Float[Array, ...]) -> tuple[Float[Array, ...], ...]:
    """Arrays [B, …] as [chunks, images, …], the last chunk filled with zeros."""
    size = min(CHUNK, batch)
    fill = -batch % size
    filled = (
        jnp.pad(each, ((0, fill), *[(0, 0)] * (each.ndim - 1))) if fill else each for each in arrays
    )
    return tuple(each.reshape(-1, size, *each.shape[1:]) for each in filled)


def _joined(chunks: Float[Array, ...], batch: int) -> Float[Array, "{batch} ..."]:
    return chunks.reshape(-1, *chunks.shape[2:])[:batch]


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _by_chunks(
    images: Images,
    factor: PerChannel,
    offset: PerChannel,
    segment: Segment,
    groups: int,
    eps: float,
) -> Outputs:
    return _forward(images, factor, offset, segment, groups, eps)[0]


def _forward(
    images: Images,
    factor: PerChannel,
    offset: PerChannel,
    segment: Segment,
    groups: int,
    eps: float,
) -> tuple[Last, Saved]:
    matrix, second = lax.optimization_barrier(
        (_matrix(segment.first), pack_kernel(segment.second, 2))
    )

    def chunk(
        part: tuple[Images, PerChannel, PerChannel],
    ) -> tuple[Last, Outputs]:
        wide = _widest(matrix, second, *part)
        return _rest(wide, segment, groups, eps), wide

    batch = len(images)
    out, wide = (
        _joined(each, batch) for each in lax.map(chunk, _chunked(batch, images, factor, offset))
    )
    return out, (images, factor, offset, segment, wide)


def _backward(
    groups: int, eps: float, saved: Saved, slope: Last
) -> tuple[Images, PerChannel, PerChannel, Segment]:
    """Cotangents of images, factor, offset and parameters, chunk by chunk."""
    images, factor, offset, segment, wide = saved
    matrix, to_first = jax.vjp(_matrix, segment.first)
    second, to_second = jax.vjp(partial(pack_kernel, stride=2), segment.second)
    matrix, second = lax.optimization_barrier((matrix, second))

    def chunk(
        sums: tuple[Matrix, Packed, Segment],
        part: tuple[Images, PerChannel, PerChannel, Outputs, Last],
    ) -> tuple[tuple[Matrix, Packed, Segment], tuple[Images, PerChannel, PerChannel]]:
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
        parts = jnp.sum(by_image * factors, 0), to_packed, to_segment
        # XLA removes the images' gradient from the loop where it is not used.
        return jax.tree.map(jnp.add, sums, parts), (
            *to_images((pull * factors) @ matrix.T),
            to_factor,
            to_offset,
        )

    batch = len(images)
    zeros = jax.tree.map(jnp.zeros_like, (matrix, second, segment))
    chunks: Any = _chunked(batch, images, factor, offset, wide, slope)
    (to_matrix, to_packed, to_segment), parts = lax.scan(chunk, zeros, chunks)
    (to_first,), (to_second,) = to_first(to_matrix), to_second(to_packed)
    to_images, to_factor, to_offset = (_joined(part, batch) for part in parts)
    to_segment = to_segment._replace(first=to_first, second=to_second)
    return to_images, to_factor, to_offset, to_segment


_by_chunks.defvjp(_forward, _backward)
