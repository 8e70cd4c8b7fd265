"""The taps of a convolution's kernel: which shifted maps a matrix product reads and is added to."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.types import Kernel, Maps

Shift = tuple[int, int]
"""Rows and columns."""


class Taps(NamedTuple):
    """A stride-1 convolution as three linear maps: gather, matrix product, scatter-add.

    Maps are shifted by the gather before the product and by the addition after it. All nine taps of
    a 3x3 kernel before the product, or all after it, move nine maps through memory; columns before
    and rows after move three and three. An input with more channels than the output is best not
    gathered at all.
    """

    before: list[Shift]
    middle: tuple[int, int]
    after: list[Shift]
    end: tuple[int, int]
    axes: tuple[int, int, int, int]

    @classmethod
    def of(cls, x: Float[Array, "B H W I"], kernel: Kernel, padding: int) -> Taps:
        """The cheapest split for these shapes."""
        height, width, inner, outer = kernel.shape
        start = x.shape[1], x.shape[2]
        end = start[0] + 2 * padding - height + 1, start[1] + 2 * padding - width + 1
        rows, columns = ([n - padding for n in range(size)] for size in (height, width))
        every = [(i, j) for i in rows for j in columns]
        if 4 * inner < outer:  # an image's few channels
            return cls(every, end, [(0, 0)], end, (0, 1, 2, 3))
        if inner <= outer:
            return cls(
                [(0, j) for j in columns],
                (start[0], end[1]),
                [(i, 0) for i in rows],
                end,
                (1, 2, 0, 3),
            )
        return cls([(0, 0)], start, every, end, (2, 0, 1, 3))

    def matrix(self, kernel: Kernel) -> Float[Array, "gathered added"]:
        """The kernel as a matrix: gathered taps and I in rows, added taps and O in columns."""
        return kernel.transpose(self.axes).reshape(len(self.before) * kernel.shape[2], -1)


def opposite(shifts: list[Shift]) -> list[Shift]:
    """The shifts that undo these."""
    return [(-rows, -columns) for rows, columns in shifts]


def _shifted(
    x: Maps, shift: Shift, size: tuple[int, int]
) -> Float[Array, "B {size[0]} {size[1]} C"]:
    """Out[:, p] = x[:, p + shift] for pixels p of a map of this size, zero outside of x."""
    moves = zip(shift, size, x.shape[1:3], strict=True)
    edges = [(0, 0, 0), *((-by, to + by - now, 0) for by, to, now in moves), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def gather(
    x: Maps, shifts: list[Shift], size: tuple[int, int]
) -> Float[Array, "B*{size[0]*size[1]} C*{len(shifts)}"]:
    """The shifted values of every pixel, as rows of a matrix.

    Args:
      x: [B, H, W, C].
      shifts: rows and columns to add to a pixel's position.
      size: height and width of the map of pixels.

    Returns:
      For each pixel p of each image, x at p + shift for each shift in turn, zero outside of x.
    """
    if len(shifts) == 1:
        return _shifted(x, shifts[0], size).reshape(-1, x.shape[3])
    # One padded map, from which every tap is cut; padding each tap by itself costs a pass for each.
    first = [min(axis) for axis in zip(*shifts, strict=True)]
    last = [max(axis) for axis in zip(*shifts, strict=True)]
    extent = size[0] + last[0] - first[0], size[1] + last[1] - first[1]
    x = lax.optimization_barrier(_shifted(x, (first[0], first[1]), extent))
    starts = [(i - first[0], j - first[1]) for i, j in shifts]
    taps = [x[:, i : i + size[0], j : j + size[1]] for i, j in starts]
    return jnp.stack(taps, 3).reshape(-1, len(shifts) * x.shape[3])


def scatter_add(
    taps: Float[Array, "pixels taps"],
    shifts: list[Shift],
    start: tuple[int, int],
    end: tuple[int, int],
) -> Float[Array, "B {end[0]} {end[1]} C"]:
    """Transpose of `gather`, for maps of size `start` to maps of size `end`."""
    wide = taps.shape[1] // len(shifts)
    parts = [
        taps[:, k * wide : (k + 1) * wide].reshape(-1, *start, wide) for k in range(len(shifts))
    ]
    return functools.reduce(
        jnp.add, [_shifted(*pair, end) for pair in zip(parts, shifts, strict=True)]
    )


def dot(a: Float[Array, "m k"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """Matrix product; of 16-bit numbers the sums and the result are float32."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    # Widened before the product, which is exact, and not by it: in a backsolve's loop XLA calls a
    # product of 16-bit numbers that not every CPU has, and ends the run.
    a, b = a.astype(wide), b.astype(wide)
    # A CPU has one precision of float32, but XLA's call for the highest is 8 % quicker, and it
    # depends on the preferred type which call that is.
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST, preferred_element_type=wide)
