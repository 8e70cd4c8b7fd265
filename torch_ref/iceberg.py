"""The classifiers of radar images in PyTorch: dense, residual and with an ODE block.

Modules are called as in `jaxode.models.iceberg`, so that a parameter's name is its path there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from torch_ref.model import ODEBlock, ODEFunc
from torch_ref.solve import Settings

NORM: dict[str, Any] = {"momentum": 0.01, "eps": 1e-3}
"""Keras's momentum of 0.99, in PyTorch's words, and its eps."""


class ConvUnit(nn.Module):
    """5x5 convolution · batch norm · ELU."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 5, padding=2)
        self.norm = nn.BatchNorm2d(outer, **NORM)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inner, H, W] → [B, outer, H, W]."""
        return F.elu(self.norm(self.conv(x)))


class DenseUnit(nn.Module):
    """Linear · batch norm · ELU · dropout 0.5."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inner, outer)
        self.norm = nn.BatchNorm1d(outer, **NORM)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inner] → [B, outer]."""
        return self.dropout(F.elu(self.norm(self.linear(x))))


class Entry(nn.Module):
    """Batch norm · 2 × (unit · max pool · dropout 0.25)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, **NORM)
        self.unit1, self.unit2 = ConvUnit(channels, 32), ConvUnit(32, 64)
        self.dropout = nn.Dropout(0.25)

    def forward(self, images: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, 64, H // 4, W // 4]."""
        out = self.dropout(F.max_pool2d(self.unit1(self.norm(images)), 2))
        return self.dropout(F.max_pool2d(self.unit2(out), 2))


class Block(nn.Module):
    """z + [batch norm · unit of 128 channels · dropout 0.25 · unit of 64 channels](z)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(64, **NORM)
        self.unit1, self.unit2 = ConvUnit(64, 128), ConvUnit(128, 64)
        self.dropout = nn.Dropout(0.25)

    def forward(self, z: Tensor) -> Tensor:
        """[B, 64, H, W] → [B, 64, H, W]."""
        return z + self.unit2(self.dropout(self.unit1(self.norm(z))))


class Exit(nn.Module):
    """Three units with max pools, the maximum over pixels, two dense units, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.unit1, self.unit2, self.unit3 = (
            ConvUnit(64, 128),
            ConvUnit(128, 256),
            ConvUnit(256, 512),
        )
        self.dropout = nn.Dropout(0.25)
        self.dense1, self.dense2 = DenseUnit(512, 512), DenseUnit(512, 256)
        self.linear = nn.Linear(256, 2)

    def forward(self, z: Tensor) -> Tensor:
        """[B, 64, H, W] → [B, 2]."""
        out = F.max_pool2d(self.unit1(z), 2)
        for unit in (self.unit2, self.unit3):
            out = F.max_pool2d(self.dropout(unit(out)), 2)
        return self.linear(self.dense2(self.dense1(out.amax((2, 3)))))


class BandsNet(nn.Module):
    """Entry · blocks · exit."""

    def __init__(self, channels: int, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.downsample, self.blocks, self.head = Entry(channels), nn.Sequential(*blocks), Exit()

    def forward(self, images: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, 2]."""
        return self.head(self.blocks(self.downsample(images)))


class Dense(nn.Module):
    """Flatten · 4 × (linear 128 · ReLU) · linear 1: the score s as the logits [0, s]."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(*pair) for pair in pairwise((inputs, 128, 128, 128, 128, 1))]
        )

    def forward(self, images: Tensor) -> Tensor:
        """[B, channels, H, W] → [B, 2]."""
        *hidden, last = self.layers
        out = images.flatten(1)
        for layer in hidden:
            out = torch.relu(layer(out))
        score = last(out)
        return torch.cat([torch.zeros_like(score), score], 1)


def build(
    kind: str,
    *,
    channels: int,
    side: int = 75,
    settings: Settings = Settings(),  # noqa: B008 - frozen
) -> nn.Module:
    """A dense, cnn or odecnn for images [B, channels, side, side].

    `settings` are those of the ODE block.
    """
    if kind == "dense":
        return Dense(channels * side * side)
    blocks: list[nn.Module] = (
        [Block(), Block()] if kind == "cnn" else [ODEBlock(ODEFunc(64), settings)]
    )
    return BandsNet(channels, blocks)
