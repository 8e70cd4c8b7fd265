"""Memory of a solve that is written before it is read."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jax import lax
from jaxtyping import Array, DTypeLike, Shaped

Allocator = Callable[[jax.ShapeDtypeStruct], Array]
"""Shape and type → an array of them with any content."""

_ALLOCATORS: dict[str, Allocator] = {}


def register(platform: str, allocator: Allocator) -> None:
    """Have a platform's uninitialised arrays made by `allocator`.

    On a CPU, XLA would fill them with zeros.

    Args:
      platform: JAX's name, "cpu" say.
      allocator: replaces the platform's earlier one.
    """
    _ALLOCATORS[platform] = allocator


def uninitialized(shape: tuple[int, ...], dtype: DTypeLike) -> Shaped[Array, "..."]:
    """An array with no defined content.

    On a mesh of several devices XLA makes it, for it knows how to share it out among them.

    Args:
      shape: of the array.
      dtype: its type.
    """
    if jax.sharding.get_abstract_mesh().size > 1:
        return lax.empty(shape, dtype)
    like = jax.ShapeDtypeStruct(shape, dtype)
    own = {
        platform: lambda allocate=allocate: allocate(like)
        for platform, allocate in _ALLOCATORS.items()
    }
    return (
        lax.platform_dependent(default=lambda: lax.empty(shape, dtype), **own)
        if own
        else lax.empty(shape, dtype)
    )
