"""Neural ODE classifier: a stem, a chain of ODE blocks, a head."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flax import nnx
from jaxtyping import Array, Float

from jaxode.config import MODEL_FACTS
from jaxode.models.base import Model, Request, register_model
from jaxode.models.stem import Stem, build_stem
from jaxode.nn.blocks import augmented
from jaxode.nn.fields import ConvField
from jaxode.nn.heads import Head
from jaxode.nn.ode_block import ODEBlock
from jaxode.ode import Stats
from jaxode.types import Images, Logits, Maps, Training

Block = Callable[[Maps], tuple[Maps, Stats]]
"""A module from a state to a state of the same shape and statistics: an `ODEBlock`."""


class ODENet(nnx.Module):
    """Downsampling · a chain of ODE blocks · head.

    With augmentation, zero channels are appended to the state of the first block. Later blocks and
    the head receive all channels, as in the ConvODENet of Dupont, Doucet and Teh.

    Source: Chen et al. 2018, "Neural Ordinary Differential Equations", section 3; Gładzik 2019 for
    chains; Dupont, Doucet and Teh 2019, "Augmented Neural ODEs".

    Args:
      downsample: from images to the state [B, H', W', width].
      blocks: ODE blocks, in order; each maps a state to a state and its statistics.
      head: from the last state to logits.
      augment: zero channels that are appended to the state.

    Example:
      >>> import jax.numpy as jnp
      >>> from flax import nnx
      >>> from jaxode import create_model
      >>> model = create_model("odenet", image_shape=(28, 28, 1), classes=10, rngs=nnx.Rngs(0))
      >>> logits, stats = model(jnp.zeros((1, 28, 28, 1)))
      >>> type(model).__name__, logits.shape, stats.nfe.shape
      ('ODENet', (1, 10), (1,))
    """

    def __init__(
        self, downsample: Stem, blocks: Sequence[Block], head: Head, augment: int = 0
    ) -> None:
        self.downsample, self.blocks, self.head = downsample, nnx.List(blocks), head
        self.augment = augment

    def features(self, images: Images) -> tuple[Float[Array, "B rows columns width"], Stats]:
        """The state after the last block, and each block's statistics [blocks]."""
        z, stats = augmented(self.downsample(images), self.augment), []
        for block in self.blocks:
            z, block_stats = block(z)
            stats.append(block_stats)
        return z, Stats.chain(stats)

    def __call__(self, images: Images, training: Training | None = None) -> tuple[Logits, Stats]:
        """Logits [B, K] of images [B, H, W, C], and each block's statistics [blocks]."""
        z, stats = self.features(images)
        return self.head(z), stats


def build(request: Request) -> ODENet:
    """An ODENet with initial parameters of PyTorch's distributions."""
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
