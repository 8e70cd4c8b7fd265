"""Images to the map that a chain of blocks starts from."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxode.nn.downsampling import Segment
from jaxode.nn.kernels import Kernels
from jaxode.nn.layers import NORM_EPS, Conv, GroupNorm
from jaxode.types import Images, Maps


class Downsample(nnx.Module):
    """A convolution of stride 1, then convolutions of stride 2.

    Two of them take [B, 28, 28, channels] to [B, 6, 6, width].

    The first three are those of torchdiffeq's example and of Gładzik 2019. More of them, each after
    a norm and a ReLU as the others, make smaller maps of larger images: of 64 x 64 pixels three
    leave 15 x 15, four 7 x 7, five 3 x 3.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        convolutions: int = 3,
        *,
        kernels: Kernels,
        rngs: nnx.Rngs,
        dtype: jnp.dtype,
    ) -> None:
        """Images of `channels` planes to maps of `width` channels, by 3 convolutions or more."""
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

    def __call__(self, images: Images) -> Maps:
        """The initial state of the feature segment."""
        out = self._first_three(images)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            out = conv(jax.nn.relu(norm(out)))
        return out

    def _first_three(self, images: Images) -> Maps:
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
