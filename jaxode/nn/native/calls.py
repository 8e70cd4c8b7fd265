"""A native call with its rules for batching and for sharding over devices.

The arguments of a handler are times, then arrays with an images axis, then parameters, which all
images share. Its results are ordered likewise; gradients of parameters are sums over images. Under
`jax.vmap` the images of all examples become one batch, and the sums are over the images of each
example. On a mesh of several devices each computes its images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, PyTree

from jaxode.nn.native.loading import PREFIX

Shapes = tuple[tuple[int, ...], ...]
Attributes = tuple[tuple[str, np.generic | bool], ...]
"""Static attributes of a call, by name."""


class Handler(NamedTuple):
    """A handler, and the static facts of a call."""

    target: str
    attributes: Attributes
    image_results: Shapes
    """Shapes of the results with an images axis, without that axis."""
    sums: Shapes = ()
    """Shapes of the results that are sums over images."""
    timed: bool = False
    """Whether times can be the first argument, and their gradient, if there are sums, a result."""
    examples: int = 1
    """Number of examples; each has as many images of the batch, over which it is summed."""


class Arguments(NamedTuple):
    """Arguments of a handler."""

    times: Array | None
    """None, one time [1], or one for each image [B]."""
    images: tuple[Array, ...]
    shared: tuple[Array, ...]

    @property
    def batch(self) -> int:
        """Number of images."""
        return self.images[0].shape[0]


class Results(NamedTuple):
    """Results of a handler; the first axis of sums is the examples."""

    times: Array | None
    """Gradient of the times: [B] if every image has a time, else a sum [examples]."""
    images: tuple[Array, ...]
    sums: tuple[Array, ...]


def call(handler: Handler, arguments: Arguments) -> Results:
    """Call a handler.

    Args:
      handler: what to call.
      arguments: float32 arrays.

    Returns:
      Float32 arrays.
    """
    return _mapped(handler, arguments)


def _mapped(handler: Handler, arguments: Arguments) -> Results:
    @jax.custom_batching.custom_vmap
    def one(arguments: Arguments) -> Results:
        return _on_devices(handler, arguments)

    @one.def_vmap
    def many(
        size: int, batched: Sequence[Arguments], arguments: Arguments
    ) -> tuple[Results, PyTree[bool]]:
        rule = _each if any(batched[0].shared) else _folded
        results = rule(handler, size, batched[0], arguments)
        return results, jax.tree.map(lambda _: True, results)

    return one(arguments)


def _each(handler: Handler, size: int, batched: Arguments, arguments: Arguments) -> Results:
    """Examples with separate parameters, one after the other."""
    leaves, tree = jax.tree.flatten(arguments)
    own = jax.tree.leaves(batched)
    xs = [leaf for leaf, is_own in zip(leaves, own, strict=True) if is_own]

    def example(xs: list[Array]) -> Results:
        parts = iter(xs)
        arrays = [next(parts) if is_own else x for x, is_own in zip(leaves, own, strict=True)]
        return _mapped(handler, tree.unflatten(arrays))

    return jax.lax.map(example, xs)


def _folded(handler: Handler, size: int, batched: Arguments, arguments: Arguments) -> Results:
    """The images of all examples as one batch."""
    times = arguments.times
    batch = arguments.images[0].shape[int(batched.images[0])]

    def joined(array: Array, own: Array | bool) -> Array:
        rows = array if own else jnp.broadcast_to(array, (size, *array.shape))
        return rows.reshape(size * batch, *rows.shape[2:])

    images = tuple(
        joined(array, own) for array, own in zip(arguments.images, batched.images, strict=True)
    )
    one_time = times is not None and times.shape[-1] == 1
    # A time for each example becomes a time for each image.
    apart = bool(batched.times) or not one_time
    if times is not None and apart:
        each = times if batched.times else jnp.broadcast_to(times, (size, *times.shape))
        times = jnp.broadcast_to(each, (size, batch)).reshape(-1)
    examples = size * handler.examples if handler.sums else 1
    out = _mapped(handler._replace(examples=examples), Arguments(times, images, arguments.shared))
    to_times = out.times
    if to_times is not None:
        if not apart:
            to_times = to_times.reshape(size, handler.examples)
        elif one_time:
            to_times = to_times.reshape(size, handler.examples, -1).sum(2)
        else:
            to_times = to_times.reshape(size, batch)
    return Results(
        to_times,
        tuple(array.reshape(size, batch, *array.shape[1:]) for array in out.images),
        tuple(array.reshape(size, handler.examples, *array.shape[1:]) for array in out.sums),
    )


def _on_devices(handler: Handler, arguments: Arguments) -> Results:
    """Every device of the present mesh computes its images, if their number is divisible."""
    mesh = jax.sharding.get_abstract_mesh()
    devices = math.prod(mesh.axis_sizes) if mesh.axis_names else 1
    automatic = all(kind == AxisType.Auto for kind in mesh.axis_types)
    rows = arguments.batch if handler.examples == 1 else handler.examples
    if devices == 1 or not automatic or rows % devices:
        return _foreign(handler, arguments)
    whole, parts = PartitionSpec(), PartitionSpec(mesh.axis_names)
    own_times = arguments.times is not None and len(arguments.times) > 1
    of_times = parts if own_times else whole
    summed = parts if handler.examples > 1 else whole

    def share(arguments: Arguments) -> Results:
        out = _foreign(
            handler._replace(examples=max(1, handler.examples // devices)),
            arguments,
            own_times=own_times,
        )
        if handler.examples > 1:
            return out
        sums = jax.lax.psum((out.sums, None if own_times else out.times), mesh.axis_names)
        return Results(out.times if own_times else sums[1], out.images, sums[0])

    return jax.shard_map(
        share,
        mesh=mesh,
        in_specs=(Arguments(of_times, parts, whole),),  # pyright: ignore[reportArgumentType]
        out_specs=Results(parts if own_times else summed, parts, summed),  # pyright: ignore[reportArgumentType]
        check_vma=False,
    )(arguments)


def _foreign(handler: Handler, arguments: Arguments, own_times: bool | None = None) -> Results:
    """The call through XLA's foreign function interface."""
    times, images, shared = arguments
    attributes = dict(handler.attributes)
    if own_times is None:
        own_times = times is not None and len(times) > 1
    if handler.timed:
        attributes["times"] = np.int64(0 if times is None else 2 if own_times else 1)
    if handler.sums:
        attributes["examples"] = np.int64(handler.examples)

    def shape(*size: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(size, jnp.float32)

    to_times = handler.timed and bool(handler.sums) and times is not None
    results = [shape(arguments.batch if own_times else handler.examples)] * to_times
    results += [shape(arguments.batch, *size) for size in handler.image_results]
    results += [shape(handler.examples, *size) for size in handler.sums]
    arrays = ([] if times is None else [times]) + [*images, *shared]
    out = list(jax.ffi.ffi_call(f"{PREFIX}{handler.target}", results)(*arrays, **attributes))
    first = int(to_times)
    middle = first + len(handler.image_results)
    return Results(out[0] if to_times else None, tuple(out[first:middle]), tuple(out[middle:]))
