"""Backbones of a detector in PyTorch: 4x4 convolutions of stride 2, a chain of blocks, norm, ReLU.

jaxode's `HalvingStem`, `ODEBackbone` and `ResidualBackbone`, of the classifiers' parts.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from torch_ref.model import ODEBlock, ODEFunc, ResBlock, norm
from torch_ref.solve import Settings


class Backbone(nn.Module):
    """Images [B, 3, H, W] → a map [B, width, H / 2^halvings, W / 2^halvings].

    Weights: `layers.0` is the first convolution; each further one follows its norm and ReLU; then
    the blocks, the last norm and ReLU.

    Args:
      width: channels of the map.
      halvings: convolutions.
      blocks: of the chain.
    """

    def __init__(self, width: int, halvings: int, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.out_channels = width  # which torchvision asks for
        layers: list[nn.Module] = [nn.Conv2d(3, width // 2, 4, 2, 1)]
        for i in range(halvings - 1):
            inner = width if i else width // 2
            layers += [norm(inner), nn.ReLU(), nn.Conv2d(inner, width, 4, 2, 1)]
        self.layers = nn.Sequential(*layers, *blocks, norm(width), nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        """The map."""
        return self.layers(images)

    @property
    def nfe(self) -> int:
        """Evaluations of the fields so far."""
        fields = (each.odefunc.nfe for each in self.layers if isinstance(each, ODEBlock))
        return sum(fields)


def backbone(
    kind: str,
    width: int,
    halvings: int = 3,
    blocks: int = 1,
    settings: Settings = Settings(),  # noqa: B008 - frozen
) -> Backbone:
    """A backbone with PyTorch's initial weights.

    Args:
      kind: "odenet" or "resnet".
      width: channels of the map.
      halvings: 3 or 4: the map has an eighth or a sixteenth of the image's sides.
      blocks: ODE blocks or residual blocks.
      settings: of the solve in every ODE block.
    """
    made: list[nn.Module] = [
        ODEBlock(ODEFunc(width), settings) if kind == "odenet" else ResBlock(width)
        for _ in range(blocks)
    ]
    return Backbone(width, halvings, made)
