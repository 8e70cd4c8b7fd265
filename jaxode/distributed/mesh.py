"""How a run is spread over devices: the only room that names meshes.

jit: one program whose batches are sharded over all devices. XLA inserts the collectives, and a
solve has one step size for the whole batch, whose error norm is reduced over the devices at every
step. pmap: every device runs the program on its own shard of each batch, with its own step sizes,
and gradients and counts are reduced once a training step. It is written as a shard_map, which JAX's
own `pmap` is too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from jaxode.checks import ConfigError
from jaxode.config import ParallelConfig

AXIS = "images"
"""Name of the one axis of the mesh, along which batches are cut."""


def _same(tree: PyTree) -> PyTree:
    return tree


class Collectives(NamedTuple):
    """How devices share a batch and reduce their numbers, inside a compiled program.

    share: pytree of arrays with a row an image → the rows that this device works on.
    sum, largest: a device's numbers → their sum or the largest over all devices.
    """

    share: Callable[[PyTree], PyTree] = _same
    sum: Callable[[PyTree], PyTree] = _same
    largest: Callable[[PyTree], PyTree] = _same


ONE_DEVICE = Collectives()
"""One device that works on whole batches."""


class DeviceMesh:
    """The devices of a run and how they work together.

    Args:
        config: which way, and how many of each process's devices.

    Raises:
        ConfigError: there are fewer devices.

    Example:
        >>> from jaxode.config import ParallelConfig
        >>> from jaxode.distributed import DeviceMesh
        >>> mesh = DeviceMesh(ParallelConfig(devices=1))
        >>> mesh.count, mesh.place([1.0, 2.0])
        (1, [Array(1., dtype=float32, weak_type=True), Array(2., dtype=float32, weak_type=True)])
    """

    def __init__(self, config: ParallelConfig) -> None:
        here = jax.local_devices()
        each = config.devices or len(here)
        if each > len(here):
            raise ConfigError(
                f"devices must be at most {len(here)}, as many as {here[0].platform} has, got"
                f" {each}"
            )
        taken = dict.fromkeys(range(jax.process_count()), 0)
        devices = []
        for device in jax.devices():
            if taken[device.process_index] < each:
                taken[device.process_index] += 1
                devices.append(device)
        self.count, self.separate = len(devices), config.parallel == "pmap"
        # Diffrax's loops cannot be typed with explicit shardings.
        self.mesh = jax.make_mesh(
            (self.count,), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
        )
        self.everywhere = NamedSharding(self.mesh, PartitionSpec())
        self._copy = jax.jit(
            lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=self.everywhere
        )
        self.across = self._separate() if self.separate else Collectives(share=self._constrained)

    def place(self, tree: PyTree) -> PyTree:
        """A copy of every array on every device; never the memory of the given arrays.

        Args:
            tree: a pytree of arrays.
        """
        if self.count > 1:
            return self._copy(tree)
        # A transfer compiles no program; but of NumPy's arrays it may take the memory all the same.
        own = jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, tree)
        return jax.device_put(own, self.everywhere, may_alias=False)

    def compiled(self, function: Callable[..., PyTree], **options: Any) -> jax.stages.Wrapped:
        """`jax.jit` of a function whose arguments and results are the same on every device.

        Args:
            function: takes and returns pytrees of arrays.
            options: of `jax.jit`, such as `donate_argnums`.
        """
        if self.separate:
            spec = PartitionSpec()
            function = jax.shard_map(
                function, mesh=self.mesh, in_specs=spec, out_specs=spec, check_vma=False
            )
        return jax.jit(function, out_shardings=self.everywhere, **options)

    def on_mesh(self) -> AbstractContextManager[object]:
        """A context to trace in, in which native kernels share their images out over the mesh."""
        return nullcontext() if self.separate or self.count == 1 else jax.set_mesh(self.mesh)

    def _constrained(self, rows: PyTree) -> PyTree:
        return jax.lax.with_sharding_constraint(rows, NamedSharding(self.mesh, PartitionSpec(AXIS)))

    def _separate(self) -> Collectives:
        def share(rows: PyTree) -> PyTree:
            def own(leaf: Array) -> Array:
                size = leaf.shape[0] // self.count
                return jax.lax.dynamic_slice_in_dim(leaf, jax.lax.axis_index(AXIS) * size, size)

            return jax.tree.map(own, rows)

        return Collectives(
            share, partial(jax.lax.psum, axis_name=AXIS), partial(jax.lax.pmax, axis_name=AXIS)
        )
