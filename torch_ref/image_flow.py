"""Continuous normalizing flows of images with torchdiffeq: convolutional fields, several scales.

Source: FFJORD (Grathwohl et al. 2019), its code's ODEnet, CNF and ODENVP. Images are [B, C, H, W];
the state of a solve has an image's numbers in one row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torchdiffeq
from torch import Tensor, nn

from torch_ref.cnf import LogDensityField

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


def _convolution(inner: int, outer: int, stride: int) -> nn.Module:
    if stride == 1:
        return nn.Conv2d(inner, outer, 3, padding=1)
    kind = nn.Conv2d if stride > 0 else nn.ConvTranspose2d
    return kind(inner, outer, 4, stride=2, padding=1)


class ConcatConv(nn.Module):
    """A convolution of a channel filled with the time followed by those of z."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv = _convolution(inner + 1, outer, stride)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """The layer at time t."""
        return self.conv(torch.cat([torch.ones_like(z[:, :1]) * t, z], 1))


class ConcatSquashConv(nn.Module):
    """A convolution with a gate and a bias of the time for each channel."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv = _convolution(inner, outer, stride)
        self.gate = nn.Linear(1, outer)
        self.time_bias = nn.Linear(1, outer, bias=False)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """The layer at time t."""
        t = t.reshape(1, 1)
        gate = torch.sigmoid(self.gate(t)).reshape(1, -1, 1, 1)
        return self.conv(z) * gate + self.time_bias(t).reshape(1, -1, 1, 1)


LAYERS = {"concat": ConcatConv, "concatsquash": ConcatSquashConv}


class ImageField(nn.Module):
    """Convolutions with softplus between them, of images in rows [B, D]."""

    def __init__(
        self, shape: Shape, hidden: Sequence[int], strides: Sequence[int], layer: str = "concat"
    ) -> None:
        super().__init__()
        self.shape = shape
        sizes = [shape[0], *hidden, shape[0]]
        self.layers = nn.ModuleList(
            [LAYERS[layer](*each) for each in zip(sizes[:-1], sizes[1:], strides, strict=True)]
        )

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """Slopes [B, D] of images [B, D]."""
        maps = z.reshape(len(z), *self.shape)
        for layer in self.layers[:-1]:
            maps = nn.functional.softplus(layer(t, maps))
        return self.layers[-1](t, maps).reshape(z.shape)


def squeeze(x: Tensor) -> Tensor:
    """Squares of 2 x 2 pixels as channels."""
    return nn.functional.pixel_unshuffle(x, 2)


def logit(x: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """The logit of s = α + (1 - 2 α) x, and the logarithm of its derivatives' product [B]."""
    s = alpha + (1 - 2 * alpha) * x
    each = math.log(1 - 2 * alpha) - torch.log(s - s * s)
    return torch.log(s) - torch.log(1 - s), each.flatten(1).sum(1)


def standard_normal(z: Tensor) -> Tensor:
    """Log-densities [B] of N(0, 1)."""
    return (-0.5 * (z**2 + math.log(2 * math.pi))).flatten(1).sum(1)


class ImageFlow(nn.Module):
    """Log-densities of images from 0 to 1, by torchdiffeq's dopri5.

    Args:
      shape: channels, height and width.
      field: makes the field of images of a shape.
      scales: on each but the last: ODEs, a squeeze, ODEs, and half of the channels are done.
      blocks: number of ODEs in a row.
      alpha: α of the logit.
      tolerance: rtol and atol.
      adjoint: whether the gradient is that of the adjoint ODE.
    """

    def __init__(
        self,
        shape: Shape,
        field: Callable[[Shape], nn.Module],
        *,
        scales: int = 1,
        blocks: int = 1,
        alpha: float = 1e-6,
        tolerance: float = 1e-5,
        adjoint: bool = False,
    ) -> None:
        super().__init__()
        self.scales, self.blocks, self.alpha = scales, blocks, alpha
        self.tolerance, self.adjoint = tolerance, adjoint
        shapes, (c, h, w) = [], shape
        for _ in range(scales - 1):
            shapes += [(c, h, w)] * blocks + [(4 * c, h // 2, w // 2)] * blocks
            c, h, w = 2 * c, h // 2, w // 2
        shapes += [(c, h, w)] * blocks
        self.slopes = nn.ModuleList([LogDensityField(field(each)) for each in shapes])

    @property
    def nfe(self) -> list[int]:
        """Evaluations of each solve's field so far."""
        return [slope.nfe for slope in self.slopes]  # type: ignore[misc]

    def log_prob(self, x: Tensor, noises: Sequence[Tensor | None]) -> Tensor:
        """Log-densities [B] of images [B, C, H, W] in nats, with the noise of each solve."""
        z, log_p = logit(x, self.alpha)
        index = 0
        for scale in range(self.scales):
            last = scale == self.scales - 1
            for part in range(1 if last else 2):
                for _ in range(self.blocks):
                    z, change = self._solve(index, z, noises[index])
                    log_p, index = log_p - change, index + 1
                if not last and part == 0:
                    z = squeeze(z)
            if not last:
                z, done = z.chunk(2, 1)
                log_p = log_p + standard_normal(done)
        return log_p + standard_normal(z)

    def _solve(self, index: int, z: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        slope = self.slopes[index]
        slope.noise = noise  # type: ignore[assignment]
        solve = torchdiffeq.odeint_adjoint if self.adjoint else torchdiffeq.odeint
        ends, changes = solve(
            slope,
            (z.flatten(1), torch.zeros(len(z), dtype=z.dtype)),
            torch.tensor([0.0, 1.0], dtype=z.dtype),
            rtol=self.tolerance,
            atol=self.tolerance,
            method="dopri5",
        )
        return ends[-1].reshape(z.shape), changes[-1]
