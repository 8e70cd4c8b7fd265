"""The inputs as arrays, and the nnx module's in the layout that its code accepts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import nnx

from jaxode.checks import one_line, require
from jaxode.parity.layouts import arranged_input, fitting
from jaxode.parity.nnx_run import NnxSide
from jaxode.parity.torch_layers import kind_of
from jaxode.parity.torch_run import to_numpy

DIMENSIONS = ("1d", "2d", "3d")
"""Endings of the names of PyTorch's classes that expect channels second."""


Inputs = Any
"""An array, or a tuple or list of arrays: of NumPy, PyTorch or JAX."""


def as_arrays(name: str, inputs: Inputs) -> list[np.ndarray]:
    """Inputs as NumPy arrays.

    Raises:
      ConfigError: something else than numbers is among them.
    """
    each = inputs if isinstance(inputs, tuple | list) else (inputs,)
    arrays = []
    for value in each:
        array = to_numpy(value)
        numeric = np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_
        require(numeric, name, type(value).__name__, "an array or a tuple of arrays of numbers")
        arrays.append(array)
    return arrays


class Traced(NamedTuple):
    """How the nnx module is called.

    Args:
      layout: "same", "channels_last", "batch_first", or "given".
      inputs: in that layout.
      failure: the error that the module raised, or nothing.
    """

    layout: str
    inputs: list[np.ndarray]
    failure: str = ""


def traced_inputs(
    side: NnxSide,
    module: Any,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    layout: str,
) -> Traced:
    """Call the nnx module without computing, in the likeliest layouts until one fits.

    Args:
      side: of the nnx module.
      module: of PyTorch.
      inputs: of the PyTorch module.
      outputs: of the PyTorch module.
      layout: one of LAYOUTS; "auto" tries them.
    """
    names = likely_layouts(module, side.module, inputs) if layout == "auto" else [layout]
    tried: list[Traced] = []
    for name in names:
        arrays = [arranged_input(array, name) for array in inputs]
        found, shapes = trace(side, name, arrays)
        if not found.failure and len(shapes) == len(outputs):
            pairs = zip(outputs, shapes, strict=True)
            if all(fitting(theirs, shape, ()) for theirs, shape in pairs):
                return found
        tried.append(found)
    best = next((each for each in tried if not each.failure), tried[0])
    return trace(side, best.layout, best.inputs)[0]  # its calls are recorded again


def trace(
    side: NnxSide, layout: str, inputs: list[np.ndarray]
) -> tuple[Traced, list[tuple[int, ...]]]:
    """Call the nnx module without computing; whatever its code raises is its failure."""
    try:
        return Traced(layout, inputs), side.trace(inputs)
    except Exception as error:
        return Traced(layout, inputs, f"{type(error).__name__}: {one_line(error)}"), []


def likely_layouts(module: Any, ours: nnx.Module, inputs: Sequence[np.ndarray]) -> list[str]:
    """The layouts that differ for these inputs, the likeliest first."""
    axes = max((array.ndim for array in inputs), default=0)
    modules = list(module.modules())
    channels = any(_dimension(each) == axes - 2 for each in modules)
    sequences = [each for each in modules if kind_of(each) in ("attention", "recurrent")]
    time_first = any(getattr(each, "batch_first", True) is False for each in sequences) and not any(
        getattr(each, "time_major", False) for _, each in nnx.iter_modules(ours)
    )
    first = ["channels_last"] if channels else ["batch_first"] if time_first else []
    order = dict.fromkeys((*first, "same", "channels_last", "batch_first"))
    shapes: dict[tuple[tuple[int, ...], ...], str] = {}
    if axes < 3:
        order = {name: None for name in order if name != "channels_last"}
    for name in order:
        key = tuple(arranged_input(array, name).shape for array in inputs)
        # Of layouts with the same shapes, the likelier is meant.
        shapes.setdefault(key, name)
    return list(shapes.values())


def _dimension(module: Any) -> int:
    """1, 2 or 3 of a convolution, norm or pooling of so many dimensions; else 0."""
    if not type(module).__module__.startswith("torch."):
        return 0
    name = type(module).__name__
    return next((n for n, end in enumerate(DIMENSIONS, 1) if name.endswith(end)), 0)
