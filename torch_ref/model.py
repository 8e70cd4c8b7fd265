"""The classifiers in PyTorch, laid out as torchdiffeq's example `odenet_mnist.py` lays them out.

A classifier is one nn.Sequential of downsampling, feature and head layers, and a time-concatenated
convolution keeps its weights in `_layer`, so that state_dict keys such as
`7.odefunc.conv1._layer.weight` are those of that script.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torch_ref.solve import Settings, Solver


def norm(channels: int) -> nn.GroupNorm:
    """Group norm over as many groups as divide the channels, at most 32."""
    groups = min(32, channels)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


class ConcatConv2d(nn.Module):
    """3x3 convolution, padding 1, of z with one more channel, the first, filled with t."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._layer = nn.Conv2d(width + 1, width, 3, padding=1)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W]."""
        plane = torch.ones_like(z[:, :1]) * t
        return self._layer(torch.cat([plane, z], 1))


class ODEFunc(nn.Module):
    """norm · ReLU · conv · norm · ReLU · conv · norm, counting its evaluations in `nfe`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = norm(width)
        self.conv1 = ConcatConv2d(width)
        self.norm2 = norm(width)
        self.conv2 = ConcatConv2d(width)
        self.norm3 = norm(width)
        self.nfe = 0

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt at time t."""
        self.nfe += 1
        out = self.conv1(t, torch.relu(self.norm1(z)))
        out = self.conv2(t, torch.relu(self.norm2(out)))
        return self.norm3(out)


class ODEBlock(nn.Module):
    """z(1) of dz/dt = f(t, z), z(0) the input, with `augment` channels of zeros behind its own."""

    def __init__(self, odefunc: ODEFunc, settings: Settings, augment: int = 0) -> None:
        super().__init__()
        self.odefunc, self.augment = odefunc, augment
        self.solver = Solver(settings)

    def forward(self, z: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C + augment, H, W]."""
        if self.augment:
            z = torch.cat([z, z.new_zeros(len(z), self.augment, *z.shape[2:])], 1)
        return self.solver(self.odefunc, z)


class ResBlock(nn.Module):
    """z + conv(ReLU(norm(conv(ReLU(norm(z)))))), convolutions without bias.

    One that halves the map has a stride of 2 in its first convolution, and in place of z a 1x1
    convolution of stride 2 of ReLU(norm(z)).
    """

    def __init__(self, width: int, *, halves: bool = False) -> None:
        super().__init__()
        stride = 2 if halves else 1
        self.norm1 = norm(width)
        self.downsample = nn.Conv2d(width, width, 1, stride, bias=False) if halves else None
        self.conv1 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.norm2 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H, W], or half as many rows and columns, rounded up."""
        out = torch.relu(self.norm1(z))
        shortcut = z if self.downsample is None else self.downsample(out)
        return shortcut + self.conv2(torch.relu(self.norm2(self.conv1(out))))


def build(
    kind: str,
    blocks: int,
    *,
    channels: int,
    classes: int,
    width: int = 64,
    augment: int = 0,
    convolutions: int = 3,
    downsampling: str = "conv",
    side: int = 28,
    settings: Settings = Settings(),  # noqa: B008 - frozen
) -> nn.Sequential:
    """An odenet, resnet or mlp for images [B, channels, side, side].

    Args:
      kind: "odenet", "resnet" or "mlp".
      blocks: ODE blocks or residual blocks in the chain; an mlp has none.
      channels: of an image.
      classes: outputs of the last layer.
      width: channels of the feature maps.
      augment: channels that the state of an odenet's blocks has more than the downsampled map
        (Dupont, Doucet and Teh 2019). They are appended in the first block, so that every layer
        keeps its place in the nn.Sequential.
      convolutions: of the downsampling segment, the first of stride 1, the others of stride 2.
      downsampling: "conv"; or "res", which has residual blocks in place of the convolutions of
        stride 2.
      side: of an image in pixels; only an mlp depends on it.
      settings: of the solve in every ODE block.
    """
    if kind == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(channels * side * side, 300), nn.ReLU(), nn.Linear(300, classes)
        )
    segment: list[nn.Module] = [nn.Conv2d(channels, width, 3)]
    for _ in range(convolutions - 1):
        if downsampling == "res":
            segment.append(ResBlock(width, halves=True))
        else:
            segment += [norm(width), nn.ReLU(), nn.Conv2d(width, width, 4, 2, 1)]
    if kind == "odenet":
        more = [augment, *[0] * (blocks - 1)][:blocks]
        width += sum(more)
        feature: list[nn.Module] = [ODEBlock(ODEFunc(width), settings, each) for each in more]
    else:
        feature = [ResBlock(width) for _ in range(blocks)]
    head = [
        norm(width),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, classes),
    ]
    return nn.Sequential(*segment, *feature, *head)
