"""VGG with batch norm in torchvision's layout."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import require
from jaxode.nn.batchnorm import BatchNorm, torch_batch_norm
from jaxode.nn.dropout import Dropout
from jaxode.nn.initialisation import fan_out_normal, small_normal, zeros
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import Conv, Linear
from jaxode.nn.pooling import adaptive_average_pool, max_pool
from jaxode.types import Images, Logits, Maps, MapsOfASize, Training

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions of each stage: configuration D of the paper."""

HIDDEN = 4096
"""Units of the classifier's two hidden layers."""

SIDE = 7
"""Pixels a side of the map that the classifier reads."""


class ReLU(nnx.Module):
    """max(x, 0), a layer that has a number of its own in torchvision's list."""

    def __call__(self, x: Maps) -> MapsOfASize:
        """[B, H, W, C] → [B, H, W, C]."""
        return jax.nn.relu(x)


class MaxPool(nnx.Module):
    """2x2 max pooling, a layer that has a number of its own in torchvision's list."""

    def __call__(self, x: Maps) -> Float[Array, "B {x.shape[1]//2} {x.shape[2]//2} C"]:
        """[B, H, W, C] → [B, H // 2, W // 2, C]."""
        return max_pool(x)


class VGGFeatures(nnx.Module):
    """The convolutional part: 3x3 convolutions, batch norms, ReLUs and max pools.

    Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks"; `features` of
    torchvision's `vgg16_bn`, whose numbers the layers have.

    Args:
      channels: of the images.
      stages: channels of the convolutions of each stage, which ends with a max pool.
      kernels: convolution; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models.vgg import VGGFeatures
      >>> def pyramid(images):
      ...     return VGGFeatures(3, [(8, 8), (16, 16)], rngs=nnx.Rngs(0)).pyramid(images)
      >>> [maps.shape for maps in jax.eval_shape(pyramid, jnp.ones((1, 16, 24, 3)))]
      [(1, 16, 24, 8), (1, 8, 12, 16), (1, 4, 6, 16)]
    """

    def __init__(
        self,
        channels: int,
        stages: Sequence[Sequence[int]] = VGG16,
        *,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        both: dict[str, Any] = {
            "initial": (fan_out_normal, zeros),
            "kernels": kernels or choose_kernels(),
            "rngs": rngs,
        }
        layers: list[nnx.Module] = []
        for stage in stages:
            for width in stage:
                conv = Conv(channels, width, 3, padding=1, **both, dtype=dtype)
                layers += [conv, torch_batch_norm(width, dtype), ReLU()]
                channels = width
            layers.append(MaxPool())
        self.layers = nnx.List(layers)

    def pyramid(self, images: Images, training: Training | None = None) -> list[MapsOfASize]:
        """The map before each max pool, and the one after the last."""
        maps, out = [], images
        for layer in self.layers:
            if isinstance(layer, MaxPool):
                maps.append(out)
            out = layer(out, training) if isinstance(layer, BatchNorm) else layer(out)
        return [*maps, out]

    def __call__(
        self, images: Images, training: Training | None = None
    ) -> Float[Array, "B rows columns O"]:
        """The last map, a side 2⁻⁵ of the images' with five stages."""
        return self.pyramid(images, training)[-1]


class VGG(nnx.Module):
    """Features · 7x7 average pooling · three linear layers with ReLU and dropout between.

    With 1000 classes vgg16_bn has 138 365 992 parameters. Its numbers travel from and to a
    state_dict of torchvision by `jaxode.interop.from_torch` and `to_torch`.

    Source: Simonyan and Zisserman 2015, configuration D; torchvision's `vgg16_bn`.

    Args:
      classes: K, number of logits.
      channels: of the images.
      width: times the published channels and hidden units.
      dropout: rate of the two dropout layers.
      kernels: convolution; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: a width that leaves no whole number of channels.

    Example:
      >>> from flax import nnx
      >>> from jaxode.models import VGG, parameter_count
      >>> parameter_count(nnx.eval_shape(lambda: VGG(rngs=nnx.Rngs(0))))
      138365992
    """

    def __init__(
        self,
        classes: int = 1000,
        channels: int = 3,
        *,
        width: float = 1.0,
        dropout: float = 0.5,
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        stages, hidden = scaled_stages(width), scaled(HIDDEN, width)
        self.features = VGGFeatures(channels, stages, kernels=kernels, rngs=rngs, dtype=dtype)
        sizes = (stages[-1][-1] * SIDE**2, hidden, hidden, classes)
        one, two, three = (
            Linear(*pair, initial=(small_normal, zeros), rngs=rngs, dtype=dtype)
            for pair in pairwise(sizes)
        )
        drop = [Dropout(dropout, index) for index in range(2)]
        self.classifier = nnx.List([one, ReLU(), drop[0], two, ReLU(), drop[1], three])

    def __call__(self, images: Images, training: Training | None = None) -> Logits:
        """Logits [B, K] of images [B, H, W, C]; training updates running statistics."""
        maps = adaptive_average_pool(self.features(images, training), SIDE)
        out = maps.transpose(0, 3, 1, 2).reshape(len(maps), -1)  # channels first, as in PyTorch
        for layer in self.classifier:
            out = layer(out, training) if isinstance(layer, Dropout) else layer(out)
        return out


def scaled(channels: int, width: float) -> int:
    """A number of channels times a width. Raises ConfigError if that is no whole number from 1."""
    found = round(channels * width)
    require(
        found >= 1 and abs(found - channels * width) < 1e-6,
        "width",
        width,
        f"a factor that makes whole numbers of {channels} channels",
    )
    return found


def scaled_stages(width: float) -> list[tuple[int, ...]]:
    """VGG-16's channels times a width. Raises ConfigError as `scaled`."""
    return [tuple(scaled(channels, width) for channels in stage) for stage in VGG16]
