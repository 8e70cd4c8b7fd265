"""The order of an epoch: which images make up each batch. For use inside or outside jit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

Table = tuple[Int[Array, "steps batch"], Float[Array, "steps batch"]]
"""Positions of images, and their weights: 1, or 0 where the last batch is padded by images used
before.
"""


def steps_per_epoch(count: int, batch_size: int, *, drop_last: bool = False) -> int:
    """Batches that hold `count` images, the last perhaps in part; or only those that are full."""
    return count // batch_size if drop_last else -(-count // batch_size)


def epoch_order(
    key: PRNGKeyArray, count: int, batch_size: int, *, drop_last: bool = False
) -> Table:
    """Every image exactly once with weight 1, shuffled.

    With `drop_last`, the images at the end of the order that fill no batch are left out.
    """
    order = jax.random.permutation(key, count)
    if drop_last:
        order = order[: count - count % batch_size]
    return _batches(order, batch_size)


def sequential_order(count: int, batch_size: int) -> Table:
    """Every image exactly once with weight 1, in the order stored."""
    return _batches(jnp.arange(count), batch_size)


def _batches(order: Int[Array, " count"], batch_size: int) -> Table:
    count = order.shape[0]
    steps = steps_per_epoch(count, batch_size)
    places = jnp.arange(steps * batch_size)
    indices = order[places % count].astype(jnp.int32)
    weights = (places < count).astype(jnp.float32)
    return indices.reshape(steps, batch_size), weights.reshape(steps, batch_size)
