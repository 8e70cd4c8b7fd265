"""Names for the arrays that cross rooms.

Shapes: B images, H x W pixels, C channels, K classes, N parameters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int, Key, UInt8

Pixels = UInt8[Array, "B H W C"]
"""Stored images, 0 to 255, channels last."""

Images = Float[Array, "B H W C"]
"""Normalised images, channels last."""

Maps = Float[Array, "B H W C"]
"""Feature maps, channels last."""

Activations = Float[Array, "B *pixels C"]
"""Feature maps [B, H, W, C] or hidden units [B, C]."""

Labels = Int[Array, " B"]
Logits = Float[Array, "B K"]

State = Any
"""The unknown z(t) of an ODE: a pytree of floating-point arrays; for an image model, Maps."""

Time = Float[Array, "*B"]
"""One number, or [B, 1, …, 1] where every image has a time of its own."""

Params = Any
"""A pytree of floating-point arrays."""

Keys = Key[Array, " B"]
"""A random key for each image."""


class Training(NamedTuple):
    """What a model is given in training beside its inputs: random keys and weights.

    A weight of 0 is padding.
    """

    keys: Keys
    weights: Float[Array, " B"]
