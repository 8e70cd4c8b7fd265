"""The ODENet's discrete counterpart: residual blocks in place of ODE blocks."""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float

from jaxode.config import MODEL_FACTS
from jaxode.models.base import Model, Request, register_model
from jaxode.models.stem import Stem, build_stem
from jaxode.nn.blocks import ResidualBlock
from jaxode.nn.heads import Head
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Training


class ResNet(nnx.Module):
    """Downsampling · a chain of residual blocks · head.

    Source: Chen et al. 2018, section 3; Gładzik 2019 for the numbers of blocks.

    Args:
      downsample: from images to maps [B, H', W', width].
      blocks: residual blocks, in order.
      head: from the last map to logits.

    Example:
      >>> from flax import nnx
      >>> from jaxode import create_model
      >>> from jaxode.models import parameter_count
      >>> model = create_model("resnet", image_shape=(28, 28, 1), classes=10, rngs=nnx.Rngs(0))
      >>> type(model).__name__, parameter_count(model)
      ('ResNet', 576778)
    """

    def __init__(self, downsample: Stem, blocks: list[ResidualBlock], head: Head) -> None:
        self.downsample, self.blocks, self.head = downsample, nnx.List(blocks), head

    def features(self, images: Images) -> tuple[Float[Array, "B rows columns width"], Stats]:
        """The map after the last block, and empty statistics."""
        z = self.downsample(images)
        for block in self.blocks:
            z = block(z)
        return z, Stats.chain([])

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, K] of images [B, H, W, C], and empty statistics; training changes nothing."""
        z, stats = self.features(images)
        return self.head(z), stats


def build(request: Request) -> ResNet:
    """A ResNet with initial parameters of PyTorch's distributions."""
    model = request.model
    shared = {"kernels": request.kernels, "rngs": request.rngs, "dtype": request.dtype}
    downsample = build_stem(request)
    blocks = [ResidualBlock(model.width, **shared) for _ in range(model.blocks or 0)]
    return ResNet(downsample, blocks, Head(model.width, request.classes, **shared))


register_model(Model(MODEL_FACTS["resnet"], build))
