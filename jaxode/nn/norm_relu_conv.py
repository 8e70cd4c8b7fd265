"""Pre-activation layers with time, which fields of one's own are made of."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxode.checks import require_count
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import GroupNorm, TimeConv
from jaxode.nn.pre_activation import pre_activations
from jaxode.types import Maps, Time


class NormReluConv(nnx.Module):
    """Group norm · ReLU · 3x3 convolution of a channel of times and the maps, once or more often.

    What `GroupNorm`, a ReLU and `TimeConv` compute one after the other. On a CPU two layers and
    the norm after them are one native call, which reads and writes the maps once: a field of
    `NormReluConv(width, layers=2, norm=True)` has the speed of the built-in `ConvField`.

    Args:
      width: C, channels of the state.
      layers: number of norms, ReLUs and convolutions, 1 or more.
      norm: whether a group norm follows the last convolution.
      kernels: convolution, group norm and their fused chain; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: `layers` is not a whole number from 1.

    Example:
      A vector field of one's own, solved as a layer:

      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import NormReluConv, ODEBlock
      >>> class Field(nnx.Module):
      ...     def __init__(self, rngs):
      ...         self.layers = NormReluConv(16, layers=2, norm=True, rngs=rngs)
      ...     def __call__(self, t, z):
      ...         return self.layers(t, z) - z
      >>> z, stats = jax.jit(ODEBlock(Field(nnx.Rngs(0))))(jnp.ones((2, 8, 8, 16)))
      >>> z.shape
      (2, 8, 8, 16)
    """

    def __init__(
        self,
        width: int,
        layers: int = 1,
        *,
        norm: bool = False,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        require_count("layers", layers)
        kernels = kernels or choose_kernels()
        self.chain = kernels.chain
        self.norms = nnx.List(
            [GroupNorm(width, kernels=kernels, dtype=dtype) for _ in range(layers + norm)]
        )
        self.convs = nnx.List(
            [TimeConv(width, kernels=kernels, rngs=rngs, dtype=dtype) for _ in range(layers)]
        )

    def __call__(self, t: Time | float, z: Maps) -> Maps:
        """[B, H, W, C] → [B, H, W, C] at time t, a scalar or [B, 1, 1, 1]."""
        layers = list(zip(self.norms, self.convs, strict=False))
        last = self.norms[-1] if len(self.norms) > len(layers) else None
        return pre_activations(self.chain, t, z, layers, last)
