"""Neural ODE: a stem, a chain of ODE blocks, a head (Chen et al. 2018, section 3)."""

from __future__ import annotations

from flax import nnx

from jaxode.config import MODEL_FACTS
from jaxode.models.base import Model, Request, register_model
from jaxode.models.stem import build_stem
from jaxode.nn.blocks import augmented
from jaxode.nn.fields import ConvField
from jaxode.nn.heads import Head
from jaxode.nn.ode_block import ODEBlock
from jaxode.nn.stems import Downsample
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Maps, Training


class ODENet(nnx.Module):
    """Downsampling · a chain of ODE blocks · head.

    Augmented (Dupont, Doucet and Teh 2019), the state of the blocks has more channels than the
    downsampled map: they stand last and are zero where the first block starts; a later block goes
    on with what they have become. The head reads them too, as the last layer of the authors'
    ConvODENet does.
    """

    def __init__(
        self, downsample: Downsample, blocks: list[ODEBlock], head: Head, augment: int = 0
    ) -> None:
        """The three segments; `augment` is how many channels more blocks and head have."""
        self.downsample, self.blocks, self.head = downsample, nnx.List(blocks), head
        self.augment = augment

    def features(self, images: Images) -> tuple[Maps, Stats]:
        """The state after the last block."""
        z, stats = augmented(self.downsample(images), self.augment), []
        for block in self.blocks:
            z, block_stats = block(z)
            stats.append(block_stats)
        return z, Stats.chain(stats)

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, classes] and each block's statistics [blocks]."""
        z, stats = self.features(images)
        return self.head(z), stats


def build(request: Request) -> ODENet:
    """An ODENet with fresh parameters, drawn as PyTorch draws them."""
    model, shared = request.model, {"rngs": request.rngs, "dtype": request.dtype}
    downsample = build_stem(request)
    width = model.width + model.augment_dims
    fields = [
        ConvField(width, kernels=request.field_kernels, **shared) for _ in range(model.blocks or 0)
    ]
    head = Head(width, request.classes, kernels=request.kernels, **shared)
    blocks = [ODEBlock(field, request.solve) for field in fields]
    return ODENet(downsample, blocks, head, model.augment_dims)


register_model(Model(MODEL_FACTS["odenet"], build))
