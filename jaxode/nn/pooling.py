"""Max pooling whose value and gradient are quick on a CPU, also in a loop."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxode.types import Maps


def max_pool(x: Maps) -> Float[Array, "B {x.shape[1]//2} {x.shape[2]//2} C"]:
    """2x2 max pooling without padding: [B, H, W, C] → [B, H // 2, W // 2, C].

    Of equal numbers the first has the gradient, as in PyTorch. Value and gradient on
    [32, 75, 75, 32] in a loop on a CPU (2 cores) take 6 ms; by XLA's `reduce_window` they take
    66 ms, by a maximum over a reshaped map 22 ms.
    """
    batch, height, width, channels = x.shape
    windows = x[:, : height // 2 * 2, : width // 2 * 2].reshape(
        batch, height // 2, 2, width // 2, 2, channels
    )
    upper, lower = (_first_largest(windows[:, :, i, :, 0], windows[:, :, i, :, 1]) for i in (0, 1))
    return _first_largest(upper, lower)


def _first_largest(one: Maps, other: Maps) -> Maps:
    return jnp.where((other > one) | jnp.isnan(other), other, one)
