"""A native call and what JAX has to know of it: batching, and sharding over devices.

Every handler takes arrays of times, then arrays with a row an image, then parameters, which all
images share. It returns arrays likewise; gradients of parameters are sums over images. Under
`jax.vmap` the examples' images become one batch, and the sums are taken example by example. On a
mesh of several devices each computes its images.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, PyTree

from jaxode.nn.native.loading import PREFIX

Shapes = tuple[tuple[int, ...], ...]
Attributes = tuple[tuple[str, np.generic | bool], ...]
"""Numbers that a handler is compiled with, by name."""


class Handler(NamedTuple):
    """A handler and what is known when a program is compiled."""

    target: str
    attributes: Attributes
    image_results: Shapes
    """Shapes of results with a row an image, without the images' axis."""
    sums: Shapes = ()
    """Shapes of results that are sums over images."""
    timed: bool = False
    """Whether times may come first, and their gradient where there are sums."""
    examples: int = 1
    """The batch is so many examples of as many images each, and sums are taken over the images of
    each.
    """


class Arguments(NamedTuple):
    """What a handler is called with."""

    times: Array | None
    """None, one time [1], or one for each image [B]."""
    images: tuple[Array, ...]
    shared: tuple[Array, ...]

    @property
    def batch(self) -> int:
        """How many images there are."""
        return self.images[0].shape[0]


class Results(NamedTuple):
    """What a handler returns; sums have the examples as their first axis."""

    times: Array | None
    """The times' gradient: [B] where every image has a time, else a sum [examples]."""
    images: tuple[Array, ...]
    sums: tuple[Array, ...]


def call(handler: Handler, arguments: Arguments) -> Results:
    """The handler's results. All arrays are float32."""
    return _mapped(handler, arguments)


def _mapped(handler: Handler, arguments: Arguments) -> Results:
    @jax.custom_batching.custom_vmap
    def one(arguments: Arguments) -> Results:
        return _on_devices(handler, arguments)

    @one.def_vmap
    def many(
        size: int, batched: tuple[Arguments], arguments: Arguments
    ) -> tuple[Results, PyTree[bool]]:
        found = (_each if any(batched[0].shared) else _folded)(handler, size, batched[0], arguments)
        return found, jax.tree.map(lambda _: True, found)

    return one(arguments)


def _each(handler: Handler, size: int, batched: Arguments, arguments: Arguments) -> Results:
    """Examples with parameters of their own, one after the other."""
    leaves, tree = jax.tree.flatten(arguments)
    own = jax.tree.leaves(batched)
    xs = [leaf for leaf, is_own in zip(leaves, own, strict=True) if is_own]

    def example(xs: list[Array]) -> Results:
        given = iter(xs)
        return _mapped(
            handler,
            tree.unflatten(
                [next(given) if is_own else leaf for leaf, is_own in zip(leaves, own, strict=True)]
            ),
        )

    return jax.lax.map(example, xs)


def _folded(handler: Handler, size: int, batched: Arguments, arguments: Arguments) -> Results:
    """All examples' images as one batch."""
    times = arguments.times
    batch = arguments.images[0].shape[int(batched.images[0])]

    def joined(array: Array, own: Array | bool) -> Array:
        rows = array if own else jnp.broadcast_to(array, (size, *array.shape))
        return rows.reshape(size * batch, *rows.shape[2:])

    images = tuple(
        joined(array, own) for array, own in zip(arguments.images, batched.images, strict=True)
    )
    one_time = times is not None and times.shape[-1] == 1
    # Where examples differ in their one time, it becomes the time of each of their images.
    apart = bool(batched.times) or not one_time
    if times is not None and apart:
        each = times if batched.times else jnp.broadcast_to(times, (size, *times.shape))
        times = jnp.broadcast_to(each, (size, batch)).reshape(-1)
    examples = size * handler.examples if handler.sums else 1
    found = _mapped(handler._replace(examples=examples), Arguments(times, images, arguments.shared))
    to_times = found.times
    if to_times is not None:
        if not apart:
            to_times = to_times.reshape(size, handler.examples)
        elif one_time:
            to_times = to_times.reshape(size, handler.examples, -1).sum(2)
        else:
            to_times = to_times.reshape(size, batch)
    return Results(
        to_times,
        tuple(array.reshape(size, batch, *array.shape[1:]) for array in found.images),
        tuple(array.reshape(size, handler.examples, *array.shape[1:]) for array in found.sums),
    )


def _on_devices(handler: Handler, arguments: Arguments) -> Results:
    """Every device of the mesh in use computes its images, where they can be shared out."""
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
        found = _foreign(
            handler._replace(examples=max(1, handler.examples // devices)),
            arguments,
            own_times=own_times,
        )
        if handler.examples > 1:
            return found
        sums = jax.lax.psum((found.sums, None if own_times else found.times), mesh.axis_names)
        return Results(found.times if own_times else sums[1], found.images, sums[0])

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
    given = ([] if times is None else [times]) + [*images, *shared]
    found = list(jax.ffi.ffi_call(f"{PREFIX}{handler.target}", results)(*given, **attributes))
    first = int(to_times)
    middle = first + len(handler.image_results)
    return Results(
        found[0] if to_times else None, tuple(found[first:middle]), tuple(found[middle:])
    )
