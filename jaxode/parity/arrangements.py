"""Layouts of weights: which rearrangement takes a PyTorch tensor to an nnx variable's shape."""

from __future__ import annotations

import math

import numpy as np

from jaxode.parity.links import Rearrange

Shape = tuple[int, ...]
Found = tuple[Rearrange, str] | None
"""The rearrangement and its name, or None where none leads to the shape."""


def weight_arrangement(kind: str, name: str, given: Shape, wanted: Shape, flipped: bool) -> Found:
    """How a layer's tensor becomes an nnx variable.

    Args:
      kind: of the PyTorch layer: "linear", "conv", "conv_transpose" or anything else.
      name: of the nnx variable within its layer; one called `weight` is taken to be in PyTorch's
        layout if its shape is.
      given: the tensor's shape.
      wanted: the variable's shape.
      flipped: whether a transposed convolution's kernel turns by 180 degrees, as Flax's does
        without `transpose_kernel`.

    Returns:
      The rearrangement and what it is called, or None.
    """
    if name.startswith("weight") and given == wanted:
        return _same, "as it is"
    for arrangement in (
        *((_convolution(kind, given, wanted, flipped),) if kind.startswith("conv") else ()),
        *((_matrix(given, wanted),) if kind == "linear" or name == "kernel" else ()),
    ):
        if arrangement is not None:
            return arrangement
    if given == wanted:
        return _same, "as it is"
    if _without_ones(given) == _without_ones(wanted):
        return _reshaped(wanted), "reshaped"
    return _matrix(given, wanted) or _convolution("conv", given, wanted, False)


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _reshaped(shape: Shape) -> Rearrange:
    return lambda array: array.reshape(shape)


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _matrix(given: Shape, wanted: Shape) -> Found:
    """[out, in] to [in, out], either of which may be several axes, heads and features say."""
    if len(given) != 2 or math.prod(given) != math.prod(wanted) or len(wanted) < 2:
        return None
    turned = (given[1], given[0])
    split = any(math.prod(wanted[:axis]) == turned[0] for axis in range(1, len(wanted)))
    if not split:
        return None
    label = "[out, in] to [in, out]"
    return (lambda array: array.T.reshape(wanted)), label


def _convolution(kind: str, given: Shape, wanted: Shape, flipped: bool) -> Found:
    """[out, in, …] to […, in, out]; a transposed one's [in, out, …], or a 1x1 one as a matrix."""
    if len(given) < 3:
        return None
    pixels = tuple(range(2, len(given)))
    names = {1: "W", 2: "HW", 3: "DHW"}.get(len(pixels), "…")
    if kind == "conv_transpose":
        straight = tuple(given[axis] for axis in (*pixels, 0, 1))
        turned = tuple(given[axis] for axis in (*pixels, 1, 0))
        if flipped and wanted == straight:
            return (
                lambda array: np.flip(array, pixels).transpose(*pixels, 0, 1),
                f"IO{names} to {names}IO, flipped",
            )
        if not flipped and wanted == turned:
            return (lambda array: array.transpose(*pixels, 1, 0)), f"IO{names} to {names}OI"
        return None
    moved = tuple(given[axis] for axis in (*pixels, 1, 0))
    if wanted == moved:
        return (lambda array: array.transpose(*pixels, 1, 0)), f"OI{names} to {names}IO"
    if wanted == moved[-2:] and math.prod(moved[:-2]) == 1:
        return (lambda array: array.reshape(given[:2]).T), "1x1 convolution to [in, out]"
    return None


def channels_last_columns(shape: Shape) -> Rearrange:
    """Columns of a linear layer's weight [out, C·H·W] in the order of a flattened [H, W, C].

    Args:
      shape: (C, *pixels), what the layer reads flattened in PyTorch.
    """
    pixels = tuple(range(2, len(shape) + 1))

    def rearrange(array: np.ndarray) -> np.ndarray:
        rows = len(array)
        return array.reshape(rows, *shape).transpose(0, *pixels, 1).reshape(rows, -1)

    return rearrange
