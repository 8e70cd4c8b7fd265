"""Dropout with one random key for each example."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Key

from jaxode.types import Activations, Training


class Dropout(nnx.Module):
    """Inverted dropout: zeros with probability `rate`, other numbers divided by 1 - rate.

    Source: Srivastava et al. 2014, "Dropout", section 10.

    An example's mask depends on its key and the layer's index alone, not on its batch. Evaluation
    drops nothing.

    Args:
      rate: in [0, 1).
      index: of the layer in its model; layers of different index have different masks.
    """

    def __init__(self, rate: float, index: int) -> None:
        self.rate, self.index = rate, index

    def __call__(self, x: Activations, training: Training | None = None) -> Activations:
        """x, [B, …, C]; with the keys of `training`, numbers are dropped."""
        if training is None or self.rate == 0:
            return x

        def mask(key: Key[Array, ""]) -> Bool[Array, "*pixels C"]:
            return jax.random.bernoulli(
                jax.random.fold_in(key, self.index), 1 - self.rate, x.shape[1:]
            )

        return jnp.where(jax.vmap(mask)(training.keys), x / (1 - self.rate), 0)
