"""ResNet-50 and ResNet-101 in torchvision's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from jaxode.checks import require_choice
from jaxode.models.vgg import scaled
from jaxode.nn.batchnorm import torch_batch_norm
from jaxode.nn.initialisation import fan_out_normal, zeros
from jaxode.nn.kernels import Kernels, choose_kernels
from jaxode.nn.layers import Conv, Linear
from jaxode.nn.pooling import overlapping_max_pool
from jaxode.types import Images, Logits, MapsOfASize, Training

RESNET50, RESNET101 = (3, 4, 6, 3), (3, 4, 23, 3)
"""Blocks of each stage."""

EXPANSION = 4
"""Channels of a block's output over those of its 3x3 convolution."""

StemKind = Literal["imagenet", "cifar"]
"""A 7x7 convolution of stride 2 and a max pool; or a 3x3 convolution of stride 1 (Krizhevsky's
images are small)."""


def _conv(inner: int, outer: int, size: int, stride: int = 1, **both: Any) -> Conv:
    """A convolution without bias that keeps the sides or divides them by the stride."""
    options: dict[str, Any] = {"stride": stride, "padding": size // 2, "bias": False}
    return Conv(inner, outer, size, initial=(fan_out_normal, zeros), **options, **both)


class Shortcut(nnx.Module):
    """1x1 convolution · batch norm, where a block changes the shape of the map."""

    def __init__(
        self,
        inner: int,
        outer: int,
        stride: int,
        *,
        kernels: Kernels,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
    ) -> None:
        self.stride = stride
        # Of stride 1 on every second pixel: as a product of 2x2 patches it would take four times
        # the work.
        conv = _conv(inner, outer, 1, kernels=kernels, rngs=rngs, dtype=dtype)
        self.layers: nnx.List[Any] = nnx.List([conv, torch_batch_norm(outer, dtype)])

    def __call__(
        self, x: Float[Array, "B H W I"], training: Training | None = None
    ) -> Float[Array, "B rows columns O"]:
        """[B, H, W, inner] → [B, ⌈H / stride⌉, ⌈W / stride⌉, outer]."""
        conv, norm = self.layers
        return norm(conv(x[:, :: self.stride, :: self.stride]), training)


class Bottleneck(nnx.Module):
    """ReLU(shortcut(x) + norm(conv1x1(ReLU(norm(conv3x3(ReLU(norm(conv1x1(x)))))))).

    Source: He et al. 2016, "Deep Residual Learning", figure 5, with the stride in the 3x3
    convolution, as in torchvision.

    Args:
      inner: channels of the input.
      width: channels of the 3x3 convolution.
      stride: of the 3x3 convolution.
      kernels: convolution.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.
    """

    def __init__(
        self,
        inner: int,
        width: int,
        stride: int,
        *,
        kernels: Kernels,
        rngs: nnx.Rngs,
        dtype: DTypeLike,
    ) -> None:
        outer = EXPANSION * width

        both: dict[str, Any] = {"kernels": kernels, "rngs": rngs, "dtype": dtype}
        self.conv1, self.bn1 = _conv(inner, width, 1, **both), torch_batch_norm(width, dtype)
        self.conv2, self.bn2 = (
            _conv(width, width, 3, stride, **both),
            torch_batch_norm(width, dtype),
        )
        self.conv3, self.bn3 = _conv(width, outer, 1, **both), torch_batch_norm(outer, dtype)
        changes = stride > 1 or inner != outer
        self.downsample = Shortcut(inner, outer, stride, **both) if changes else None

    def __call__(
        self, x: Float[Array, "B H W I"], training: Training | None = None
    ) -> Float[Array, "B rows columns O"]:
        """[B, H, W, inner] → [B, ⌈H / stride⌉, ⌈W / stride⌉, 4 width]."""
        out = jax.nn.relu(self.bn1(self.conv1(x), training))
        out = jax.nn.relu(self.bn2(self.conv2(out), training))
        out = self.bn3(self.conv3(out), training)
        skipped = x if self.downsample is None else self.downsample(x, training)
        return jax.nn.relu(out + skipped)


class BottleneckResNet(nnx.Module):
    """Stem · four stages of bottleneck blocks · mean over the pixels · linear.

    With 1000 classes ResNet-101 has 44 549 160 parameters, ResNet-50 25 557 032. Numbers travel
    from and to a state_dict of torchvision by `jaxode.interop.from_torch` and `to_torch`.

    Source: He et al. 2016, "Deep Residual Learning", table 1; torchvision's `resnet50` and
    `resnet101`.

    Args:
      classes: K, number of logits.
      blocks: of each of the four stages, RESNET50 or RESNET101 say.
      channels: of the images.
      width: times the published channels.
      stem: for large images, or for those of CIFAR.
      kernels: convolution; None for the quickest in float32.
      rngs: stream `params` of keys.
      dtype: floating-point type of the parameters.

    Raises:
      ConfigError: a width that leaves no whole number of channels, or an unknown stem.

    Example:
      >>> from flax import nnx
      >>> from jaxode.models import BottleneckResNet, parameter_count
      >>> parameter_count(nnx.eval_shape(lambda: BottleneckResNet(rngs=nnx.Rngs(0))))
      44549160
    """

    def __init__(
        self,
        classes: int = 1000,
        blocks: Sequence[int] = RESNET101,
        channels: int = 3,
        *,
        width: float = 1.0,
        stem: StemKind = "imagenet",
        kernels: Kernels | None = None,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        require_choice("stem", stem, ("imagenet", "cifar"))
        both: dict[str, Any] = {
            "kernels": kernels or choose_kernels(),
            "rngs": rngs,
            "dtype": dtype,
        }
        first = scaled(64, width)
        self.pools = stem == "imagenet"
        size, stride = (7, 2) if self.pools else (3, 1)
        self.conv1 = _conv(channels, first, size, stride, **both)
        self.bn1 = torch_batch_norm(first, dtype)
        inner, stages = first, []
        for number, count in enumerate(blocks):
            stage_width = first * 2**number
            stage = []
            for place in range(count):
                stride = 2 if number and not place else 1
                stage.append(Bottleneck(inner, stage_width, stride, **both))
                inner = EXPANSION * stage_width
            stages.append(nnx.List(stage))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = Linear(inner, classes, rngs=rngs, dtype=dtype)

    def pyramid(self, images: Images, training: Training | None = None) -> list[MapsOfASize]:
        """The map after each stage: a fourth of the images' sides (all of CIFAR's), and halves."""
        out = jax.nn.relu(self.bn1(self.conv1(images), training))
        out = overlapping_max_pool(out) if self.pools else out
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                out = block(out, training)
            maps.append(out)
        return maps

    def __call__(self, images: Images, training: Training | None = None) -> Logits:
        """Logits [B, K] of images [B, H, W, C]; training updates running statistics."""
        return self.fc(self.pyramid(images, training)[-1].mean((1, 2)))
