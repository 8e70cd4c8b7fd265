"""Preallocated buffers of a loop, and arrays with one number for each sample."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, PyTree, Shaped

from jaxode.ode.allocation import uninitialized
from jaxode.types import Flags, IntScalar, State, Time, Times

Buffers = PyTree[Shaped[Array, "length ?*value"], "Values"]
"""`length` values of a pytree, stacked leaf by leaf."""

Values = PyTree[Shaped[Array, "?*value"], "Values"]
"""One value of `Buffers`."""

Like = PyTree[Array | jax.ShapeDtypeStruct]
"""A pytree of arrays, or of their shapes and types."""


def spread(values: Shaped[Array, "*samples"], leaf: Shaped[Array, "..."]) -> Shaped[Array, "..."]:
    """Numbers of samples, shaped so that they broadcast against a leaf of the state.

    Args:
      values: one number [], or one for each sample [B].
      leaf: an array [...], or [B, ...].

    Returns:
      `values` as [], or as [B, 1, …, 1].
    """
    return values.reshape(values.shape + (1,) * (leaf.ndim - 1)) if values.ndim else values


def broadcast_time(t: Times, z: State) -> Time:
    """Times of samples as the field receives them: [], or [B, 1, …, 1] for a state [B, ...]."""
    return spread(t, jax.tree.leaves(z)[0])


def select(condition: Flags, new: Values, old: Values, axis: int = 0) -> Values:
    """`new` where the condition of a sample is true, else `old`.

    Args:
      condition: one truth value [], or one for each sample [B].
      new: pytree of arrays.
      old: the same, of the same shapes.
      axis: the samples' axis of the arrays, 0 or 1.
    """

    def leaf(a: Shaped[Array, "*value"], b: Shaped[Array, "*value"]) -> Shaped[Array, "*value"]:
        return jnp.where(spread(condition, a[0] if axis else a), a, b)

    return jax.tree.map(leaf, new, old)


def write(buffers: Buffers, values: Values, index: IntScalar) -> Buffers:
    """Buffers with `values` at an index; XLA does this in place where it owns the buffers."""
    return jax.tree.map(
        lambda b, v: lax.dynamic_update_index_in_dim(b, v, index, 0), buffers, values
    )


def read(buffers: Buffers, index: IntScalar) -> Values:
    """The values at an index of the buffers."""
    return jax.tree.map(lambda b: lax.dynamic_index_in_dim(b, index, 0, keepdims=False), buffers)


def allocate(length: int, like: Like) -> Buffers:
    """Buffers for `length` values of these shapes and types, with no defined content."""
    return jax.tree.map(lambda leaf: uninitialized((length, *leaf.shape), leaf.dtype), like)


def zeros(length: int, like: Like) -> Buffers:
    """Buffers for `length` values of these shapes and types, filled with zeros."""
    return jax.tree.map(lambda leaf: jnp.zeros((length, *leaf.shape), leaf.dtype), like)
