"""Models of torchvision's layout from their state_dicts: which model it is, and its numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from jaxode.checks import ConfigError
from jaxode.interop.pytorch_layout import InteropError, from_torch
from jaxode.models import VGG, BottleneckResNet
from jaxode.models.bottleneck_resnet import RESNET101
from jaxode.models.detector_config import DetectorConfig, create_detector
from jaxode.models.vgg import scaled_stages
from jaxode.nn.kernels import Kernels

Weights = Mapping[str, np.ndarray]
Build = Callable[..., nnx.Module]
"""(rngs, dtype and kernels by name) → a model with initial parameters."""

ANCHOR_RATIOS = 3
"""Of height to width, where a file leaves open how sizes and ratios share the anchors' number."""


@dataclass(frozen=True)
class TorchvisionModel:
    """Which model a state_dict of torchvision's layout is of.

    Args:
      title: for a person.
      build: makes it with initial parameters.
      assumed: what the file does not say and was taken for granted; empty if there is nothing.
    """

    title: str
    build: Build
    assumed: str = ""


def torchvision_model(
    weights: Weights,
    *,
    dtype: DTypeLike = jnp.float32,
    kernels: Kernels | None = None,
    **detector: Any,
) -> nnx.Module:
    """The model of a state_dict in torchvision's layout, with its numbers.

    Supported are VGG-16 with batch norm, ResNets of bottleneck blocks (ResNet-50 and -101; also
    with a 3x3 convolution of stride 1 as their stem), both at any width; and FasterRCNN on one map
    of VGG-16, ResNet-101 or the backbones of `torch_ref.backbone`, with a box head of two layers.

    Args:
      weights: arrays by torchvision's names, as of `jaxode.interop.read_weights`.
      dtype: floating-point type of the parameters.
      kernels: convolution and norms; None for the quickest in float32.
      detector: of a FasterRCNN, settings of `DetectorConfig` that no state_dict has: `anchors`,
        `ratios`, `proposals`, `boxes`, `rows`, `columns`.

    Raises:
      InteropError: a model that is not supported, or arrays that are missing or of other shapes,
        which the text names.
      ConfigError: a setting that is not allowed.

    Example:
      >>> import jax, numpy as np
      >>> from flax import nnx
      >>> from jaxode.interop import to_torch, torchvision_model
      >>> from jaxode.models import BottleneckResNet
      >>> weights = to_torch(BottleneckResNet(2, (1, 1, 1, 1), width=1 / 16, rngs=nnx.Rngs(0)))
      >>> model = torchvision_model(weights)
      >>> jax.eval_shape(lambda x: model(x), np.zeros((1, 32, 32, 3), np.float32)).shape
      (1, 2)
    """
    found = recognised(weights, **detector)
    if found is None:
        raise InteropError("neither a VGG, nor a ResNet, nor a FasterRCNN in torchvision's layout")
    model = nnx.eval_shape(lambda: found.build(rngs=nnx.Rngs(0), dtype=dtype, kernels=kernels))
    nnx.update(model, from_torch(model, weights))
    return model


def recognised(weights: Weights, **detector: Any) -> TorchvisionModel | None:
    """Which model of torchvision's layout a state_dict is of, by names and shapes.

    Args:
      weights: arrays by name.
      detector: as of `torchvision_model`.

    Returns:
      None for a state_dict of another layout.

    Raises:
      InteropError: of that layout, but a model that is not supported.
      ConfigError: a setting that is not allowed.
    """
    if "rpn.head.cls_logits.weight" in weights or "rpn.head.conv.weight" in weights:
        return _faster_rcnn(weights, detector)
    if detector:
        raise ConfigError(f"{', '.join(detector)} must be left out for a model without boxes")
    if "features.0.weight" in weights and "classifier.0.weight" in weights:
        return _vgg(weights)
    if "layer1.0.conv1.weight" in weights and "conv1.weight" in weights:
        return _resnet(weights)
    return None


def _shape(weights: Weights, name: str, sides: int) -> tuple[int, ...]:
    """The shape of an array of so many axes. Raises InteropError."""
    found = weights.get(name)
    if found is None:
        raise InteropError(f"missing {name}")
    if found.ndim != sides:
        raise InteropError(f"{name} must have {sides} axes, got shape {found.shape}")
    return found.shape


def _convolutions(weights: Weights, prefix: str) -> list[int]:
    """Output channels of the convolutions of a VGG, in their order. Raises InteropError."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.weight$")
    numbers = {
        int(match[1]): array.shape[0]
        for name, array in weights.items()
        if (match := pattern.match(name)) and array.ndim == 4
    }
    if f"{prefix}1.weight" not in weights:
        raise InteropError(f"missing {prefix}1.weight: only vgg16_bn is supported")
    return [numbers[number] for number in sorted(numbers)]


def _require_vgg16(channels: list[int], stages: int) -> float:
    """The width of a VGG-16 of so many stages. Raises InteropError."""
    width = channels[0] / 64
    try:
        wanted = [count for stage in scaled_stages(width)[:stages] for count in stage]
    except ConfigError:
        wanted = []
    if channels != wanted:
        raise InteropError(
            "its convolutions must have VGG-16's channels (64, 64, 128, 128, 256, …) times one"
            f" factor, got {', '.join(map(str, channels))}"
        )
    return width


def _vgg(weights: Weights) -> TorchvisionModel:
    width = _require_vgg16(_convolutions(weights, "features."), 5)
    channels = _shape(weights, "features.0.weight", 4)[1]
    classes = _shape(weights, "classifier.6.weight", 2)[0]
    return TorchvisionModel(
        f"vgg16_bn of {classes} classes{_times(width)}",
        lambda **both: VGG(classes, channels, width=width, **both),
    )


def _times(width: float) -> str:
    return "" if width == 1 else f", {width:g} times as wide"


def _blocks(weights: Weights, prefix: str = "") -> list[int]:
    """Bottleneck blocks of each of the four stages. Raises InteropError for another kind."""
    if f"{prefix}layer1.0.conv3.weight" not in weights:
        raise InteropError(
            f"missing {prefix}layer1.0.conv3.weight: only ResNets of bottleneck"
            " blocks are supported, as resnet50 and resnet101"
        )
    counts = []
    for stage in range(1, 5):
        place = re.compile(re.escape(prefix) + rf"layer{stage}\.(\d+)\.")
        numbers = {int(match[1]) for name in weights if (match := place.match(name))}
        counts.append(max(numbers, default=-1) + 1)
    return counts


def _resnet(weights: Weights) -> TorchvisionModel:
    blocks = _blocks(weights)
    first, channels, side = _shape(weights, "conv1.weight", 4)[:3]
    if side not in (3, 7):
        raise InteropError(f"conv1.weight must be of 7 x 7 or 3 x 3 pixels, got {side} x {side}")
    stem: Any = "imagenet" if side == 7 else "cifar"
    classes = _shape(weights, "fc.weight", 2)[0]
    layers = 3 * sum(blocks) + 2
    return TorchvisionModel(
        f"resnet{layers} of {classes} classes{_times(first / 64)}",
        lambda **both: BottleneckResNet(
            classes, blocks, channels, width=first / 64, stem=stem, **both
        ),
    )


def _faster_rcnn(weights: Weights, given: dict[str, Any]) -> TorchvisionModel:
    if any(name.startswith("backbone.fpn.") for name in weights):
        raise InteropError("it has a feature pyramid (backbone.fpn): detectors here have one map")
    anchors = _shape(weights, "rpn.head.cls_logits.weight", 4)[0]
    settings: dict[str, Any] = {
        "classes": _shape(weights, "roi_heads.box_predictor.cls_score.weight", 2)[0] - 1,
        "hidden": _shape(weights, "roi_heads.box_head.fc6.weight", 2)[0],
        **_backbone(weights),
    }
    assumed = ""
    if "anchors" not in given:
        ratios = ANCHOR_RATIOS if anchors % ANCHOR_RATIOS == 0 else 1
        settings["anchors"] = ",".join(str(16 * 2**k) for k in range(anchors // ratios))
        settings["ratios"] = "0.5,1,2" if ratios > 1 else "1"
        assumed = f"anchors of {settings['anchors']} pixels with ratios {settings['ratios']}"
    config = DetectorConfig(**settings | given)
    if config.settings.anchors != anchors:
        raise InteropError(
            f"rpn.head.cls_logits.weight is of {anchors} anchors a place, and anchors and ratios"
            f" make {config.settings.anchors}"
        )
    return TorchvisionModel(
        f"FasterRCNN of {config.classes} classes on {config.backbone}, stem {config.stem}",
        lambda **both: create_detector(config, **both),
        assumed,
    )


def _backbone(weights: Weights) -> dict[str, Any]:
    """Settings of a detector that its backbone shows. Raises InteropError."""
    if "backbone.layers.0.weight" in weights:
        return _chain(weights)
    if "backbone.0.weight" in weights:
        channels = _convolutions(weights, "backbone.")
        stages = {10: 4, 13: 5}.get(len(channels))
        if stages is None:
            raise InteropError(
                "its VGG-16 must end with conv4_3 or conv5_3, after 10 or 13 convolutions, got"
                f" {len(channels)}"
            )
        width = round(64 * _require_vgg16(channels, stages))
        return {"backbone": "vgg16", "stem": "eighth" if stages == 4 else "sixteenth",
                "width": width}  # fmt: skip
    if "backbone.conv1.weight" in weights:
        blocks = tuple(_blocks(weights, "backbone."))
        allowed: dict[tuple[int, ...], str] = {
            (*RESNET101[:2], 0, 0): "eighth",
            (*RESNET101[:3], 0): "sixteenth",
        }
        if blocks not in allowed:
            raise InteropError(
                "its ResNet must be ResNet-101 up to layer2 or layer3, of 3, 4 or 3, 4, 23 blocks,"
                f" got {', '.join(map(str, blocks))}"
            )
        width = _shape(weights, "backbone.conv1.weight", 4)[0]
        return {"backbone": "resnet101", "stem": allowed[blocks], "width": width}
    raise InteropError(
        "its backbone must be VGG-16's features, ResNet-101 without its classifier, or of"
        " torch_ref.backbone: there is none of backbone.0.weight, backbone.conv1.weight and"
        " backbone.layers.0.weight"
    )


def _chain(weights: Weights) -> dict[str, Any]:
    """Settings of a backbone of ODE blocks or residual blocks."""
    solves = any(".odefunc." in name for name in weights)
    block = r"backbone\.layers\.(\d+)\." + (r"odefunc\.norm1\." if solves else r"norm1\.")
    numbers = {int(match[1]) for name in weights if (match := re.match(block, name))}
    if not numbers:
        raise InteropError("its chain of blocks is empty")
    stem = {7: "eighth", 10: "sixteenth"}.get(min(numbers))
    if stem is None:
        raise InteropError(
            f"its blocks must begin with layer 7 or 10, behind 3 or 4 convolutions, got"
            f" {min(numbers)}"
        )
    width = _shape(weights, "rpn.head.conv.0.0.weight", 4)[1]
    name = "odenet" if solves else "resnet"
    return {"backbone": name, "stem": stem, "width": width, "blocks": len(numbers)}
