"""Convolutional classifiers of two-band radar images: residual, and with an ODE block.

Source: B. Thind, "A Gentle Introduction to Neural Differential Equations", for the residual one.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import require
from jaxode.config import MODEL_FACTS
from jaxode.models.base import Model, Request, register_model
from jaxode.nn.batchnorm import BatchNorm
from jaxode.nn.dropout import Dropout
from jaxode.nn.fields import ConvField
from jaxode.nn.kernels import Kernels
from jaxode.nn.layers import Conv, Linear
from jaxode.nn.ode_block import ODEBlock
from jaxode.nn.pooling import max_pool
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Maps, Training

CLASSES = 2
WIDTH = 64
"""Channels of the maps between stem, blocks and head: those of the ODE's state."""

SMALLEST_SIDE = 32
"""Pixels a side; five poolings leave no pixel of a smaller image."""


class ConvUnit(nnx.Module):
    """5x5 convolution of padding 2 · batch norm · ELU.

    Args:
      inner: channels of the input.
      outer: channels of the output.
      kernels: convolution.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(
        self, inner: int, outer: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        self.conv = Conv(inner, outer, 5, padding=2, kernels=kernels, rngs=rngs, dtype=dtype)
        self.norm = BatchNorm(outer, dtype=dtype)

    def __call__(
        self, x: Float[Array, "B H W I"], training: Training | None = None
    ) -> Float[Array, "B H W O"]:
        """[B, H, W, inner] → [B, H, W, outer]."""
        return jax.nn.elu(self.norm(self.conv(x), training))


class DenseUnit(nnx.Module):
    """Linear · batch norm · ELU · dropout 0.5.

    Args:
      inner: units of the input.
      outer: units of the output.
      index: of the dropout layer in the model.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(
        self, inner: int, outer: int, index: int, *, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        self.linear = Linear(inner, outer, rngs=rngs, dtype=dtype)
        self.norm = BatchNorm(outer, dtype=dtype)
        self.dropout = Dropout(0.5, index)

    def __call__(
        self, x: Float[Array, "B I"], training: Training | None = None
    ) -> Float[Array, "B O"]:
        """[B, inner] → [B, outer]."""
        return self.dropout(jax.nn.elu(self.norm(self.linear(x), training)), training)


class Stem(nnx.Module):
    """Batch norm · 2 × (unit · max pool · dropout 0.25): 75x75 maps to [B, 18, 18, 64].

    Args:
      channels: of the images.
      kernels: convolution.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(
        self, channels: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: DTypeLike
    ) -> None:
        self.norm = BatchNorm(channels, dtype=dtype)
        self.unit1 = ConvUnit(channels, 32, kernels=kernels, rngs=rngs, dtype=dtype)
        self.dropout1 = Dropout(0.25, 0)
        self.unit2 = ConvUnit(32, WIDTH, kernels=kernels, rngs=rngs, dtype=dtype)
        self.dropout2 = Dropout(0.25, 1)

    def __call__(
        self, images: Images, training: Training | None = None
    ) -> Float[Array, "B {images.shape[1]//4} {images.shape[2]//4} width"]:
        """The input of the blocks: [B, H, W, C] → [B, H // 4, W // 4, 64]."""
        out = max_pool(self.unit1(self.norm(images, training), training))
        out = max_pool(self.unit2(self.dropout1(out, training), training))
        return self.dropout2(out, training)


class ResidualBlock(nnx.Module):
    """z + [batch norm · unit of 128 channels · dropout 0.25 · unit of 64 channels](z).

    Args:
      index: of the dropout layer in the model.
      kernels: convolution.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(self, index: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.norm = BatchNorm(WIDTH, dtype=dtype)
        self.unit1 = ConvUnit(WIDTH, 2 * WIDTH, kernels=kernels, rngs=rngs, dtype=dtype)
        self.dropout = Dropout(0.25, index)
        self.unit2 = ConvUnit(2 * WIDTH, WIDTH, kernels=kernels, rngs=rngs, dtype=dtype)

    def __call__(self, z: Maps, training: Training | None = None) -> Maps:
        """[B, H, W, 64] → [B, H, W, 64]."""
        out = self.dropout(self.unit1(self.norm(z, training), training), training)
        return z + self.unit2(out, training)


class Head(nnx.Module):
    """Three units with max pools, the maximum over the pixels, two dense units and a linear layer.

    unit 128 · max pool · 2 × (unit 256, 512 · dropout 0.25 · max pool) · global max pool · dense
    512 · dense 256 · 2.

    Args:
      index: of the first dropout layer in the model; the others follow.
      kernels: convolution.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(self, index: int, *, kernels: Kernels, rngs: nnx.Rngs, dtype: DTypeLike) -> None:
        self.unit1 = ConvUnit(WIDTH, 128, kernels=kernels, rngs=rngs, dtype=dtype)
        self.unit2 = ConvUnit(128, 256, kernels=kernels, rngs=rngs, dtype=dtype)
        self.dropout2 = Dropout(0.25, index)
        self.unit3 = ConvUnit(256, 512, kernels=kernels, rngs=rngs, dtype=dtype)
        self.dropout3 = Dropout(0.25, index + 1)
        self.dense1 = DenseUnit(512, 512, index + 2, rngs=rngs, dtype=dtype)
        self.dense2 = DenseUnit(512, 256, index + 3, rngs=rngs, dtype=dtype)
        self.linear = Linear(256, CLASSES, rngs=rngs, dtype=dtype)

    def __call__(self, z: Maps, training: Training | None = None) -> Logits:
        """Logits [B, 2] of maps [B, H, W, 64]."""
        out = max_pool(self.unit1(z, training))
        out = max_pool(self.dropout2(self.unit2(out, training), training))
        out = max_pool(self.dropout3(self.unit3(out, training), training))
        return self.linear(self.dense2(self.dense1(out.max((1, 2)), training), training))


class IcebergNet(nnx.Module):
    """Stem · blocks · head: with two residual blocks the cnn, with one ODE block the odecnn.

    Of three channels, the cnn has 5 574 024 parameters and the odecnn 4 828 808.

    Source: B. Thind, "A Gentle Introduction to Neural Differential Equations" (the cnn).

    Args:
      downsample: the stem.
      blocks: residual or ODE blocks, in order.
      head: from the last map to logits.

    Example:
      >>> from flax import nnx
      >>> from jaxode import create_model
      >>> from jaxode.models import parameter_count
      >>> model = create_model("odecnn", image_shape=(75, 75, 3), classes=2, rngs=nnx.Rngs(0))
      >>> type(model).__name__, parameter_count(model)
      ('IcebergNet', 4828808)
    """

    def __init__(
        self, downsample: Stem, blocks: Sequence[ResidualBlock | ODEBlock], head: Head
    ) -> None:
        self.downsample, self.blocks, self.head = downsample, nnx.List(blocks), head

    def features(
        self, images: Images, training: Training | None = None
    ) -> tuple[Float[Array, "B rows columns width"], Stats]:
        """The map after the last block, and each ODE block's statistics [blocks]."""
        z, stats = self.downsample(images, training), []
        for block in self.blocks:
            if isinstance(block, ODEBlock):
                z, block_stats = block(z)
                stats.append(block_stats)
            else:
                z = block(z, training)
        return z, Stats.chain(stats)

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, 2] of images [B, H, W, C], and each ODE block's statistics [blocks].

        With `training`, batch norm's running statistics are updated.
        """
        z, stats = self.features(images, training)
        return self.head(z, training), stats


def build_cnn(request: Request) -> IcebergNet:
    """The residual net with initial parameters of PyTorch's distributions."""
    shared = {"kernels": request.kernels, "rngs": request.rngs, "dtype": request.dtype}
    stem = _stem(request)
    blocks = [ResidualBlock(index, **shared) for index in (2, 3)]
    return IcebergNet(stem, blocks, Head(4, **shared))


def build_odecnn(request: Request) -> IcebergNet:
    """The net with one ODE block, with initial parameters of PyTorch's distributions."""
    shared = {"rngs": request.rngs, "dtype": request.dtype}
    stem = _stem(request)
    block = ODEBlock(ConvField(WIDTH, kernels=request.field_kernels, **shared), request.solve)
    return IcebergNet(stem, [block], Head(4, kernels=request.kernels, **shared))


def _stem(request: Request) -> Stem:
    height, width, channels = request.image_shape
    large = min(height, width) >= SMALLEST_SIDE
    require(large, "image_shape", f"{height} x {width}", f"at least {SMALLEST_SIDE} pixels a side")
    return Stem(channels, kernels=request.kernels, rngs=request.rngs, dtype=request.dtype)


for _name, _build in (("cnn", build_cnn), ("odecnn", build_odecnn)):
    register_model(Model(MODEL_FACTS[_name], _build))
