"""Norms of a state, by which steps are accepted."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optimistix
from jaxtyping import Array, Float, PyTree


def rms_norm(state: PyTree[Float[Array, "..."]]) -> Float[Array, ""]:
    """Root of the mean square of all numbers of a state.

    Optimistix's norm, also of arrays whose batch size is a symbol, as in an exported program.
    """
    size = sum(leaf.size for leaf in jax.tree.leaves(state))
    if isinstance(size, int):
        return optimistix.rms_norm(state)
    norm = optimistix.two_norm(state)
    return norm / jnp.sqrt(jnp.asarray(size, norm.dtype))


def largest_rms_norm(state: PyTree[Float[Array, "..."]]) -> Float[Array, ""]:
    """The largest RMS of a state's parts: torchdiffeq's norm of a tuple, and of a tensor."""
    parts = [rms_norm(leaf) for leaf in jax.tree.leaves(state) if leaf.size]
    return parts[0] if len(parts) == 1 else jnp.max(jnp.stack(parts))


def product(a: PyTree[Float[Array, "..."]], b: PyTree[Float[Array, "..."]]) -> Float[Array, ""]:
    """Sum of the products of all numbers of two states."""
    parts = [(x * y).sum() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return jnp.stack(parts).sum()
