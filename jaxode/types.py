"""Names for the arrays that cross rooms.

Shapes: B images, H x W pixels, C channels, K classes, N parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int, Key, PyTree, Real, Shaped, UInt8

Pixels = UInt8[Array, "B H W C"]
"""Stored images, 0 to 255, channels last."""

Images = Float[Array, "B H W C"]
"""Normalised images, channels last."""

Maps = Float[Array, "B H W C"]
"""Feature maps, channels last."""

MapsOfASize = Float[Array, "B _ _ _"]
"""One of several feature maps of a batch, each of a size and a number of channels of its own."""

Kernel = Float[Array, "kh kw I O"]
"""Of a convolution: height, width, input channels, output channels."""

Activations = Float[Array, "B *pixels C"]
"""Feature maps [B, H, W, C] or hidden units [B, C]."""

Labels = Int[Array, " B"]
Logits = Float[Array, "B K"]

State = PyTree[Float[Array, "?*z"], "Z"]
"""The unknown z(t) of an ODE: a pytree of floating-point arrays; for an image model, Maps.

All states of one call have the same structure and, leaf by leaf, the same shapes.
"""

Answer = PyTree[Float[Array, "..."]]
"""A state, or states at T times [T, ...], stacked leaf by leaf."""

StateLike = PyTree[Shaped[ArrayLike, "..."]]
"""A state as a user passes it: arrays or numbers, of NumPy or JAX, not checked yet."""

StageSlopes = PyTree[Float[Array, "stages ?*z"], "Z"]
"""The increments k_1, …, k_s of a Runge-Kutta step, stacked leaf by leaf of the state."""

Time = Float[Array, "*B"]
"""One number, or [B, 1, …, 1] where every image has a time of its own."""

Times = Float[Array, "*samples"]
"""Times or step sizes: one number [], or one for each sample [B]."""

Counts = Int[Array, "*samples"]
"""Whole numbers, likewise."""

Flags = Bool[Array, "*samples"]
"""Truth values, likewise."""

Args = PyTree
"""What a field reads besides time and state: a pytree, usually of parameters.

Its floating-point arrays have a derivative.
"""

Params = PyTree[Float[Array, "..."]]
"""A pytree of floating-point arrays."""

VectorField = Callable[[Time, State, Args], State]
"""t, z, args → dz/dt, shaped as z."""

ErrorMeasure = Callable[[State], Float[Array, "..."]]
"""A step's error estimate, shaped as z → its norms: one number, or one for each sample [B]."""

Arrays = PyTree[Shaped[Array, "..."]]
"""A pytree of arrays of any shape and type."""

Keys = Key[Array, " B"]
"""A random key for each image."""

Index = Int[Array, ""]
"""A whole number that is known when the program runs."""

# RealScalar, IntScalar, BoolScalar: one value, of Python, NumPy or JAX. NumpyTime: a NumPy scalar
# of the state's type. EndTime: times that may be known when a program is traced, of NumPy, or not.
# pyright does not know the run-time form.
if TYPE_CHECKING:
    RealScalar = float | np.ndarray | Array
    IntScalar = int | np.ndarray | Array
    BoolScalar = bool | np.ndarray | Array
    NumpyTime = Array  # whose attributes it has
    EndTime = Array
    Dimension = int
else:
    RealScalar = Real[ArrayLike, ""]
    IntScalar = Int[ArrayLike, ""]
    BoolScalar = Bool[ArrayLike, ""]
    NumpyTime = np.generic  # a bfloat16 is no np.floating
    EndTime = Float[Array, "*ends"] | Shaped[np.ndarray, "*ends"] | np.generic
    Dimension = object  # a symbol, where a program is exported for any batch size


class Training(NamedTuple):
    """What a model is given in training beside its inputs: random keys and weights.

    A weight of 0 is padding.
    """

    keys: Keys
    weights: Float[Array, " B"]
