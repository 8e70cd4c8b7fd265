"""Random numbers of 32 bits from a key, equal in float32 and in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


def numbers(key: PRNGKeyArray, count: int) -> Float[Array, " {count}"]:
    """Uniform in [0, 1)."""
    return jax.random.uniform(key, (count,), jnp.float32)


def between(number: Float[Array, "*S"], low: float, high: float) -> Float[Array, "*S"]:
    """Uniform in [low, high), from one that is uniform in [0, 1)."""
    return low + number * jnp.float32(high - low)


def below(number: Float[Array, "*S"], count: Int[Array, "*S"] | int) -> Int[Array, "*S"]:
    """A whole number of 0 to count - 1, each equally likely, from one that is uniform in [0, 1).

    The largest number drawn is 1 - 2⁻²³, and times any count its product still rounds to less than
    the count.
    """
    return jnp.floor(number * jnp.asarray(count, jnp.float32)).astype(jnp.int32)


def chosen(key: PRNGKeyArray, probability: float) -> Bool[Array, ""]:
    """Whether something of that probability happens."""
    return numbers(key, 1)[0] < jnp.float32(probability)
