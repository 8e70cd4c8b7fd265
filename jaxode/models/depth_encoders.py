"""Encoders of a picture: maps at a fourth of its sides and at halves of that.

Each has `channels`, those of its maps, and maps a picture to the maps and the statistics of solves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from jaxode.config import SolveConfig
from jaxode.models.vgg import VGGFeatures, scaled_stages
from jaxode.nn.blocks import ResidualBlock
from jaxode.nn.fields import ConvField
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import Conv, GroupNorm
from jaxode.nn.ode_block import ODEBlock
from jaxode.ode import Stats
from jaxode.types import Images, Maps, MapsOfASize, Training

SCALES = 4
"""Maps of an encoder: a fourth, an eighth, a sixteenth and a thirty-second of the sides."""


@runtime_checkable
class Encoder(Protocol):
    """What a decoder asks of an encoder."""

    channels: tuple[int, ...]
    """Of the maps, from the largest to the smallest."""

    def __call__(
        self, images: Images, training: Training | None = None
    ) -> tuple[list[MapsOfASize], Stats]:
        """Maps from the largest to the smallest, and the statistics of solves [blocks]."""
        ...


class Halving(nnx.Module):
    """Norm · ReLU · 4x4 convolution of stride 2: [B, H, W, I] → [B, H // 2, W // 2, O]."""

    def __init__(
        self, inner: int, outer: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        both: dict[str, Any] = {"kernels": kernels, "dtype": dtype}
        self.norm = GroupNorm(inner, **both)
        self.conv = Conv(inner, outer, 4, stride=2, padding=1, rngs=rngs, **both)

    def __call__(self, x: Maps) -> MapsOfASize:
        """The map of half of the sides."""
        return self.conv(jax.nn.relu(self.norm(x)))


class ChainEncoder(nnx.Module):
    """Two halvings, then four blocks with a halving between: an ODENet's, or its residual twin.

    Conv 4x4 of stride 2 · halving · block · halving · block · halving · block · halving · block.
    The blocks are ODEs, dz/dt = f(t, z) from 0 to 1, or residual blocks; all else is the same. Most
    of the work is that of the first, at a fourth of the picture's sides.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 3, for the field and
    its ODE in place of residual blocks.

    Args:
      width: channels of all maps.
      solve: how the ODEs are solved; None for residual blocks.
      kernels: of stem and residual blocks; None for the quickest in float32.
      field_kernels: of the fields; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models.depth_encoders import ChainEncoder
      >>> def maps_of(images):
      ...     return ChainEncoder(8, None, rngs=nnx.Rngs(0))(images)
      >>> maps, stats = jax.eval_shape(maps_of, jnp.ones((1, 32, 64, 3)))
      >>> [each.shape[1:] for each in maps], stats.nfe.shape
      ([(8, 16, 8), (4, 8, 8), (2, 4, 8), (1, 2, 8)], (0,))
    """

    def __init__(
        self,
        width: int,
        solve: SolveConfig | None,
        *,
        kernels: Kernels | None = None,
        field_kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        kernels = kernels or choose_kernels()
        both: dict[str, Any] = {"rngs": rngs, "dtype": dtype}
        self.channels = (width,) * SCALES
        self.first = Conv(3, width, 4, stride=2, padding=1, kernels=kernels, **both)
        self.halvings = nnx.List(
            [Halving(width, width, kernels=kernels, **both) for _ in range(SCALES)]
        )
        if solve is None:
            blocks = [ResidualBlock(width, kernels=kernels, **both) for _ in range(SCALES)]
        else:
            fields = [ConvField(width, kernels=field_kernels, **both) for _ in range(SCALES)]
            blocks = [ODEBlock(field, solve) for field in fields]
        self.blocks = nnx.List(blocks)

    def __call__(
        self, images: Images, training: Training | None = None
    ) -> tuple[list[MapsOfASize], Stats]:
        """Maps [B, H / 4, W / 4, width] and so on, and each ODE's statistics [blocks]."""
        z, maps, stats = self.first(images), [], []
        for halving, block in zip(self.halvings, self.blocks, strict=True):
            z = halving(z)
            if isinstance(block, ODEBlock):
                z, found = block(z)
                stats.append(found)
            else:
                z = block(z)
            maps.append(z)
        return maps, Stats.chain(stats)


class VGGEncoder(nnx.Module):
    """VGG-16 with batch norm up to its last max pool, of which four maps are read.

    They are those before the third, fourth and fifth max pool, and the one behind it.

    Source: Simonyan and Zisserman 2015, configuration D; Eigen and Fergus 2015 for its use.

    Args:
      width: times the published channels.
      kernels: convolution; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: a width that leaves no whole number of channels.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import VGGEncoder
      >>> def maps_of(images):
      ...     return VGGEncoder(1 / 16, rngs=nnx.Rngs(0))(images)[0]
      >>> maps = jax.eval_shape(maps_of, jnp.ones((1, 32, 64, 3)))
      >>> [each.shape[1:] for each in maps]
      [(8, 16, 16), (4, 8, 32), (2, 4, 32), (1, 2, 32)]
    """

    def __init__(
        self,
        width: float = 0.25,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        stages = scaled_stages(width)
        self.features = VGGFeatures(3, stages, kernels=kernels, rngs=rngs, dtype=dtype)
        last = [stage[-1] for stage in stages]
        self.channels = (*last[2:], last[-1])

    def __call__(
        self, images: Images, training: Training | None = None
    ) -> tuple[list[MapsOfASize], Stats]:
        """Maps [B, H // 4, W // 4, C] and so on, and empty statistics."""
        return self.features.pyramid(images, training)[2:], Stats.chain([])


ENCODERS: Sequence[str] = ("odenet", "resnet", "vgg16")
"""By name: an ODENet's chain, its residual twin, VGG-16."""
