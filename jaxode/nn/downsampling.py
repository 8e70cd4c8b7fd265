"""The downsampling segment by matrix products on a CPU, a few images at a time.

conv 3x3 · group norm · ReLU · conv 4x4 of stride 2 · group norm · ReLU · conv 4x4 of stride 2.
Layer by layer, its widest maps, [B, 26, 26, 64], would move through memory a dozen times, which
takes most of the time. Two things avoid it:

- The first convolution and its group norm take no pass over their outputs of their own
  (`first_convolution.py`).
- No map of that size is saved: the gradient rematerialises it. Only the second convolution's output
  is saved.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.nn.convolution import matmul
from jaxode.nn.first_convolution import (
    Images,
    Matrix,
    affine,
    hidden_maps,
    image_rows,
    kernel_matrix,
)
from jaxode.nn.normalization import Channels, PerChannel, group_norm
from jaxode.nn.packing import pack_kernel
from jaxode.types import Kernel

Outputs = Float[Array, "B rows columns C"]
Last = Float[Array, "B last_rows last_columns C"]
"""Output of the second and of the third convolution."""

Packed = Float[Array, "2 2 packed O"]
"""A 4x4 kernel of stride 2, from `pack_kernel`."""

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
    factor, offset = affine(images, *first, groups, eps)
    return _by_chunks(images, factor, offset, segment, groups, eps)


def _widest(
    matrix: Matrix, second: Packed, images: Images, factor: PerChannel, offset: PerChannel
) -> Outputs:
    """Output of the second convolution, without its shift."""
    hidden = hidden_maps(image_rows(images), matrix, factor, offset, *images.shape[1:3])
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
        (kernel_matrix(segment.first), pack_kernel(segment.second, 2))
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
    matrix, to_first = jax.vjp(kernel_matrix, segment.first)
    second, to_second = jax.vjp(partial(pack_kernel, stride=2), segment.second)
    matrix, second = lax.optimization_barrier((matrix, second))

    def chunk(
        sums: tuple[Matrix, Packed, Segment],
        part: tuple[Images, PerChannel, PerChannel, Outputs, Last],
    ) -> tuple[tuple[Matrix, Packed, Segment], tuple[Images, PerChannel, PerChannel]]:
        images, factor, offset, wide, slope = part
        slope, to_segment = jax.vjp(partial(_rest, groups=groups, eps=eps), wide, segment)[1](slope)
        rows, to_images = jax.vjp(image_rows, images)
        hidden = hidden_maps(rows, matrix, factor, offset, *images.shape[1:3])
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
