"""The order of an epoch: which images make up each batch. For use inside or outside jit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

Table = tuple[Int[Array, "steps batch"], Float[Array, "steps batch"]]
"""Positions of images, and their weights: 1, or 0 where the last batch is padded by images used
before.
"""
HostTable = tuple[Int[np.ndarray, "steps batch"], Float[np.ndarray, "steps batch"]]
"""The same in NumPy: nothing is compiled for an order that is known beforehand."""


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
    places, weights = sequential_order(order.shape[0], batch_size)
    return order[places].astype(jnp.int32), jnp.asarray(weights)


def sequential_order(count: int, batch_size: int) -> HostTable:
    """Every image exactly once with weight 1, in the order stored."""
    shape = steps_per_epoch(count, batch_size), batch_size
    places = np.arange(shape[0] * batch_size)
    indices = (places % count).astype(np.int32)
    return indices.reshape(shape), (places < count).astype(np.float32).reshape(shape)
