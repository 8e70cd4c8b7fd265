"""The last map of a chain of blocks to logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import GroupNorm, Linear
from jaxode.types import Logits, Maps


class Head(nnx.Module):
    """norm · ReLU · mean over the pixels · linear: [B, H, W, width] → [B, classes].

    Source: Chen et al. 2018; `odenet_mnist.py` of torchdiffeq.

    Args:
      width: channels of the maps.
      classes: K, number of logits.
      kernels: convolution and group norm; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import Head
      >>> Head(16, 10, rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 16))).shape
      (2, 10)
    """

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        kernels = kernels or choose_kernels()
        self.norm = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.linear = Linear(width, classes, rngs=rngs, dtype=dtype)

    def __call__(self, z: Maps) -> Logits:
        """Logits [B, K] of maps [B, H, W, width]."""
        return self.linear(jax.nn.relu(self.norm(z)).mean((1, 2)))
