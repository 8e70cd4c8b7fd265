"""torchvision's VGG and ResNet with batch norm, at any width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torch_ref import vision

RESNET50, RESNET101 = (3, 4, 6, 3), (3, 4, 23, 3)
"""Bottleneck blocks of each stage."""


def vgg16_bn(classes: int = 1000, width: float = 1.0, dropout: float = 0.5) -> nn.Module:
    """VGG-16 with batch norm, torchvision's with `width` times its channels and hidden units.

    Initial weights are torchvision's.
    """
    module: Any = vision.load().models.vgg
    stages = [each if each == "M" else round(each * width) for each in module.cfgs["D"]]
    model = module.VGG(module.make_layers(stages, batch_norm=True), classes, dropout=dropout)
    if width != 1:
        sizes: Any = (stages[-2] * 49, round(4096 * width), round(4096 * width), classes)
        for number, place in enumerate((0, 3, 6)):
            linear = nn.Linear(sizes[number], sizes[number + 1])
            nn.init.normal_(linear.weight, 0, 0.01)
            nn.init.zeros_(linear.bias)
            model.classifier[place] = linear
    return model


def bottleneck_resnet(
    classes: int = 1000,
    blocks: Sequence[int] = RESNET101,
    width: float = 1.0,
    cifar_stem: bool = False,
) -> nn.Module:
    """A bottleneck ResNet, torchvision's with `width` times its channels.

    Args:
      classes: number of logits.
      blocks: of each stage.
      width: factor of all channels.
      cifar_stem: a 3x3 convolution of stride 1 in place of 7x7 of stride 2 and the max pool.
    """
    module: Any = vision.load().models.resnet

    class Scaled(module.ResNet):
        def _make_layer(self, block: Any, planes: int, *rest: Any, **options: Any) -> nn.Module:
            if planes == 64:  # the first stage: the stem before it is scaled as well
                self.inplanes = round(64 * width)
                self.conv1 = nn.Conv2d(3, self.inplanes, 7, 2, 3, bias=False)
                self.bn1 = nn.BatchNorm2d(self.inplanes)
            return super()._make_layer(block, round(planes * width), *rest, **options)

    model = Scaled(module.Bottleneck, list(blocks), classes)
    if cifar_stem:
        model.conv1 = nn.Conv2d(3, round(64 * width), 3, 1, 1, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
        model.maxpool = nn.Identity()
    if width != 1:
        model.fc = nn.Linear(round(2048 * width), classes)
    return model


def randomise_norms(model: nn.Module, seed: int) -> nn.Module:
    """Give batch norms scales and biases other than the initial ones."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(like: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=generator, dtype=like.dtype)

    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.copy_(drawn(layer.weight, 0.5, 1.5))
                layer.bias.copy_(drawn(layer.bias, -0.3, 0.3))
    return model
