"""Depth from one picture: an encoder and a decoder that reads its maps from the smallest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.models.depth_encoders import Encoder
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import Conv, GroupNorm
from jaxode.nn.resizing import enlarged
from jaxode.ode import Stats
from jaxode.types import Images, Maps, MapsOfASize, Training


class ConvNormReLU(nnx.Module):
    """3x3 convolution of padding 1 · group norm · ReLU: [B, H, W, I] → [B, H, W, O]."""

    def __init__(
        self, inner: int, outer: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        both: dict[str, Any] = {"kernels": kernels, "dtype": dtype}
        self.conv = Conv(inner, outer, 3, padding=1, bias=False, rngs=rngs, **both)
        self.norm = GroupNorm(outer, **both)

    def __call__(self, x: Maps) -> MapsOfASize:
        """The map of the same sides."""
        return jax.nn.relu(self.norm(self.conv(x)))


class DepthDecoder(nnx.Module):
    """From maps of several scales to the logarithm of depth.

    Every map goes through a 1x1 convolution to `width` channels. From the smallest on, the sum so
    far is enlarged, the next map is added, and a 3x3 convolution, group norm and ReLU follow. To
    the smallest, its mean over the pixels is added, so that every pixel knows of the whole picture.
    At half of the picture's sides a last 3x3 convolution gives the logarithm, which is enlarged.

    Source: Lin et al. 2017, "Feature Pyramid Networks", for the way from the smallest map to the
    largest.

    Args:
      channels: of the maps, from the largest to the smallest.
      width: channels of the decoder, a multiple of 4.
      kernels: convolution and group norm; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models.depth import DepthDecoder
      >>> def log_depth(maps):
      ...     return DepthDecoder((4, 8), 8, rngs=nnx.Rngs(0))(maps, (24, 32))
      >>> jax.eval_shape(log_depth, [jnp.ones((1, 6, 8, 4)), jnp.ones((1, 3, 4, 8))]).shape
      (1, 24, 32)
    """

    def __init__(
        self,
        channels: Sequence[int],
        width: int = 64,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        both: dict[str, Any] = {
            "kernels": kernels or choose_kernels(), "rngs": rngs, "dtype": dtype
        }  # fmt: skip
        self.laterals = nnx.List([Conv(count, width, 1, **both) for count in channels])
        self.merges = nnx.List([ConvNormReLU(width, width, **both) for _ in channels])
        self.narrow = ConvNormReLU(width, width // 2, **both)
        self.refine = ConvNormReLU(width // 2, width // 4, **both)
        self.last = Conv(width // 4, 1, 3, padding=1, **both)

    def __call__(
        self, maps: Sequence[MapsOfASize], size: tuple[int, int]
    ) -> Float[Array, "B {size[0]} {size[1]}"]:
        """The logarithm of depth [B, H, W] for pictures of H x W pixels, but for a constant.

        Args:
          maps: of the encoder, from the largest to the smallest.
          size: H and W.
        """
        out = self.laterals[-1](maps[-1])
        out = self.merges[-1](out + out.mean((1, 2), keepdims=True))
        for number in reversed(range(len(maps) - 1)):
            lateral = self.laterals[number](maps[number])
            _, rows, columns, _ = lateral.shape
            out = self.merges[number](enlarged(out, (rows, columns)) + lateral)
        out = enlarged(self.narrow(out), (size[0] // 2, size[1] // 2))
        return enlarged(self.last(self.refine(out)), size)[..., 0]


class DepthNet(nnx.Module):
    """An encoder and a decoder: pictures to the logarithm of depth in metres.

    Args:
      encoder: of `jaxode.models.depth_encoders`, or a module of your own that has its members.
      decoder: reads the encoder's maps.
      mean_log_depth: what is added to the decoder's result: the mean over the training pixels.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode import SolveConfig
      >>> from jaxode.models.depth import DepthDecoder, DepthNet
      >>> from jaxode.models.depth_encoders import ChainEncoder
      >>> def log_depth(images):
      ...     encoder = ChainEncoder(8, SolveConfig(), rngs=nnx.Rngs(0))
      ...     return DepthNet(encoder, DepthDecoder((8,) * 4, 8, rngs=nnx.Rngs(1)))(images)
      >>> found, stats = jax.eval_shape(log_depth, jnp.ones((1, 32, 64, 3)))
      >>> found.shape, stats.nfe.shape
      ((1, 32, 64), (4,))
    """

    def __init__(
        self, encoder: Encoder, decoder: DepthDecoder, mean_log_depth: float = 0.0
    ) -> None:
        self.encoder, self.decoder, self.mean_log_depth = encoder, decoder, mean_log_depth

    def __call__(
        self, images: Images, training: Training | None = None
    ) -> tuple[Float[Array, "B {images.shape[1]} {images.shape[2]}"], Stats]:
        """The logarithm of depth in metres [B, H, W], and each ODE's statistics [blocks]."""
        maps, stats = self.encoder(images, training)
        _, height, width, _ = images.shape
        return self.decoder(maps, (height, width)) + self.mean_log_depth, stats
