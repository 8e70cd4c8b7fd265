"""Convolutions that depend on time, of images: with strides, transposed, and with a gate."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import ConfigError
from jaxode.nn.convolution import Inputs, Outputs
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import torch_uniform
from jaxode.types import Kernel, Time

STRIDES = (1, 2, -2)
"""1 keeps the size, by kernels of 3x3; 2 halves it and -2, transposed, doubles it, by 4x4."""

TRANSPOSED_TAPS = np.zeros((3, 2, 4))
"""1 where an output of even (0) or odd (1) place takes the neighbour d - 1 through weight k."""
for _neighbour, _parity, _weight in ((0, 0, 3), (1, 0, 1), (1, 1, 2), (2, 1, 0)):
    TRANSPOSED_TAPS[_neighbour, _parity, _weight] = 1


def convolve(x: Inputs, kernel: Kernel, stride: int, kernels: Kernels) -> Outputs:
    """The convolution of one of `STRIDES`, padding 1.

    The transposed one is a convolution of 3x3 with four outputs for each place, which are then put
    in a square.

    Args:
      x: [B, H, W, I].
      kernel: [3, 3, I, O], or [4, 4, I, O] for strides 2 and -2.
      stride: 1, 2 or -2.
      kernels: whose convolution.

    Returns:
      [B, H, W, O], of half or twice that size with stride 2 or -2.
    """
    if stride > 0:
        return kernels.convolution(x, kernel, stride, 1)
    inner, outer = kernel.shape[2:]
    taps = jnp.asarray(TRANSPOSED_TAPS, kernel.dtype)
    four = jnp.einsum(
        "dak,ebl,klio->deiabo", taps, taps, kernel, precision=jax.lax.Precision.HIGHEST
    )
    out = kernels.convolution(x, four.reshape(3, 3, inner, 4 * outer), 1, 1)
    out = out.reshape(*x.shape[:3], 2, 2, outer).transpose(0, 1, 3, 2, 4, 5)
    return out.reshape(x.shape[0], 2 * x.shape[1], 2 * x.shape[2], outer)


class _TimeConvolution(nnx.Module):
    """Weights and bias with PyTorch's initial distribution; what they are of, a subclass says."""

    def __init__(
        self,
        inner: int,
        outer: int,
        stride: int,
        kernels: Kernels | None,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
    ) -> None:
        if stride not in STRIDES:
            raise ConfigError(f"a stride must be 1, 2 or -2, got {stride!r}")
        size = 3 if stride == 1 else 4
        # A transposed convolution of PyTorch's counts its outputs as those that it reads.
        fan_in = size * size * (outer if stride < 0 else inner)
        # The divergence differentiates in forward mode.
        self.stride, self.kernels = stride, kernels or choose_kernels(forward_mode=True)
        self.kernel = torch_uniform(rngs, (size, size, inner, outer), fan_in, dtype)
        self.bias = torch_uniform(rngs, (outer,), fan_in, dtype)


class ConcatConv(_TimeConvolution):
    """A convolution of a channel filled with the time followed by those of z.

    Source: FFJORD (Grathwohl et al. 2019), its code's ConcatConv2d. The channel of times is never
    built: its part of the output is t times the convolution of a plane of ones.

    Args:
      inner: I, channels of z.
      outer: O, channels of the output.
      stride: 1; 2 for half the size; -2 for twice the size, transposed.
      kernels: convolution; None for the quickest in float32 that has derivatives in both modes.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: another stride.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import ConcatConv
      >>> layer = ConcatConv(1, 8, 2, rngs=nnx.Rngs(0))
      >>> jax.jit(layer)(0.5, jnp.ones((2, 8, 8, 1))).shape
      (2, 4, 4, 8)
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        stride: int = 1,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        super().__init__(inner + 1, outer, stride, kernels, rngs, dtype)

    def __call__(self, t: Time, z: Inputs) -> Outputs:
        """The convolution of z at time t, a scalar or [B, 1, 1, 1]."""
        kernel = self.kernel[...]
        ones = jnp.ones((1, *z.shape[1:3], 1), z.dtype)
        plane = convolve(ones, kernel[:, :, :1], self.stride, self.kernels)
        out = convolve(z, kernel[:, :, 1:], self.stride, self.kernels)
        return out + (t * plane + self.bias[...])


class ConcatSquashConv(_TimeConvolution):
    """(conv(z) + b) σ(t g + h) + t c: a convolution whose channels have a gate and bias of time.

    Source: FFJORD (Grathwohl et al. 2019), its code's ConcatSquashConv2d.

    Args:
      inner: I, channels of z.
      outer: O, channels of the output.
      stride: 1; 2 for half the size; -2 for twice the size, transposed.
      kernels: convolution; None for the quickest in float32 that has derivatives in both modes.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: another stride.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import ConcatSquashConv
      >>> layer = ConcatSquashConv(8, 1, -2, rngs=nnx.Rngs(0))
      >>> jax.jit(layer)(0.5, jnp.ones((2, 4, 4, 8))).shape
      (2, 8, 8, 1)
    """

    def __init__(
        self,
        inner: int,
        outer: int,
        stride: int = 1,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        super().__init__(inner, outer, stride, kernels, rngs, dtype)
        self.gate, self.gate_bias, self.time_bias = (
            torch_uniform(rngs, (outer,), 1, dtype) for _ in range(3)
        )

    def __call__(self, t: Time, z: Inputs) -> Outputs:
        """The layer at time t, a scalar or [B, 1, 1, 1]."""
        out = convolve(z, self.kernel[...], self.stride, self.kernels) + self.bias[...]
        gate: Float[Array, "..."] = jax.nn.sigmoid(t * self.gate[...] + self.gate_bias[...])
        return out * gate + t * self.time_bias[...]
