"""Convolution of channels-last maps by matrix products, which are quick on a CPU also in a loop.

XLA's own CPU convolution loses its fast path for weight gradients inside a `while_loop`, where a
neural ODE spends its time: 180 ms against 3 ms for one 3x3 layer on [128, 6, 6, 64] (2 cores).
`library` is XLA's convolution, which is cuDNN's on a GPU; `jaxode.nn.kernels` chooses.

Maps and kernels of 16 bits give maps of 16 bits, as do their gradients; sums are in float32.
"""

from __future__ import annotations

import functools

import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from jaxode.nn.packing import pack, pack_kernel
from jaxode.nn.taps import Taps, dot, gather, opposite, scatter_add
from jaxode.ode.residuals import SAVE_FOR_BACKWARD
from jaxode.types import Kernel

Inputs = Float[Array, "B H W I"]
Outputs = Float[Array, "B H_out W_out O"]
"""Feature maps before and after a convolution."""


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


def _correlate(x: Inputs, kernel: Kernel, padding: int) -> Outputs:
    taps = Taps.of(x, kernel, padding)
    product = dot(gather(x, taps.before, taps.middle), taps.matrix(kernel))
    out = scatter_add(lax.optimization_barrier(product), taps.after, taps.middle, taps.end)
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
    taps = Taps.of(x, kernel, padding)
    matrix, to_kernel = jax.vjp(taps.matrix, kernel)
    slopes = lax.optimization_barrier(gather(slope, opposite(taps.after), taps.middle))
    # Gathered again, which is cheaper than to save it.
    gathered = lax.optimization_barrier(gather(x, taps.before, taps.middle))
    to_x = lax.optimization_barrier(dot(slopes, matrix.T))
    to_x = scatter_add(to_x, opposite(taps.before), taps.middle, (x.shape[1], x.shape[2]))
    return to_x.astype(x.dtype), *to_kernel(dot(gathered.T, slopes).astype(kernel.dtype))


_unit_stride.defvjp(_unit_stride_forward, _unit_stride_backward)
