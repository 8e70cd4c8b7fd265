"""Convolutions of stride 2 alone, which leave a map whose places stand at equal distances."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import Conv, GroupNorm
from jaxode.types import Images


class HalvingStem(nnx.Module):
    """4x4 convolutions of stride 2, each of which halves the sides of the map exactly.

    Group norm and ReLU precede every convolution but the first, which has half of the channels. A
    place of the map is 2^halvings pixels from the next, which anchors and RoIAlign rely on; the
    classifiers' stem begins with a convolution that loses the border.

    Args:
      channels: of the images.
      width: channels of the last map, even.
      halvings: convolutions, 2 or more.
      kernels: convolution and group norm; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import HalvingStem
      >>> images = jnp.ones((1, 48, 64, 3))
      >>> nnx.eval_shape(lambda rngs: HalvingStem(3, 16, 3, rngs=rngs)(images), nnx.Rngs(0)).shape
      (1, 6, 8, 16)
    """

    def __init__(
        self,
        channels: int,
        width: int,
        halvings: int = 3,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        kernels = kernels or choose_kernels()
        widths = [channels, width // 2, *[width] * (halvings - 1)]
        shared = {"kernels": kernels, "rngs": rngs, "dtype": dtype}
        self.convs = nnx.List(
            [
                Conv(inner, outer, 4, stride=2, padding=1, **shared)
                for inner, outer in itertools.pairwise(widths)
            ]
        )
        self.norms = nnx.List(
            [GroupNorm(inner, kernels=kernels, dtype=dtype) for inner in widths[1:-1]]
        )

    def __call__(self, images: Images) -> Float[Array, "B rows columns width"]:
        """[B, H, W, channels] → [B, H / 2^halvings, W / 2^halvings, width]."""
        out = self.convs[0](images)
        for norm, conv in zip(self.norms, list(self.convs)[1:], strict=True):
            out = conv(jax.nn.relu(norm(out)))
        return out
