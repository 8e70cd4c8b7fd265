"""Attention of Flax in float64 throughout."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

SOFTMAX = (
    "the softmax of nnx.MultiHeadAttention, which JAX computes in float32, was computed in float64"
)


class _NoIntermediates:
    """Stands for a module that keeps nothing of its attention weights."""

    def sow(self, *_: Any) -> bool:
        return False


def _attention_with_weights(*args: Any, module: Any = None, **options: Any) -> jax.Array:
    module = _NoIntermediates() if module is None else module
    return nnx.dot_product_attention(*args, module=module, **options)


def widen_attention(root: nnx.Module) -> bool:
    """Have the attention of a module computed in float64 throughout; whether there is any.

    Flax calls `jax.nn.dot_product_attention`, whose softmax is always in float32, unless the
    weights are asked for.

    Args:
      root: its attention layers are changed.
    """
    found = False
    for _, module in nnx.iter_modules(root):
        each: Any = module
        if vars(each).get("attention_fn") is nnx.dot_product_attention:
            each.attention_fn = _attention_with_weights
            found = True
    return found
