"""Counts from which accuracies are made: whole numbers, so that padding and batching cannot change them."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def correct_count(logits: Float[Array, "B K"], labels: Int[Array, " B"], weights: Float[Array, " B"]) -> Int[Array, ""]:
    """How many images of weight above 0 have their largest logit at their label."""
    hits = (jnp.argmax(logits, axis=-1) == labels) & (weights > 0)
    return jnp.sum(hits, dtype=jnp.int32)


def image_count(weights: Float[Array, " B"]) -> Int[Array, ""]:
    """How many images have a weight above 0."""
    return jnp.sum(weights > 0, dtype=jnp.int32)
