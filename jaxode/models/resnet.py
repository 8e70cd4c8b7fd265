"""The ODENet's discrete counterpart: residual blocks in place of ODE blocks."""

from __future__ import annotations

from flax import nnx

from jaxode.config import MODEL_FACTS
from jaxode.models.base import Model, Request, register_model
from jaxode.models.stem import build_stem
from jaxode.nn.blocks import ResidualBlock
from jaxode.nn.heads import Head
from jaxode.nn.stems import Downsample
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Maps, Training


class ResNet(nnx.Module):
    """Downsampling · a chain of residual blocks · head."""

    def __init__(self, downsample: Downsample, blocks: list[ResidualBlock], head: Head) -> None:
        """The three segments."""
        self.downsample, self.blocks, self.head = downsample, nnx.List(blocks), head

    def features(self, images: Images) -> tuple[Maps, Stats]:
        """The map after the last block; nothing is solved."""
        z = self.downsample(images)
        for block in self.blocks:
            z = block(z)
        return z, Stats.chain([])

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, classes] and empty statistics."""
        z, stats = self.features(images)
        return self.head(z), stats


def build(request: Request) -> ResNet:
    """A ResNet with fresh parameters, drawn as PyTorch draws them."""
    model = request.model
    shared = {"kernels": request.kernels, "rngs": request.rngs, "dtype": request.dtype}
    downsample = build_stem(request)
    blocks = [ResidualBlock(model.width, **shared) for _ in range(model.blocks or 0)]
    return ResNet(downsample, blocks, Head(model.width, request.classes, **shared))


register_model(Model(MODEL_FACTS["resnet"], build))
