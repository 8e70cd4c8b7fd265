"""A pre-activation layer with time, which fields of one's own are made of: one kernel on a CPU."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxode.nn.fields import pre_activation
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import NORM_EPS, GroupNorm, TimeConv
from jaxode.nn.native import chain
from jaxode.types import Maps, Time


class NormReluConv(nnx.Module):
    """Group norm · ReLU · 3x3 convolution of a channel of times and the maps.

    What `GroupNorm`, a ReLU and `TimeConv` compute one after the other; the native kernels compute
    it in one pass over the maps.

    Args:
      width: C, channels of the state.
      kernels: convolution, group norm and their fused chain; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      A vector field of one's own, solved as a layer:

      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import GroupNorm, NormReluConv, ODEBlock
      >>> class Field(nnx.Module):
      ...     def __init__(self, rngs):
      ...         self.layer, self.norm = NormReluConv(16, rngs=rngs), GroupNorm(16)
      ...     def __call__(self, t, z):
      ...         return self.norm(self.layer(t, z)) - z
      >>> z, stats = ODEBlock(Field(nnx.Rngs(0)))(jnp.ones((2, 8, 8, 16)))
      >>> z.shape
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
        kernels = kernels or choose_kernels()
        self.chain = kernels.chain
        self.norm = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv = TimeConv(width, kernels=kernels, rngs=rngs, dtype=dtype)

    def __call__(self, t: Time | float, z: Maps) -> Maps:
        """[B, H, W, C] → [B, H, W, C] at time t, a scalar or [B, 1, 1, 1]."""
        if self.chain is not None:
            units = (pre_activation(self.norm, self.conv),)
            times = jnp.asarray(t, z.dtype).reshape(-1)  # a scalar, or [B, 1, 1, 1]
            if chain.fits(times, z, units, None):
                settings = chain.Settings(self.norm.groups, NORM_EPS, residual=False)
                return self.chain(times, z, units, None, settings)
        return self.conv(t, jax.nn.relu(self.norm(z)))
