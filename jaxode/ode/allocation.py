"""Memory of a solve that is written before it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import lax

Allocator = Callable[[jax.ShapeDtypeStruct], Any]
"""Shape and type → an array of them with any content."""

_ALLOCATORS: dict[str, Allocator] = {}


def register(platform: str, allocator: Allocator) -> None:
    """Have a platform's uninitialised arrays made by `allocator`.

    On a CPU, XLA would fill them with zeros.
    """
    _ALLOCATORS[platform] = allocator


def uninitialized(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array with no defined content.

    On a mesh of several devices XLA makes it, for it knows how to share it out among them.
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
