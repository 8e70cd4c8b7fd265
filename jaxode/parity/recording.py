"""Recording the calls of an nnx module's layers, inside compiled loops and solves too."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer

from jaxode.parity.calls import Calls
from jaxode.parity.nnx_layers import joined

LABEL = "_parity_label"
"""Attribute of a labelled module: the number of its recorder, and its path.

It is a part of the graph definition, so that a copy that Flax makes in a scan or a solve has it,
and no compiled program of another recorder is used again.
"""

NUMBERS = count()


class Recorder:
    """Records what the layers of a labelled module return.

    Args:
      module: whose layers are labelled; a copy that is used for nothing else.
    """

    def __init__(self, module: nnx.Module) -> None:
        self.number = next(NUMBERS)
        self.calls = Calls()
        """Numbers of the calls that were carried out."""
        self.traced = Calls()
        """Zeros of the right shapes, of the calls that were traced or carried out."""
        self.active = False
        self._classes = set()
        for path, each in nnx.iter_modules(module):
            if not isinstance(each, nnx.List | nnx.Dict):
                setattr(each, LABEL, (self.number, joined(path)))
                if callable(getattr(type(each), "__call__", None)):  # noqa: B004
                    self._classes.add(type(each))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Replace the classes' `__call__` for a while; forgets what was recorded before."""
        self.calls, self.traced, self.active = Calls(), Calls(), True
        own = {cls: vars(cls).get("__call__") for cls in self._classes}
        inherited = {cls: cls.__call__ for cls in self._classes}
        try:
            for cls in self._classes:
                type.__setattr__(cls, "__call__", self._wrapped(cls, inherited[cls]))
            yield
            jax.effects_barrier()
        finally:
            self.active = False
            for cls, method in own.items():
                if method is None:
                    type.__delattr__(cls, "__call__")
                else:
                    type.__setattr__(cls, "__call__", method)

    def _wrapped(self, cls: type, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(module: Any, *args: Any, **options: Any) -> Any:
            result = method(module, *args, **options)
            number, name = getattr(module, LABEL, (None, ""))
            # A class that calls its parent's `__call__` is recorded once.
            if self.active and number == self.number and type(module) is cls:
                self._record(name, floating(args), floating(result))
            return result

        return call

    def _record(self, name: str, inputs: list[Any], outputs: list[Any]) -> None:
        zeros = ([np.zeros(a.shape) for a in arrays] for arrays in (inputs, outputs))
        self.traced.add(name, next(zeros), next(zeros))

        wide = [[a.dtype == jnp.float64 for a in arrays] for arrays in (inputs, outputs)]

        def store(*both: list[Any]) -> None:
            if self.active:
                given, found = (
                    [_numbers(b, w) for b, w in zip(bits, each, strict=True)]
                    for bits, each in zip(both, wide, strict=True)
                )
                self.calls.add(name, given, found)

        bits = ([_bits(a) for a in arrays] for arrays in (inputs, outputs))
        if any(isinstance(leaf, Tracer) for leaf in (*inputs, *outputs)):
            jax.debug.callback(store, *bits, ordered=True)
        else:
            store(*bits)


def _bits(array: Any) -> jax.Array:
    """An array's bits, by 32: the thread that runs a callback may not have float64."""
    if array.dtype != jnp.float64:
        array = array.astype(jnp.float32)
    return jax.lax.bitcast_convert_type(array, jnp.uint32)


def _numbers(bits: Any, wide: bool) -> np.ndarray:
    """The numbers of `_bits`: of pairs of 32 bits, or of single ones."""
    found = np.array(bits, order="C")
    return found.view(np.float64)[..., 0] if wide else found.view(np.float32)


def floating(value: Any) -> list[Any]:
    """The floating-point arrays in a pytree."""
    return [
        leaf
        for leaf in jax.tree.leaves(value)
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
