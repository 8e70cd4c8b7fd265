"""Vector fields f(t, z) for ODE blocks."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import GroupNorm, Linear, TimeConv
from jaxode.nn.pre_activation import pre_activations
from jaxode.types import Maps, Time


class ConvField(nnx.Module):
    """norm · ReLU · conv with time · norm · ReLU · conv with time · norm.

    Source: Chen et al. 2018, section 3; `odenet_mnist.py` of torchdiffeq.

    Args:
      width: C, channels of the state.
      kernels: convolution and group norm; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import ConvField
      >>> ConvField(16, rngs=nnx.Rngs(0))(0.5, jnp.ones((2, 8, 8, 16))).shape
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
        self.norm1 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv1 = TimeConv(width, kernels=kernels, rngs=rngs, dtype=dtype)
        self.norm2 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv2 = TimeConv(width, kernels=kernels, rngs=rngs, dtype=dtype)
        self.norm3 = GroupNorm(width, kernels=kernels, dtype=dtype)

    def __call__(self, t: Time | float, z: Maps) -> Maps:
        """dz/dt.

        Args:
          t: time, a scalar or [B, 1, 1, 1].
          z: state [B, H, W, C].

        Returns:
          The derivative [B, H, W, C].
        """
        layers = [(self.norm1, self.conv1), (self.norm2, self.conv2)]
        return pre_activations(self.chain, t, z, layers, self.norm3)


class DenseField(nnx.Module):
    """linear · tanh · linear · tanh · linear on (t, z), for states of low dimension.

    A smooth variant of the fields in Dupont, Doucet and Teh 2019, "Augmented Neural ODEs".

    Args:
      size: D, dimension of the state.
      hidden: units of each of the two hidden layers.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(self, size: int, hidden: int, *, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.linear1 = Linear(1 + size, hidden, rngs=rngs, dtype=dtype)
        self.linear2 = Linear(hidden, hidden, rngs=rngs, dtype=dtype)
        self.linear3 = Linear(hidden, size, rngs=rngs, dtype=dtype)

    def __call__(self, t: Time | float, z: Float[Array, "B D"]) -> Float[Array, "B D"]:
        """dz/dt at time t (a scalar), shaped as z."""
        clock = jnp.broadcast_to(t, (len(z), 1)).astype(z.dtype)
        out = jnp.tanh(self.linear1(jnp.concatenate([clock, z], 1)))
        return self.linear3(jnp.tanh(self.linear2(out)))
