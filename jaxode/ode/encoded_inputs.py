"""Integers, bools and random keys as floating-point numbers, and back without loss.

Diffrax's backsolve takes inputs of floating point only, and a field may close over no array that is
being traced. A byte is exact in every floating-point type.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Shaped

from jaxode.types import Args


class Encoded(NamedTuple):
    """Inputs without a gradient, taken apart. Both parts have None for what is in the other.

    Attributes:
      numbers: the arrays that are being traced, as floating-point numbers.
      others: the rest, as it was.
      like: what was encoded, for the types of the arrays.
    """

    numbers: Args
    others: Args
    like: Args

    def decoded(self, numbers: Args) -> Args:
        """The arrays that `numbers`, as those of the encoding, stand for; None for the rest."""
        leaves, tree = jax.tree.flatten(self.like)
        pairs = zip(tree.flatten_up_to(numbers), leaves, strict=True)
        return jax.tree.unflatten(tree, [n if n is None else _array(n, leaf) for n, leaf in pairs])


def encode(args: Args, dtype: np.dtype) -> Encoded:
    """Take inputs without a gradient apart; `dtype` is that of the numbers."""
    leaves, tree = jax.tree.flatten(args)
    numbers = [_bytes(x).astype(dtype) if isinstance(x, Tracer) else None for x in leaves]
    others = [None if isinstance(x, Tracer) else x for x in leaves]
    return Encoded(jax.tree.unflatten(tree, numbers), jax.tree.unflatten(tree, others), args)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _bytes(leaf: Any) -> Shaped[Array, "..."]:
    if _is_key(leaf):
        leaf = jax.random.key_data(leaf)
    if leaf.dtype == jnp.bool_:
        return leaf.astype(jnp.uint8)
    return lax.bitcast_convert_type(leaf, jnp.uint8)


def _array(numbers: Float[Array, "..."], like: Any) -> Array:
    found = lax.stop_gradient(numbers).astype(jnp.uint8)
    if like.dtype == jnp.bool_:
        return found.astype(jnp.bool_)
    if _is_key(like):
        words = lax.bitcast_convert_type(found, jnp.uint32)
        return jax.random.wrap_key_data(words, impl=jax.random.key_impl(like))
    return lax.bitcast_convert_type(found, like.dtype)
