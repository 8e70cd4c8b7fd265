"""Arrays with an axis of output times: one of them read or written, at an index of each sample."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from jaxode.ode.buffers import Buffers, Values, select
from jaxode.types import Counts, Flags


def spread_flags(flags: Bool[Array, "T *_"], leaf: Float[Array, "..."]) -> Bool[Array, "T ..."]:
    """Flags [T] or [T, B] that broadcast against [T, *leaf.shape]."""
    return flags.reshape(flags.shape + (1,) * (leaf.ndim + 1 - flags.ndim))


def take(buffers: Buffers, place: Counts) -> Values:
    """Values [T, ...] at an index, or [T, B, ...] at an index of each sample."""
    if not place.ndim:
        return jax.tree.map(
            lambda b: lax.dynamic_index_in_dim(b, place, 0, keepdims=False), buffers
        )
    samples = jnp.arange(place.shape[0])
    return jax.tree.map(lambda b: b[place, samples], buffers)


def write_where(buffers: Buffers, values: Values, place: Counts, now: Flags) -> Buffers:
    """Buffers with values at an index, or at an index of each sample, where `now` is true."""
    values = select(now, values, take(buffers, place))
    if not place.ndim:
        return jax.tree.map(
            lambda b, v: lax.dynamic_update_index_in_dim(b, v, place, 0), buffers, values
        )
    samples = jnp.arange(place.shape[0])
    return jax.tree.map(lambda b, v: b.at[place, samples].set(v), buffers, values)


def products(a: Buffers, b: Buffers, axes: int) -> Float[Array, "T *samples"]:
    """Sums of products over all but the first axes, over all leaves."""
    parts = [
        (x * y).sum(tuple(range(axes, x.ndim)))
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    ]
    return jnp.stack(parts).sum(0)
