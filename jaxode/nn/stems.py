"""Stems: from images to the initial state of a chain of blocks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.nn.downsampling import Segment
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import NORM_EPS, Conv, GroupNorm
from jaxode.types import Images


class Downsample(nnx.Module):
    """A convolution of stride 1, then convolutions of stride 2.

    Group norm and ReLU precede every convolution but the first. Three convolutions map
    [B, 28, 28, channels] to [B, 6, 6, width]; of 64 x 64 pixels three leave 15 x 15, four 7 x 7,
    five 3 x 3.

    Source: Chen et al. 2018, `odenet_mnist.py` of torchdiffeq; Gładzik 2019.

    Args:
      channels: of the images.
      width: channels of the maps.
      convolutions: 3 or more.
      kernels: convolution, group norm and, where there is one, the fused first three convolutions;
        None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn import Downsample
      >>> Downsample(3, 16, rngs=nnx.Rngs(0))(jnp.ones((2, 32, 32, 3))).shape
      (2, 7, 7, 16)
    """

    def __init__(
        self,
        channels: int,
        width: int,
        convolutions: int = 3,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        kernels = kernels or choose_kernels()
        self.fused = kernels.downsampling
        self.conv1 = Conv(channels, width, 3, kernels=kernels, rngs=rngs, dtype=dtype)
        self.norm1 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv2 = Conv(
            width, width, 4, stride=2, padding=1, kernels=kernels, rngs=rngs, dtype=dtype
        )
        self.norm2 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv3 = Conv(
            width, width, 4, stride=2, padding=1, kernels=kernels, rngs=rngs, dtype=dtype
        )
        more = range(convolutions - 3)
        self.norms = nnx.List([GroupNorm(width, kernels=kernels, dtype=dtype) for _ in more])
        self.convs = nnx.List(
            [
                Conv(width, width, 4, stride=2, padding=1, kernels=kernels, rngs=rngs, dtype=dtype)
                for _ in more
            ]
        )

    def __call__(self, images: Images) -> Float[Array, "B rows columns width"]:
        """The initial state of the chain of blocks: [B, H, W, channels] → [B, H', W', width]."""
        out = self._first_three(images)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            out = conv(jax.nn.relu(norm(out)))
        return out

    def _first_three(self, images: Images) -> Float[Array, "B rows columns width"]:
        if self.fused is not None:
            return self.fused(images, self._parameters(), self.norm1.groups, NORM_EPS)
        out = jax.nn.relu(self.norm1(self.conv1(images)))
        out = jax.nn.relu(self.norm2(self.conv2(out)))
        return self.conv3(out)

    def _parameters(self) -> Segment:
        stages = ((self.conv1, self.norm1), (self.conv2, self.norm2))
        pairs = [(conv.kernel, conv.bias, norm.scale, norm.bias) for conv, norm in stages]
        parameters = (*pairs[0], *pairs[1], self.conv3.kernel, self.conv3.bias)
        return Segment(*(each[...] for each in parameters if each is not None))
