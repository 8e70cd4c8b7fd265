"""Layers that are PyTorch's, initial distribution included, on channels-last maps."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.nn.convolution import Inputs, Outputs
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.types import Maps, Time

NORM_EPS = 1e-5
"""PyTorch's default; Flax's is 1e-6."""


def torch_uniform(
    rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype: DTypeLike
) -> nnx.Param:
    """A parameter with uniform initial values in ±1/√fan_in.

    Source: `reset_parameters` of torch.nn.Linear and torch.nn.Conv2d.

    Args:
      rngs: stream `params` of keys, of which one is used.
      shape: of the parameter.
      fan_in: inputs of each output of the layer.
      dtype: floating-point type.
    """
    bound = fan_in**-0.5
    return nnx.Param(jax.random.uniform(rngs.params(), shape, dtype, -bound, bound))


Initial = Callable[[nnx.Rngs, tuple[int, ...], int, DTypeLike], nnx.Param]
"""(keys, shape, inputs of each output, type) → a parameter with initial values."""


class Linear(nnx.Module):
    """x kernel + bias, [B, I] → [B, O].

    Args:
      inner: I, units of the input.
      outer: O, units of the output.
      initial: distributions of kernel and bias; uniform in ±1/√inner by default.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import Linear
      >>> Linear(3, 2, rngs=nnx.Rngs(0))(jnp.ones((4, 3))).shape
      (4, 2)
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        *,
        initial: tuple[Initial, Initial] = (torch_uniform, torch_uniform),
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        self.kernel = initial[0](rngs, (inner, outer), inner, dtype)
        self.bias = initial[1](rngs, (outer,), inner, dtype)

    def __call__(self, x: Float[Array, "B I"]) -> Float[Array, "B O"]:
        """The affine map of x."""
        return jnp.dot(x, self.kernel[...], precision=jax.lax.Precision.HIGHEST) + self.bias[...]


class Conv(nnx.Module):
    """Convolution [B, H, W, I] → [B, H', W', O], H' = (H + 2 padding - size) // stride + 1.

    Args:
      inner: I, channels of the input.
      outer: O, channels of the output.
      size: of the kernel, in rows and columns.
      stride: of rows and columns.
      padding: zeros on every side.
      bias: whether a bias [O] is added.
      initial: distributions of kernel and bias; uniform in ±1/√(inner · size²) by default.
      kernels: convolution and group norm; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import Conv
      >>> conv = Conv(3, 16, 3, padding=1, rngs=nnx.Rngs(0))
      >>> conv(jnp.ones((2, 8, 8, 3))).shape
      (2, 8, 8, 16)
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        initial: tuple[Initial, Initial] = (torch_uniform, torch_uniform),
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        fan_in = inner * size * size
        self.stride, self.padding = stride, padding
        self.kernels = kernels or choose_kernels()
        self.kernel = initial[0](rngs, (size, size, inner, outer), fan_in, dtype)
        self.bias = initial[1](rngs, (outer,), fan_in, dtype) if bias else None

    def __call__(self, x: Inputs) -> Outputs:
        """The convolution of x."""
        out = self.kernels.convolution(x, self.kernel[...], self.stride, self.padding)
        return out if self.bias is None else out + self.bias[...]


class TimeConv(nnx.Module):
    """3x3 convolution, padding 1, of a channel filled with the time t followed by those of z.

    Source: `ConcatConv2d` in `odenet_mnist.py` of torchdiffeq.

    The channel of times is never built: its part of the output is t times the convolution of a
    plane of ones, one small map for the whole batch.

    Args:
      width: C, channels of z and of the output.
      kernels: convolution and group norm; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import TimeConv
      >>> TimeConv(16, rngs=nnx.Rngs(0))(0.5, jnp.ones((2, 8, 8, 16))).shape
      (2, 8, 8, 16)
    """

    def __init__(
        self,
        width: int,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        """Weights [3, 3, 1 + width, width] and biases start uniform in ±1/√(9 (width + 1))."""
        self.kernels = kernels or choose_kernels()
        fan_in = 9 * (width + 1)
        self.kernel = torch_uniform(rngs, (3, 3, width + 1, width), fan_in, dtype)
        self.bias = torch_uniform(rngs, (width,), fan_in, dtype)

    def __call__(self, t: Time | float, z: Maps) -> Maps:
        """The convolution [B, H, W, C] of z at time t, a scalar or [B, 1, 1, 1]."""
        kernel = self.kernel[...]
        ones = jnp.ones((1, *z.shape[1:3], 1), z.dtype)
        plane = self.kernels.convolution(ones, kernel[:, :, :1], 1, 1)
        return self.kernels.convolution(z, kernel[:, :, 1:], 1, 1) + (t * plane + self.bias[...])


def group_count(channels: int) -> int:
    """The largest divisor of `channels` that is at most 32: 32 of 64, 23 of 69, 1 of 67."""
    return max(groups for groups in range(1, 33) if channels % groups == 0)


class GroupNorm(nnx.Module):
    """Group norm over `group_count(channels)` groups, with a scale and a bias for each channel.

    Source: Wu and He 2018, "Group Normalization".

    Args:
      channels: C.
      kernels: group norm; None for the quickest in float32.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxode.nn import GroupNorm
      >>> norm = GroupNorm(16)
      >>> norm.groups, norm(jnp.ones((2, 8, 8, 16))).shape
      (16, (2, 8, 8, 16))
    """

    def __init__(
        self, channels: int, *, kernels: Kernels | None = None, dtype: DTypeLike = jnp.float32
    ) -> None:
        """The scale starts at one, the bias at zero."""
        self.groups, self.kernels = group_count(channels), kernels or choose_kernels()
        self.scale = nnx.Param(jnp.ones(channels, dtype))
        self.bias = nnx.Param(jnp.zeros(channels, dtype))

    def __call__(self, x: Maps) -> Maps:
        """Normalise each image's groups of channels over its pixels."""
        return self.kernels.group_norm(x, self.scale[...], self.bias[...], self.groups, NORM_EPS)
