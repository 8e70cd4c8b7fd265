"""A residual block, and the zero channels of an augmented state."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.nn.kernels import Kernels
from jaxode.nn.layers import Conv, GroupNorm
from jaxode.nn.pre_activation import residual_pre_activations
from jaxode.types import Maps


def augmented(z: Maps, more: int) -> Float[Array, "B H W C+{more}"]:
    """Append channels of zeros to a map.

    Source: Dupont, Doucet and Teh 2019, "Augmented Neural ODEs", section 4.

    Args:
      z: [B, H, W, C].
      more: channels to append, at least 0.

    Returns:
      [B, H, W, C + more], z in the first C channels.
    """
    return jnp.pad(z, ((0, 0), (0, 0), (0, 0), (0, more))) if more else z


class ResidualBlock(nnx.Module):
    """z + conv(ReLU(norm(conv(ReLU(norm(z)))))), convolutions without bias.

    Source: He et al. 2016, "Identity Mappings in Deep Residual Networks", figure 4 (e), full
    pre-activation.

    Args:
      width: C, channels of the maps.
      kernels: convolution and group norm.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(self, width: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.chain = kernels.chain
        self.norm1 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv1 = Conv(
            width, width, 3, padding=1, bias=False, kernels=kernels, rngs=rngs, dtype=dtype
        )
        self.norm2 = GroupNorm(width, kernels=kernels, dtype=dtype)
        self.conv2 = Conv(
            width, width, 3, padding=1, bias=False, kernels=kernels, rngs=rngs, dtype=dtype
        )

    def __call__(self, z: Maps) -> Maps:
        """[B, H, W, C] → [B, H, W, C]."""
        layers = [(self.norm1, self.conv1), (self.norm2, self.conv2)]
        return residual_pre_activations(self.chain, z, layers)
