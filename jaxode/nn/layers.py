"""Layers with PyTorch's meaning and initial distribution, on channels-last maps."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from jaxode.nn.kernels import Kernels
from jaxode.types import Maps, Time

NORM_EPS = 1e-5
"""PyTorch's default; Flax's is 1e-6."""


def torch_uniform(
    rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype: jnp.dtype
) -> nnx.Param:
    """Uniform in ±1/√fan_in, as PyTorch's reset_parameters draws for linear maps."""
    bound = fan_in**-0.5
    return nnx.Param(jax.random.uniform(rngs.params(), shape, dtype, -bound, bound))


class Linear(nnx.Module):
    """x → x kernel + bias, [B, I] → [B, O]."""

    def __init__(self, inner: int, outer: int, *, rngs: nnx.Rngs, dtype: jnp.dtype) -> None:
        """Weights and biases start uniform in ±1/√inner."""
        self.kernel = torch_uniform(rngs, (inner, outer), inner, dtype)
        self.bias = torch_uniform(rngs, (outer,), inner, dtype)

    def __call__(self, x: Float[Array, "B I"]) -> Float[Array, "B O"]:
        """Apply the map."""
        return jnp.dot(x, self.kernel[...], precision=jax.lax.Precision.HIGHEST) + self.bias[...]


class Conv(nnx.Module):
    """Convolution [B, H, W, I] → [B, H', W', O], H' = (H + 2 padding - size) // stride + 1."""

    def __init__(
        self,
        inner: int,
        outer: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        kernels: Kernels,
        rngs: nnx.Rngs,
        dtype: jnp.dtype,
    ) -> None:
        """Weights and biases start uniform in ±1/√(inner · size²)."""
        fan_in = inner * size * size
        self.stride, self.padding, self.kernels = stride, padding, kernels
        self.kernel = torch_uniform(rngs, (size, size, inner, outer), fan_in, dtype)
        self.bias = torch_uniform(rngs, (outer,), fan_in, dtype) if bias else None

    def __call__(self, x: Maps) -> Maps:
        """Apply the convolution."""
        out = self.kernels.convolution(x, self.kernel[...], self.stride, self.padding)
        return out if self.bias is None else out + self.bias[...]


class TimeConv(nnx.Module):
    """3x3 convolution, padding 1, of z behind one more input channel filled with t.

    The time comes first, as in torchdiffeq.

    The channel is never built: its part of the output is t times the convolution of a plane of
    ones, one small map for the whole batch.
    """

    def __init__(self, width: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: jnp.dtype) -> None:
        """Weights [3, 3, 1 + width, width] and biases start uniform in ±1/√(9 (width + 1))."""
        self.kernels = kernels
        fan_in = 9 * (width + 1)
        self.kernel = torch_uniform(rngs, (3, 3, width + 1, width), fan_in, dtype)
        self.bias = torch_uniform(rngs, (width,), fan_in, dtype)

    def __call__(self, t: Time, z: Maps) -> Maps:
        """[B, H, W, C] → [B, H, W, C] at time t."""
        kernel = self.kernel[...]
        ones = jnp.ones((1, *z.shape[1:3], 1), z.dtype)
        plane = self.kernels.convolution(ones, kernel[:, :, :1], 1, 1)
        return self.kernels.convolution(z, kernel[:, :, 1:], 1, 1) + (t * plane + self.bias[...])


def group_count(channels: int) -> int:
    """The largest divisor of `channels` that is at most 32.

    32 for 64 channels, 23 for 69, but 1 for the prime 67.
    """
    return max(groups for groups in range(1, 33) if channels % groups == 0)


class GroupNorm(nnx.Module):
    """Group norm over `group_count(channels)` groups, with a scale and a bias for each channel."""

    def __init__(self, channels: int, *, kernels: Kernels, dtype: jnp.dtype) -> None:
        """The scale starts at one, the bias at zero."""
        self.groups, self.kernels = group_count(channels), kernels
        self.scale = nnx.Param(jnp.ones(channels, dtype))
        self.bias = nnx.Param(jnp.zeros(channels, dtype))

    def __call__(self, x: Maps) -> Maps:
        """Normalise each image's groups of channels over its pixels."""
        return self.kernels.group_norm(x, self.scale[...], self.bias[...], self.groups, NORM_EPS)
