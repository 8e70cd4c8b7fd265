"""Vector fields f(t, z) for ODE blocks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.nn.kernels import Kernels
from jaxode.nn.layers import GroupNorm, TimeConv
from jaxode.types import Maps, Time


class ConvField(nnx.Module):
    """norm · ReLU · time-concatenated convolution · norm · ReLU · time-concatenated convolution · norm.

    The ODE function of Chen et al. (2018), section 3, as in the `odenet_mnist.py` example of torchdiffeq.
    """

    def __init__(self, width: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: jnp.dtype) -> None:
        """A field on maps of `width` channels."""
        self.norm1 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv1 = TimeConv(width, kernels=kernels, rngs=rngs, dtype=dtype)
        self.norm2 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv2 = TimeConv(width, kernels=kernels, rngs=rngs, dtype=dtype)
        self.norm3 = GroupNorm(width, kernels=kernels, dtype=dtype)

    def __call__(self, t: Time, z: Maps) -> Maps:
        """dz/dt at time t, shaped as z: [B, H, W, C]."""
        out = self.conv1(t, jax.nn.relu(self.norm1(z)))
        out = self.conv2(t, jax.nn.relu(self.norm2(out)))
        return self.norm3(out)
