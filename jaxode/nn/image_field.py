"""The vector field of a continuous normalizing flow of images: convolutions that depend on time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import ConfigError, require_choice, require_count
from jaxode.nn.flow_fields import SMOOTH
from jaxode.nn.kernels import Kernels
from jaxode.nn.time_convolutions import ConcatConv, ConcatSquashConv
from jaxode.types import Time

LAYERS = {"concat": ConcatConv, "concatsquash": ConcatSquashConv}
"""Convolutions that depend on time, by name."""

ImageShape = tuple[int, int, int]
"""Height, width and channels of an image."""


class ImageField(nnx.Module):
    """Convolutions with an activation between them, on images whose numbers stand in one row.

    Source: FFJORD (Grathwohl et al. 2019), its code's ODEnet: `hidden` (8, 32, 32, 8) with
    `strides` (2, 2, 1, -2, -2) is its default for images, (64, 64, 64) with strides of 1 that of
    its multiscale models.

    Args:
      shape: height, width and channels of an image.
      hidden: channels between the layers.
      strides: of each layer, one more than `hidden`: 1; 2 halves the size, -2 doubles it.
      layer: concat, the time as a channel; or concatsquash, a gate and a bias of the time.
      activation: between the layers: softplus, tanh or elu.
      kernels: convolution; None for the quickest in float32 that has derivatives in both modes.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: an unknown name, a size below 1, or strides that do not lead back to the size of
        the image.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import ImageField
      >>> field = ImageField((8, 8, 1), (4, 4), (2, 1, -2), rngs=nnx.Rngs(0))
      >>> jax.jit(field)(0.5, jnp.ones((2, 64))).shape
      (2, 64)
    """

    def __init__(
        self,
        shape: ImageShape,
        hidden: Sequence[int] = (8, 32, 32, 8),
        strides: Sequence[int] = (2, 2, 1, -2, -2),
        layer: str = "concat",
        activation: str = "softplus",
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        require_choice("layer", layer, tuple(LAYERS))
        require_choice("activation", activation, tuple(SMOOTH))
        for size in (*shape, *hidden):
            require_count("a size", size)
        check_strides(shape, hidden, strides)
        self.shape, self.activation = shape, activation
        sizes = [shape[2], *hidden, shape[2]]
        self.layers = nnx.List(
            [
                LAYERS[layer](inner, outer, stride, kernels=kernels, rngs=rngs, dtype=dtype)
                for inner, outer, stride in zip(sizes[:-1], sizes[1:], strides, strict=True)
            ]
        )

    def __call__(self, t: Time, z: Float[Array, "B D"]) -> Float[Array, "B D"]:
        """The slope at time t, which is one number or [B, 1]."""
        if t.ndim:
            t = t.reshape(t.shape[0], 1, 1, 1)
        maps = z.reshape(z.shape[0], *self.shape)
        for layer in list(self.layers)[:-1]:
            maps = SMOOTH[self.activation](layer(t, maps))
        return self.layers[-1](t, maps).reshape(z.shape)


def check_strides(shape: ImageShape, hidden: Sequence[int], strides: Sequence[int]) -> None:
    """Raise ConfigError if strides do not lead from an image's size back to it.

    Args:
      shape: height, width and channels.
      hidden: channels between the layers.
      strides: of each layer.
    """
    if len(strides) != len(hidden) + 1:
        raise ConfigError(
            f"strides must be one more than the hidden layers, {len(hidden) + 1}, got"
            f" {len(strides)}"
        )
    halved = 0
    for stride in strides:
        halved += {1: 0, 2: 1, -2: -1}.get(stride, math.inf)  # type: ignore[assignment]
        if not (0 <= halved < math.inf) or any(side % 2**halved for side in shape[:2]):
            raise ConfigError(
                "strides must be 1, 2 or -2, halve an even size and double what was halved, got"
                f" {','.join(map(str, strides))} for images of {shape[0]} x {shape[1]}"
            )
    if halved:
        raise ConfigError(
            f"strides must lead back to the size of the image, got {','.join(map(str, strides))}"
        )
