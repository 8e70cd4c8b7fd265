"""The last map of a chain of blocks to logits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.nn.kernels import Kernels
from jaxode.nn.layers import GroupNorm, Linear
from jaxode.types import Logits, Maps


class Head(nnx.Module):
    """norm · ReLU · mean over the pixels · linear: [B, H, W, width] → [B, classes]."""

    def __init__(
        self, width: int, classes: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: jnp.dtype
    ) -> None:
        """Maps of `width` channels to scores of `classes` classes."""
        self.norm = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.linear = Linear(width, classes, rngs=rngs, dtype=dtype)

    def __call__(self, z: Maps) -> Logits:
        """Unnormalised log-probabilities of the classes."""
        return self.linear(jax.nn.relu(self.norm(z)).mean((1, 2)))
