"""The downsampling segment as one native call.

Its widest maps are never in memory for a whole batch.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxode.nn import downsampling as matrix_products
from jaxode.nn.convolution import matmul_any_mode
from jaxode.nn.downsampling import Segment
from jaxode.nn.native.calls import Arguments, Attributes, Handler, call
from jaxode.nn.native.derivatives import differentiable, with_derivatives
from jaxode.nn.native.limits import accepts_map, are_float32
from jaxode.nn.normalization import group_norm_any_mode
from jaxode.types import Images, Maps

Saved = tuple[Images, Segment, Maps, Float[Array, ""] | None]
"""Images, parameters, the second convolution's output; None unless the images have a gradient."""

Settings = tuple[int, float]
"""Groups of the norms, and what is added to a variance."""


def fits(images: Images, segment: Segment) -> bool:
    """Whether the native kernels can take it."""
    height, width, channels = images.shape[1:]
    return (
        min(height, width) >= 6
        and 1 <= channels <= 1024
        and accepts_map(height, width, segment.first.shape[3])
        and are_float32((images, *segment))
    )


def downsampling(images: Images, segment: Segment, groups: int, eps: float) -> Maps:
    """As `jaxode.nn.downsampling.downsampling`, native where it can be."""
    if fits(images, segment):
        return _segment((groups, eps), images, segment)
    return matrix_products.downsampling(images, segment, groups, eps)


def reference(settings: Settings, images: Images, segment: Segment) -> tuple[Maps, Maps]:
    """The segment's output and its second convolution in XLA's operations.

    They have every derivative, in any type.
    """
    out = matmul_any_mode(images, segment.first, 1, 0) + segment.first_shift
    out = jax.nn.relu(group_norm_any_mode(out, segment.first_scale, segment.first_bias, *settings))
    middle = matmul_any_mode(out, segment.second, 2, 1) + segment.second_shift
    out = jax.nn.relu(
        group_norm_any_mode(middle, segment.second_scale, segment.second_bias, *settings)
    )
    return matmul_any_mode(out, segment.third, 2, 1) + segment.third_shift, middle


def _attributes(settings: Settings, segment: Segment, **more: bool) -> Attributes:
    width, (groups, eps) = segment.first.shape[3], settings
    named = {"width": np.int64(width), "groups": np.int64(groups), "eps": np.float32(eps), **more}
    return tuple(named.items())


def _values(static: tuple[Settings, bool], arrays: tuple[Images, Segment]) -> list[Maps]:
    (settings, keep), (images, segment) = static, arrays
    width = segment.first.shape[3]
    middle = tuple((extent - 4) // 2 + 1 for extent in images.shape[1:3])
    last = tuple((extent - 2) // 2 + 1 for extent in middle)
    results = ((*last, width), (*middle, width))[: 1 + keep]
    handler = Handler("segment", _attributes(settings, segment, keep=keep), results)
    return list(call(handler, Arguments(None, (images,), tuple(segment))).images)


def _reference_values(static: tuple[Settings, bool], arrays: tuple[Images, Segment]) -> list[Maps]:
    return list(reference(static[0], *arrays))[: 1 + static[1]]


_forward_call = with_derivatives(_values, _reference_values)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _segment(settings: Settings, images: Images, segment: Segment) -> Maps:
    return _forward_call((settings, False), (images, segment))[0]


def _forward(settings: Settings, images: Any, segment: Any) -> tuple[Maps, Saved]:
    """Whether the gradient with respect to the images is asked for.

    Training does not need it, and it would cost.
    """
    asked = images.perturbed
    images, segment = (
        images.value,
        jax.tree.map(
            lambda leaf: leaf.value, segment, is_leaf=lambda leaf: hasattr(leaf, "perturbed")
        ),
    )
    out, middle = _forward_call((settings, True), (images, segment))
    return out, (images, segment, middle, jnp.zeros(()) if asked else None)


def _call_gradient(settings: Settings, saved: Saved, slope: Maps) -> tuple[Images, Segment]:
    images, segment, middle, asked = saved
    to_images = asked is not None
    exchanged = segment._replace(
        second=segment.second.transpose(0, 1, 3, 2), third=segment.third.transpose(0, 1, 3, 2)
    )
    shared = [
        value
        for name, value in exchanged._asdict().items()
        if name not in ("second_shift", "third_shift")
    ]
    handler = Handler(
        "segment_gradient",
        _attributes(settings, segment, to_images=to_images),
        (images.shape[1:],) * to_images,
        tuple(array.shape for array in segment),
    )
    found = call(handler, Arguments(None, (images, middle, slope), tuple(shared)))
    return found.images[0] if to_images else jnp.zeros_like(images), Segment(
        *(array[0] for array in found.sums)
    )


def _reference_gradient(settings: Settings, saved: Saved, slope: Maps) -> tuple[Images, Segment]:
    def function(images: Images, segment: Segment) -> Maps:
        return reference(settings, images, segment)[0]

    return jax.vjp(function, *saved[:2])[1](slope)  # type: ignore[return-value]


_gradient = differentiable(_call_gradient, _reference_gradient)


def _backward(settings: Settings, saved: Saved, slope: Any) -> tuple[Images, Segment]:
    if isinstance(slope, jax.custom_derivatives.SymbolicZero):
        slope = jnp.zeros(slope.shape, saved[0].dtype)
    return _gradient(settings, saved, slope)


_segment.defvjp(_forward, _backward, symbolic_zeros=True)
