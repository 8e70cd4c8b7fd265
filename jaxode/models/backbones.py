"""Backbones of a detector: from images to one feature map and the statistics of its solves."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float

from jaxode.models.bottleneck_resnet import BottleneckResNet
from jaxode.models.vgg import VGGFeatures
from jaxode.nn.blocks import ResidualBlock
from jaxode.nn.halving_stem import HalvingStem
from jaxode.nn.layers import GroupNorm
from jaxode.nn.ode_block import ODEBlock
from jaxode.ode import Stats
from jaxode.types import Images, Training

Features = Float[Array, "B rows columns width"]


class ODEBackbone(nnx.Module):
    """Stem · a chain of ODE blocks · norm · ReLU: the classifier's parts, without its head.

    Args:
      stem: from images to the state.
      blocks: ODE blocks, in order.
      norm: of the last state.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import ODEBackbone
      >>> from jaxode.nn import ConvField, GroupNorm, HalvingStem, ODEBlock
      >>> def shapes(rngs):
      ...     stem, block = HalvingStem(3, 8, 3, rngs=rngs), ODEBlock(ConvField(8, rngs=rngs))
      ...     return ODEBackbone(stem, [block], GroupNorm(8))(jnp.ones((1, 32, 32, 3)))
      >>> maps, stats = nnx.eval_shape(shapes, nnx.Rngs(0))
      >>> maps.shape, stats.nfe.shape
      ((1, 4, 4, 8), (1,))
    """

    def __init__(self, stem: HalvingStem, blocks: Sequence[ODEBlock], norm: GroupNorm) -> None:
        self.stem, self.blocks, self.norm = stem, nnx.List(blocks), norm

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Features, Stats]:
        """The feature map, and each block's statistics; training changes nothing."""
        z, stats = self.stem(images), []
        for block in self.blocks:
            z, found = block(z)
            stats.append(found)
        return jax.nn.relu(self.norm(z)), Stats.chain(stats)


class ResidualBackbone(nnx.Module):
    """The ODE backbone's discrete counterpart: residual blocks in place of ODE blocks.

    Args:
      stem: from images to maps.
      blocks: residual blocks, in order.
      norm: of the last map.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import ResidualBackbone
      >>> from jaxode.nn import GroupNorm, HalvingStem
      >>> def shapes(rngs):
      ...     stem = HalvingStem(3, 8, 4, rngs=rngs)
      ...     return ResidualBackbone(stem, [], GroupNorm(8))(jnp.ones((1, 32, 32, 3)))
      >>> maps, stats = nnx.eval_shape(shapes, nnx.Rngs(0))
      >>> maps.shape, stats.nfe.shape
      ((1, 2, 2, 8), (0,))
    """

    def __init__(self, stem: HalvingStem, blocks: Sequence[ResidualBlock], norm: GroupNorm) -> None:
        self.stem, self.blocks, self.norm = stem, nnx.List(blocks), norm

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Features, Stats]:
        """The feature map, and empty statistics; training changes nothing."""
        z = self.stem(images)
        for block in self.blocks:
            z = block(z)
        return jax.nn.relu(self.norm(z)), Stats.chain([])


class PyramidBackbone(nnx.Module):
    """One map of a network of torchvision's layout: ResNet-101 up to a stage, VGG-16 likewise.

    Batch norm has the statistics of the batch in training, and running ones in evaluation.

    Source: Ren et al. 2015, "Faster R-CNN", for VGG-16 before its last pooling; He et al. 2016,
    "Deep Residual Learning", appendix A, for ResNet-101 up to its stage conv4.

    Args:
      network: has `pyramid`.
      level: place of the map in what `pyramid` returns.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode.models import PyramidBackbone
      >>> from jaxode.models.vgg import VGGFeatures
      >>> def shapes(rngs):
      ...     network = VGGFeatures(3, [(8,), (16,)], rngs=rngs)
      ...     return PyramidBackbone(network, 1)(jnp.ones((1, 16, 16, 3)))
      >>> maps, stats = nnx.eval_shape(shapes, nnx.Rngs(0))
      >>> maps.shape, stats.nfe.shape
      ((1, 8, 8, 16), (0,))
    """

    def __init__(self, network: VGGFeatures | BottleneckResNet, level: int) -> None:
        self.network, self.level = network, level

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Features, Stats]:
        """The feature map, and empty statistics; training updates running statistics."""
        return self.network.pyramid(images, training)[self.level], Stats.chain([])
