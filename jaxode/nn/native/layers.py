"""Single layers as native calls: a convolution and a group norm, for reverse mode."""

from __future__ import annotations

import functools

import jax
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from jaxode.nn import convolution as matrix_products
from jaxode.nn import normalization
from jaxode.nn.convolution import Inputs, Outputs
from jaxode.nn.native.calls import Arguments, Attributes, Handler, call
from jaxode.nn.native.derivatives import differentiable, with_derivatives
from jaxode.nn.native.limits import accepts_map, are_float32
from jaxode.nn.normalization import Channels
from jaxode.ode.residuals import SAVE_FOR_BACKWARD
from jaxode.types import Kernel, Maps

STRIDES = {(3, 1): 1, (4, 2): 2}
"""Stride by kernel size and stride: 3x3 of stride 1 and 4x4 of stride 2, both with padding 1."""

SavedConvolution = tuple[Inputs, Kernel, Float[Array, "kh kw O I"]]
"""Input, kernel, and the kernel with input and output channels exchanged."""

SavedNorm = tuple[Maps, Channels, Channels]
"""Input, scale and bias."""


def convolution(x: Inputs, kernel: Kernel, stride: int, padding: int) -> Outputs:
    """`jaxode.nn.convolution.matmul`, by a native kernel if one fits."""
    if _convolution_fits(x, kernel, stride, padding):
        return _convolution(stride, x, kernel)
    return matrix_products.matmul(x, kernel, stride, padding)


def group_norm(x: Maps, scale: Channels, bias: Channels, groups: int, eps: float) -> Maps:
    """`jaxode.nn.normalization.group_norm`, by a native kernel if it fits."""
    if accepts_map(*x.shape[1:]) and are_float32((x, scale, bias)):
        return _group_norm((groups, eps), x, scale, bias)
    return normalization.group_norm(x, scale, bias, groups, eps)


def _convolution_fits(x: Inputs, kernel: Kernel, stride: int, padding: int) -> bool:
    rows, columns, inner, outer = kernel.shape
    known = rows == columns and padding == 1 and (rows, stride) in STRIDES
    height, width = x.shape[1:3]
    return (
        known
        and min(height, width) >= stride
        and accepts_map(height, width, inner)
        and accepts_map(*_output_size(stride, x), outer)
        and are_float32((x, kernel))
    )


def _output_size(stride: int, x: Inputs) -> tuple[int, int]:
    """Rows and columns of a convolution's output."""
    height, width = x.shape[1:3]
    return ((height - 2) // 2 + 1, (width - 2) // 2 + 1) if stride == 2 else (height, width)


def _convolution_attributes(stride: int, kernel: Kernel) -> Attributes:
    return ("stride", np.int64(stride)), ("outer", np.int64(kernel.shape[3]))


def _convolution_values(stride: int, arrays: tuple[Inputs, Kernel]) -> Outputs:
    x, kernel = arrays
    results = ((*_output_size(stride, x), kernel.shape[3]),)
    handler = Handler("convolution", _convolution_attributes(stride, kernel), results)
    return call(handler, Arguments(None, (x,), (kernel,))).images[0]


def _convolution_reference(stride: int, arrays: tuple[Inputs, Kernel]) -> Outputs:
    return matrix_products.matmul_any_mode(*arrays, stride, 1)


_convolution_forward_call = with_derivatives(_convolution_values, _convolution_reference)


def _convolve(stride: int, x: Inputs, kernel: Kernel) -> Outputs:
    return checkpoint_name(_convolution_forward_call(stride, (x, kernel)), SAVE_FOR_BACKWARD)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolution(stride: int, x: Inputs, kernel: Kernel) -> Outputs:
    return _convolve(stride, x, kernel)


def _convolution_forward(
    stride: int, x: Inputs, kernel: Kernel
) -> tuple[Outputs, SavedConvolution]:
    return _convolve(stride, x, kernel), (x, kernel, kernel.transpose(0, 1, 3, 2))


def _convolution_call(
    stride: int, saved: SavedConvolution, slope: Outputs
) -> tuple[Inputs, Kernel]:
    x, kernel, exchanged = saved
    attributes = _convolution_attributes(stride, kernel)
    handler = Handler("convolution_gradient", attributes, (x.shape[1:],), (kernel.shape,))
    results = call(handler, Arguments(None, (x, slope), (exchanged,)))
    return results.images[0], results.sums[0][0]


def _convolution_reference_gradient(
    stride: int, saved: SavedConvolution, slope: Outputs
) -> tuple[Inputs, Kernel]:
    return jax.vjp(functools.partial(_convolution_reference, stride), saved[:2])[1](slope)[0]


_convolution.defvjp(
    _convolution_forward, differentiable(_convolution_call, _convolution_reference_gradient)
)


def _norm_attributes(groups: int, eps: float) -> Attributes:
    return ("groups", np.int64(groups)), ("eps", np.float32(eps))


def _group_norm_values(
    settings: tuple[int, float], arrays: tuple[Maps, Channels, Channels]
) -> Maps:
    x, *shared = arrays
    handler = Handler("group_norm", _norm_attributes(*settings), (x.shape[1:],))
    return call(handler, Arguments(None, (x,), tuple(shared))).images[0]


def _group_norm_reference(
    settings: tuple[int, float], arrays: tuple[Maps, Channels, Channels]
) -> Maps:
    return normalization.group_norm_any_mode(*arrays, *settings)


_group_norm_forward_call = with_derivatives(_group_norm_values, _group_norm_reference)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _group_norm(settings: tuple[int, float], x: Maps, scale: Channels, bias: Channels) -> Maps:
    return _group_norm_forward_call(settings, (x, scale, bias))


def _group_norm_forward(
    settings: tuple[int, float], x: Maps, scale: Channels, bias: Channels
) -> tuple[Maps, SavedNorm]:
    return _group_norm_forward_call(settings, (x, scale, bias)), (x, scale, bias)


def _group_norm_call(
    settings: tuple[int, float], saved: SavedNorm, slope: Maps
) -> tuple[Maps, Channels, Channels]:
    x, scale, bias = saved
    attributes = _norm_attributes(*settings)
    handler = Handler("group_norm_gradient", attributes, (x.shape[1:],), (scale.shape, bias.shape))
    results = call(handler, Arguments(None, (x, slope), (scale,)))
    return results.images[0], results.sums[0][0], results.sums[1][0]


def _group_norm_reference_gradient(
    settings: tuple[int, float], saved: SavedNorm, slope: Maps
) -> tuple[Maps, Channels, Channels]:
    return jax.vjp(functools.partial(_group_norm_reference, settings), saved)[1](slope)[0]


_group_norm.defvjp(
    _group_norm_forward, differentiable(_group_norm_call, _group_norm_reference_gradient)
)
