"""Depth from one picture in PyTorch: three encoders, one decoder, the losses and the errors.

Modules are called as in `jaxode.models.depth` and `depth_encoders`, VGG's layers as torchvision's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.model import ODEBlock, ODEFunc, ResBlock, norm
from torch_ref.solve import Settings
from torch_ref.torchvision_models import vgg16_bn

SCALES = 4


class Halving(nn.Module):
    """Norm · ReLU · 4x4 convolution of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = norm(width)
        self.conv = nn.Conv2d(width, width, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H // 2, W // 2]."""
        return self.conv(torch.relu(self.norm(x)))


class ChainEncoder(nn.Module):
    """Two halvings, then four blocks with a halving between: ODE blocks, or residual ones."""

    def __init__(self, width: int, settings: Settings | None) -> None:
        super().__init__()
        self.channels = (width,) * SCALES
        self.first = nn.Conv2d(3, width, 4, 2, 1)
        self.halvings = nn.ModuleList([Halving(width) for _ in range(SCALES)])
        self.blocks = nn.ModuleList(
            [
                ResBlock(width) if settings is None else ODEBlock(ODEFunc(width), settings)
                for _ in range(SCALES)
            ]
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → maps from the largest to the smallest."""
        z, maps = self.first(images), []
        for halving, block in zip(self.halvings, self.blocks, strict=True):
            z = block(halving(z))
            maps.append(z)
        return maps


class VGGEncoder(nn.Module):
    """torchvision's VGG-16 with batch norm: the maps before its last three pools and the last."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.features: Any = vgg16_bn(1, width).features
        pools = [i for i, layer in enumerate(self.features) if isinstance(layer, nn.MaxPool2d)]
        last = [self.features[i - 3].out_channels for i in pools]
        self.read, self.channels = pools[2:], (*last[2:], last[-1])

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] → maps from the largest to the smallest."""
        out, maps = images, []
        for number, layer in enumerate(self.features):
            if number in self.read:
                maps.append(out)
            out = layer(out)
        return [*maps, out]


class ConvNormReLU(nn.Module):
    """3x3 convolution without bias · group norm · ReLU."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        self.norm = norm(outer)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inner, H, W] → [B, outer, H, W]."""
        return torch.relu(self.norm(self.conv(x)))


def enlarged(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear, by PyTorch's interpolation."""
    return F.interpolate(x, list(size), mode="bilinear", align_corners=False)


class DepthDecoder(nn.Module):
    """From maps of several scales to the logarithm of depth."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList([nn.Conv2d(count, width, 1) for count in channels])
        self.merges = nn.ModuleList([ConvNormReLU(width, width) for _ in channels])
        self.narrow = ConvNormReLU(width, width // 2)
        self.refine = ConvNormReLU(width // 2, width // 4)
        self.last = nn.Conv2d(width // 4, 1, 3, padding=1)

    def forward(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """[B, H, W] for pictures of H x W pixels."""
        sides = [lateral(each) for lateral, each in zip(self.laterals, maps, strict=True)]
        out = self.merges[-1](sides[-1] + sides[-1].mean((2, 3), keepdim=True))
        for merge, side in zip(self.merges[-2::-1], sides[-2::-1], strict=True):
            out = merge(enlarged(out, side.shape[2:]) + side)
        out = enlarged(self.narrow(out), [side // 2 for side in size])
        return enlarged(self.last(self.refine(out)), size)[:, 0]


class DepthNet(nn.Module):
    """An encoder and a decoder."""

    def __init__(
        self, encoder: ChainEncoder | VGGEncoder, width: int, mean_log_depth: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = DepthDecoder(encoder.channels, width)
        self.mean_log_depth = mean_log_depth

    def forward(self, images: Tensor) -> Tensor:
        """The logarithm of depth [B, H, W] of [B, 3, H, W]."""
        return self.decoder(self.encoder(images), images.shape[2:]) + self.mean_log_depth


def berhu(errors: Tensor, mask: Tensor) -> Tensor:
    """Mean over pictures of the reverse Huber loss of the pixels where mask is set."""
    losses = []
    for error, known in zip(errors, mask, strict=True):
        size = error[known].abs()
        limit = 0.2 * size.max().detach()
        far = size > limit
        losses.append(torch.where(far, (size**2 + limit**2) / (2 * limit), size).mean())
    return torch.stack(losses).mean()


def scale_invariant(errors: Tensor, mask: Tensor, share: float = 0.5) -> Tensor:
    """Mean over pictures of mean(e²) - share · mean(e)²."""
    losses = []
    for error, known in zip(errors, mask, strict=True):
        of_known = error[known]
        losses.append((of_known**2).mean() - share * of_known.mean() ** 2)
    return torch.stack(losses).mean()


def errors(predicted: Tensor, truth: Tensor) -> dict[str, float]:
    """The errors of the literature over the pixels of all pictures, in metres."""
    ratio = torch.maximum(predicted / truth, truth / predicted)
    found = {
        "rel": ((predicted - truth).abs() / truth).mean(),
        "rms": ((predicted - truth) ** 2).mean().sqrt(),
        "log10": (predicted.log10() - truth.log10()).abs().mean(),
        **{f"delta{k}": (ratio < 1.25**k).double().mean() for k in (1, 2, 3)},
    }
    return {name: value.item() for name, value in found.items()}
