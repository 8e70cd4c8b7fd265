"""Downsampling by residual blocks of stride 2."""

from __future__ import annotations

import jax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.nn.kernels import Kernels
from jaxode.nn.layers import Conv, GroupNorm
from jaxode.types import Images, Maps


class HalvingBlock(nnx.Module):
    """Residual block whose first convolution has stride 2.

    With a = ReLU(norm(z)): shortcut(a) + conv(ReLU(norm(conv(a)))), where the first 3x3 convolution
    and the 1x1 convolution of the shortcut have stride 2. No convolution has a bias.

    Source: `ResBlock` with `downsample` in `odenet_mnist.py` of torchdiffeq; He et al. 2016,
    "Identity Mappings in Deep Residual Networks", where a block changes the shape of the map.

    Args:
      width: C, channels of the maps.
      kernels: convolution and group norm.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn.kernels import ANY_MODE
      >>> from jaxode.nn.residual_downsampling import HalvingBlock
      >>> block = HalvingBlock(8, kernels=ANY_MODE, rngs=nnx.Rngs(0), dtype=jnp.float32)
      >>> block(jnp.zeros((2, 13, 13, 8))).shape
      (2, 7, 7, 8)
    """

    def __init__(self, width: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        def conv(size: int, stride: int) -> Conv:
            options = {"stride": stride, "padding": size // 2, "bias": False, "kernels": kernels}
            return Conv(width, width, size, **options, rngs=rngs, dtype=dtype)

        self.norm1 = GroupNorm(width, kernels=kernels, dtype=dtype)
        # Of stride 1 on every second pixel: as a product of 2x2 patches it would take four times
        # the work.
        self.shortcut = conv(1, 1)
        self.conv1 = conv(3, 2)
        self.norm2 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv2 = conv(3, 1)

    def __call__(self, z: Maps) -> Float[Array, "B rows columns C"]:
        """[B, H, W, C] → [B, ⌈H / 2⌉, ⌈W / 2⌉, C]."""
        activated = jax.nn.relu(self.norm1(z))
        out = self.conv1(activated)
        out = self.conv2(jax.nn.relu(self.norm2(out)))
        return out + self.shortcut(activated[:, ::2, ::2])


class ResidualDownsample(nnx.Module):
    """A 3x3 convolution without padding, then residual blocks that halve the sides of the map.

    Two blocks map [B, 28, 28, channels] to [B, 7, 7, width].

    Source: `odenet_mnist.py` of torchdiffeq with `--downsampling-method res`.

    Args:
      channels: of the images.
      width: channels of the maps.
      blocks: how many halve the sides.
      kernels: convolution and group norm.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.nn.kernels import ANY_MODE
      >>> from jaxode.nn.residual_downsampling import ResidualDownsample
      >>> options = {"kernels": ANY_MODE, "rngs": nnx.Rngs(0), "dtype": jnp.float32}
      >>> ResidualDownsample(1, 8, **options)(jnp.zeros((2, 28, 28, 1))).shape
      (2, 7, 7, 8)
    """

    def __init__(
        self,
        channels: int,
        width: int,
        blocks: int = 2,
        *,
        kernels: Kernels,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
    ) -> None:
        self.conv = Conv(channels, width, 3, kernels=kernels, rngs=rngs, dtype=dtype)
        self.blocks = nnx.List(
            [HalvingBlock(width, kernels=kernels, rngs=rngs, dtype=dtype) for _ in range(blocks)]
        )

    def __call__(self, images: Images) -> Float[Array, "B rows columns width"]:
        """The initial state of the chain of blocks: [B, H, W, channels] → [B, H', W', width]."""
        out = self.conv(images)
        for block in self.blocks:
            out = block(out)
        return out
