"""The downsampling segment as one native call: the widest maps are never in memory for a whole batch."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxode.nn import downsampling as matrix_products
from jaxode.nn.downsampling import Segment
from jaxode.nn.native.loading import PREFIX
from jaxode.types import Images, Maps


def fits(images: Images, segment: Segment) -> bool:
    """Whether the native kernels can take it."""
    width = segment.first.shape[3]
    return (
        images.dtype == np.float32 and width % 8 == 0 and min(images.shape[1:3]) >= 6 and 1 <= images.shape[3] <= 1024
    )


def downsampling(images: Images, segment: Segment, groups: int, eps: float) -> Maps:
    """As `jaxode.nn.downsampling.downsampling`, native where it can be."""
    if fits(images, segment):
        return _segment(groups, eps, images, segment)
    return matrix_products.downsampling(images, segment, groups, eps)


def _shapes(images: Images, width: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Of the second convolution's output and of the third's."""
    middle = [(extent - 4) // 2 + 1 for extent in images.shape[1:3]]
    last = [(extent - 2) // 2 + 1 for extent in middle]
    return tuple(jax.ShapeDtypeStruct((images.shape[0], *size, width), images.dtype) for size in (middle, last))  # type: ignore[return-value]


def _attributes(groups: int, eps: float, segment: Segment) -> dict[str, Any]:
    return {"width": np.int64(segment.first.shape[3]), "groups": np.int64(groups), "eps": np.float32(eps)}


def _call(groups: int, eps: float, images: Images, segment: Segment, keep: bool) -> list[Maps]:
    middle, last = _shapes(images, segment.first.shape[3])
    results = (last, middle) if keep else (last,)
    call = jax.ffi.ffi_call(f"{PREFIX}segment", results, vmap_method="sequential")
    return list(call(images, *segment, keep=keep, **_attributes(groups, eps, segment)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _segment(groups: int, eps: float, images: Images, segment: Segment) -> Maps:
    return _call(groups, eps, images, segment, False)[0]


def _forward(groups: int, eps: float, images: Any, segment: Any) -> tuple[Maps, Any]:
    """Whether anybody asks for the images' gradient is known here: training does not, and it would cost."""
    asked = images.perturbed
    images, segment = (
        images.value,
        jax.tree.map(lambda leaf: leaf.value, segment, is_leaf=lambda leaf: hasattr(leaf, "perturbed")),
    )
    out, middle = _call(groups, eps, images, segment, True)
    return out, (images, segment, middle, jnp.zeros(()) if asked else None)


def _backward(groups: int, eps: float, saved: Any, slope: Any) -> tuple[Any, Segment]:
    images, segment, middle, asked = saved
    if isinstance(slope, jax.custom_derivatives.SymbolicZero):
        slope = jnp.zeros(slope.shape, images.dtype)
    to_images = asked is not None
    to_segment = [jax.ShapeDtypeStruct(each.shape, each.dtype) for each in segment]
    results = [jax.ShapeDtypeStruct(images.shape, images.dtype)] * to_images + to_segment
    exchanged = segment._replace(second=segment.second.transpose(0, 1, 3, 2), third=segment.third.transpose(0, 1, 3, 2))
    parameters = [value for name, value in exchanged._asdict().items() if name not in ("second_shift", "third_shift")]
    call = jax.ffi.ffi_call(f"{PREFIX}segment_gradient", tuple(results), vmap_method="sequential")
    found = call(images, *parameters, middle, slope, to_images=to_images, **_attributes(groups, eps, segment))
    return (found[0] if to_images else jnp.zeros_like(images)), Segment(*found[to_images:])


_segment.defvjp(_forward, _backward, symbolic_zeros=True)
