"""Convolution of channels-last maps by matrix products, which are quick on a CPU also in a loop.

XLA's own CPU convolution loses its fast path for weight gradients inside a `while_loop`, where a
neural ODE spends its time: 180 ms against 3 ms for one 3x3 layer on [128, 6, 6, 64] (2 cores).
`library` is XLA's convolution, which is cuDNN's on a GPU; `jaxode.nn.kernels` chooses.

Maps and kernels of 16 bits give maps of 16 bits, as do their gradients; sums are in float32.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from jaxode.ode.residuals import SAVE_FOR_BACKWARD
from jaxode.types import Maps

Kernel = Float[Array, "kh kw I O"]
"""Height, width, input channels, output channels."""

Inputs = Float[Array, "B H W I"]
Outputs = Float[Array, "B H_out W_out O"]
"""Feature maps before and after a convolution."""

Shift = tuple[int, int]


def library(
    x: Inputs,
    kernel: Kernel,
    stride: int,
    padding: int,
    precision: lax.Precision = lax.Precision.HIGHEST,
) -> Outputs:
    """Convolution by XLA.

    Args:
      x: [B, H, W, I].
      kernel: [kh, kw, I, O].
      stride: of rows and columns.
      padding: zeros on every side.
      precision: HIGHEST is float32; HIGH, as JAX's default, lets a GPU use TF32.

    Returns:
      [B, H', W', O] with H' = (H + 2 padding - kh) // stride + 1, and W' likewise.
    """
    pads, layout = ((padding, padding), (padding, padding)), ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=layout, precision=precision
    )


def library_tf32(x: Inputs, kernel: Kernel, stride: int, padding: int) -> Outputs:
    """`library` with float32's products in TF32 where the device has it."""
    return library(x, kernel, stride, padding, lax.Precision.HIGH)


def matmul(x: Inputs, kernel: Kernel, stride: int, padding: int) -> Outputs:
    """The convolution of `library` by matrix products; custom gradient, reverse mode only."""
    if stride > 1:
        x, kernel, padding = (
            pack(x, (kernel.shape[0], kernel.shape[1]), stride, padding),
            pack_kernel(kernel, stride),
            0,
        )
    return _unit_stride(x, kernel, padding)


def matmul_any_mode(x: Inputs, kernel: Kernel, stride: int, padding: int) -> Outputs:
    """The convolution of `library` by matrix products, differentiated by JAX in either mode."""
    if stride > 1:
        x, kernel, padding = (
            pack(x, (kernel.shape[0], kernel.shape[1]), stride, padding),
            pack_kernel(kernel, stride),
            0,
        )
    return _correlate(x, kernel, padding)


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


class _Taps(NamedTuple):
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
    def of(cls, x: Inputs, kernel: Kernel, padding: int) -> _Taps:
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


def _shifted(
    x: Maps, shift: Shift, size: tuple[int, int]
) -> Float[Array, "B {size[0]} {size[1]} C"]:
    """Out[:, p] = x[:, p + shift] for pixels p of a map of this size, zero outside of x."""
    moves = zip(shift, size, x.shape[1:3], strict=True)
    edges = [(0, 0, 0), *((-by, to + by - now, 0) for by, to, now in moves), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


def dot(a: Float[Array, "m k"], b: Float[Array, "k n"]) -> Float[Array, "m n"]:
    """Matrix product; of 16-bit numbers the sums and the result are float32."""
    wide = jnp.promote_types(a.dtype, jnp.float32)
    # A CPU has one precision of float32, but XLA's call for the highest is 8 % quicker.
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST, preferred_element_type=wide)


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


def _add(
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


def _correlate(x: Inputs, kernel: Kernel, padding: int) -> Outputs:
    taps = _Taps.of(x, kernel, padding)
    product = dot(gather(x, taps.before, taps.middle), taps.matrix(kernel))
    out = _add(lax.optimization_barrier(product), taps.after, taps.middle, taps.end)
    return checkpoint_name(out.astype(x.dtype), SAVE_FOR_BACKWARD)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _unit_stride(x: Inputs, kernel: Kernel, padding: int) -> Outputs:
    return _correlate(x, kernel, padding)


def _unit_stride_forward(
    x: Inputs, kernel: Kernel, padding: int
) -> tuple[Outputs, tuple[Inputs, Kernel]]:
    return _correlate(x, kernel, padding), (x, kernel)


def _unit_stride_backward(
    padding: int, saved: tuple[Inputs, Kernel], slope: Outputs
) -> tuple[Inputs, Kernel]:
    """The three linear maps transposed, in reverse order."""
    x, kernel = saved
    taps = _Taps.of(x, kernel, padding)
    matrix, to_kernel = jax.vjp(taps.matrix, kernel)
    slopes = lax.optimization_barrier(gather(slope, _opposite(taps.after), taps.middle))
    # Gathered again, which is cheaper than to save it.
    gathered = lax.optimization_barrier(gather(x, taps.before, taps.middle))
    to_x = lax.optimization_barrier(dot(slopes, matrix.T))
    to_x = _add(to_x, _opposite(taps.before), taps.middle, (x.shape[1], x.shape[2]))
    return to_x.astype(x.dtype), *to_kernel(dot(gathered.T, slopes).astype(kernel.dtype))


def _opposite(shifts: list[Shift]) -> list[Shift]:
    return [(-rows, -columns) for rows, columns in shifts]


_unit_stride.defvjp(_unit_stride_forward, _unit_stride_backward)
