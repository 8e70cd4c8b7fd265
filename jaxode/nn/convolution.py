"""Convolution of channels-last maps, as matrix products: quick on a CPU, also inside a loop.

XLA's own CPU convolution loses its fast path for weight gradients inside a `while_loop`, where a neural ODE spends its
time: 180 ms against 3 ms for one 3x3 layer on [128, 6, 6, 64] (2 cores). `library` is XLA's convolution, which
is cuDNN's on a GPU; `jaxode.nn.kernels` chooses.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxode.types import Maps

Kernel = Float[Array, "kh kw I O"]


def library(x: Maps, kernel: Kernel, stride: int, padding: int) -> Maps:
    """Convolution by XLA: [B, H, W, I] → [B, H', W', O] with H' = (H + 2 padding - kh) // stride + 1."""
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def matmul(x: Maps, kernel: Kernel, stride: int, padding: int) -> Maps:
    """The same convolution by matrix products, with a gradient of its own where that is quicker (reverse mode only)."""
    if stride > 1:
        x, kernel, padding = *space_to_depth(x, kernel, stride, padding), 0
    if 4 * kernel.shape[2] < kernel.shape[3]:
        return _correlate(x, kernel, padding)  # an image's few channels make small patches; its own gradient is rare
    return _unit_stride(x, kernel, padding)


def matmul_any_mode(x: Maps, kernel: Kernel, stride: int, padding: int) -> Maps:
    """The same convolution by matrix products, left to automatic differentiation (forward mode too)."""
    if stride > 1:
        x, kernel, padding = *space_to_depth(x, kernel, stride, padding), 0
    return _correlate(x, kernel, padding)


def space_to_depth(x: Maps, kernel: Kernel, stride: int, padding: int) -> tuple[Maps, Kernel]:
    """Input and kernel of an equal convolution of stride 1 and padding 0: each s x s patch becomes s·s channels."""
    height, width, inner, outer = kernel.shape
    out_h = (x.shape[1] + 2 * padding - height) // stride + 1
    out_w = (x.shape[2] + 2 * padding - width) // stride + 1
    taps_h, taps_w = -(-height // stride), -(-width // stride)
    rows, columns = out_h + taps_h - 1, out_w + taps_w - 1  # in patches; what no output reads is cut off

    grow_h = max(0, rows * stride - x.shape[1] - padding)
    grow_w = max(0, columns * stride - x.shape[2] - padding)
    x = jnp.pad(x, ((0, 0), (padding, grow_h), (padding, grow_w), (0, 0)))[:, : rows * stride, : columns * stride]
    x = x.reshape(-1, rows, stride, columns, stride, inner).transpose(0, 1, 3, 2, 4, 5)

    kernel = jnp.pad(kernel, ((0, taps_h * stride - height), (0, taps_w * stride - width), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps_h, stride, taps_w, stride, inner, outer).transpose(0, 2, 1, 3, 4, 5)
    merged = stride * stride * inner
    return x.reshape(-1, rows, columns, merged), kernel.reshape(taps_h, taps_w, merged, outer)


def _patches(x: Maps, height: int, width: int, pad_h: int, pad_w: int) -> Float[Array, "B H W taps*C"]:
    x = jnp.pad(x, ((0, 0), (pad_h, pad_h), (pad_w, pad_w), (0, 0)))
    out_h, out_w = x.shape[1] - height + 1, x.shape[2] - width + 1
    taps = [x[:, i : i + out_h, j : j + out_w] for i in range(height) for j in range(width)]
    return jnp.concatenate(taps, -1)


def _correlate(x: Maps, kernel: Kernel, padding: int) -> Maps:
    """Valid correlation of the padded map. Whichever side is narrower is laid out once for every tap."""
    height, width, inner, outer = kernel.shape
    if inner <= outer:
        patches = _patches(x, height, width, padding, padding)
        return patches @ kernel.reshape(height * width * inner, outer)
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    out_h, out_w = x.shape[1] - height + 1, x.shape[2] - width + 1
    taps = x @ kernel.transpose(2, 0, 1, 3).reshape(inner, height * width * outer)
    taps = lax.optimization_barrier(taps).reshape(*x.shape[:3], height, width, outer)
    shifted = [taps[:, i : i + out_h, j : j + out_w, i, j] for i in range(height) for j in range(width)]
    return functools.reduce(jnp.add, shifted)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _unit_stride(x: Maps, kernel: Kernel, padding: int) -> Maps:
    return _correlate(x, kernel, padding)


def _unit_stride_forward(x: Maps, kernel: Kernel, padding: int) -> tuple[Maps, tuple[Maps, Kernel]]:
    return _correlate(x, kernel, padding), (x, kernel)


def _unit_stride_backward(padding: int, saved: tuple[Maps, Kernel], slope: Maps) -> tuple[Maps, Kernel]:
    """Both gradients from one gathering of patches, of the output's gradient."""
    x, kernel = saved
    height, width, inner, outer = kernel.shape
    patches = _patches(slope, height, width, height - 1 - padding, width - 1 - padding)
    patches = patches.reshape(-1, height * width * outer)
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2).reshape(height * width * outer, inner)
    to_x = (patches @ flipped).reshape(x.shape)
    # The narrow operand stands transposed: the other order costs up to 3x on a CPU.
    to_kernel = x.reshape(-1, inner).T @ patches
    to_kernel = to_kernel.reshape(inner, height, width, outer)[:, ::-1, ::-1].transpose(1, 2, 0, 3)
    return to_x, to_kernel


_unit_stride.defvjp(_unit_stride_forward, _unit_stride_backward)
