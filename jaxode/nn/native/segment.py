"""The downsampling segment as one native call, whose widest maps exist for one image at a time."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import (
    CustomVJPPrimal,
    SymbolicZero,
    custom_vjp_primal_tree_values,
)
from jaxtyping import Array, Float

from jaxode.nn import downsampling as matrix_products
from jaxode.nn.convolution import matmul_any_mode
from jaxode.nn.downsampling import Last, Outputs, Segment
from jaxode.nn.first_convolution import Images
from jaxode.nn.native.calls import Arguments, Attributes, Handler, call
from jaxode.nn.native.derivatives import differentiable, with_derivatives
from jaxode.nn.native.limits import accepts_map, are_float32
from jaxode.nn.normalization import group_norm_any_mode

Saved = tuple[Images, Segment, Outputs, Float[Array, ""] | None]
"""Images, parameters, second convolution's output; a number if the images have a gradient."""

Output = Float[Array, "B _ _ _"]
"""Maps of any size: the segment's, or its second convolution's."""

Settings = tuple[int, float]
"""Groups of the norms, and what is added to a variance."""


def fits(images: Images, segment: Segment) -> bool:
    """Whether images and parameters can be the arguments of the native kernel."""
    height, width, channels = images.shape[1:]
    return (
        min(height, width) >= 6
        and 1 <= channels <= 1024
        and accepts_map(height, width, segment.first.shape[3])
        and are_float32((images, *segment))
    )


def downsampling(images: Images, segment: Segment, groups: int, eps: float) -> Outputs:
    """`jaxode.nn.downsampling.downsampling`, by a native kernel if it fits."""
    if fits(images, segment):
        return _segment((groups, eps), images, segment)
    return matrix_products.downsampling(images, segment, groups, eps)


def reference(settings: Settings, images: Images, segment: Segment) -> tuple[Last, Outputs]:
    """Outputs of the segment and of its second convolution in XLA's operations.

    They have derivatives of every kind and type.
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


def _values(static: tuple[Settings, bool], arrays: tuple[Images, Segment]) -> list[Output]:
    (settings, keep), (images, segment) = static, arrays
    width = segment.first.shape[3]
    middle = tuple((extent - 4) // 2 + 1 for extent in images.shape[1:3])
    last = tuple((extent - 2) // 2 + 1 for extent in middle)
    results = ((*last, width), (*middle, width))[: 1 + keep]
    handler = Handler("segment", _attributes(settings, segment, keep=keep), results)
    return list(call(handler, Arguments(None, (images,), tuple(segment))).images)


def _reference_values(
    static: tuple[Settings, bool], arrays: tuple[Images, Segment]
) -> list[Output]:
    return list(reference(static[0], *arrays))[: 1 + static[1]]


_forward_call = with_derivatives(_values, _reference_values)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _segment(settings: Settings, images: Images, segment: Segment) -> Outputs:
    return _forward_call((settings, False), (images, segment))[0]


def _forward(settings: Settings, images: CustomVJPPrimal, segment: Segment) -> tuple[Last, Saved]:
    """Output and residuals; both arguments have CustomVJPPrimal in place of arrays.

    The images' gradient is expensive, and training does not need it.
    """
    values, parameters = custom_vjp_primal_tree_values((images, segment))
    out, middle = _forward_call((settings, True), (values, parameters))
    return out, (values, parameters, middle, jnp.zeros(()) if images.perturbed else None)


def _call_gradient(settings: Settings, saved: Saved, slope: Last) -> tuple[Images, Segment]:
    images, segment, middle, perturbed = saved
    to_images = perturbed is not None
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
    results = call(handler, Arguments(None, (images, middle, slope), tuple(shared)))
    to_segment = Segment(*(array[0] for array in results.sums))
    return results.images[0] if to_images else jnp.zeros_like(images), to_segment


def _reference_gradient(settings: Settings, saved: Saved, slope: Last) -> tuple[Images, Segment]:
    def function(images: Images, segment: Segment) -> Last:
        return reference(settings, images, segment)[0]

    return jax.vjp(function, *saved[:2])[1](slope)  # type: ignore[return-value]


_gradient = differentiable(_call_gradient, _reference_gradient)


def _backward(
    settings: Settings, saved: Saved, slope: Last | SymbolicZero
) -> tuple[Images, Segment]:
    if isinstance(slope, SymbolicZero):
        slope = jnp.zeros(slope.shape, saved[0].dtype)
    return _gradient(settings, saved, slope)


_segment.defvjp(_forward, _backward, symbolic_zeros=True)
