"""Dropout whose masks depend on an example's own key."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool

from jaxode.types import Activations, Training


class Dropout(nnx.Module):
    """Inverted dropout: numbers become zero with probability `rate`.

    Source: Srivastava et al. 2014, "Dropout", section 10.

    Those that stay are divided by 1 - rate. An image's mask is a function of its own key and of the
    layer's index alone, not of the batch that it is in. Evaluation drops nothing.
    """

    def __init__(self, rate: float, index: int) -> None:
        """`rate` is in [0, 1); `index` differs between a model's layers, and so do their masks."""
        self.rate, self.index = rate, index

    def __call__(self, x: Activations, training: Training | None = None) -> Activations:
        """Drop, if told that this is training."""
        if training is None or self.rate == 0:
            return x

        def mask(key: jax.Array) -> Bool[Array, "*pixels C"]:
            return jax.random.bernoulli(
                jax.random.fold_in(key, self.index), 1 - self.rate, x.shape[1:]
            )

        return jnp.where(jax.vmap(mask)(training.keys), x / (1 - self.rate), 0)
