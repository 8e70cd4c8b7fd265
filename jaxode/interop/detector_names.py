"""Names of a detector's layers in the state_dict of torchvision's FasterRCNN."""

from __future__ import annotations

from typing import Any

from jaxode.models import Detector, PyramidBackbone

Path = tuple[Any, ...]

HEADS = {
    ("region", "conv"): "rpn.head.conv.0.0",
    ("region", "objectness"): "rpn.head.cls_logits",
    ("region", "codes"): "rpn.head.bbox_pred",
    ("head", "linear1"): "roi_heads.box_head.fc6",
    ("head", "linear2"): "roi_heads.box_head.fc7",
    ("head", "classes"): "roi_heads.box_predictor.cls_score",
    ("head", "codes"): "roi_heads.box_predictor.bbox_pred",
}
"""By path; of a region head with one convolution, and a box head of two layers."""

READS_MAPS = "roi_heads.box_head.fc6.weight"
"""The linear layer that reads RoIAlign's bins, whose channels come first in PyTorch."""


def detector_names(model: Detector, layers: set[Path]) -> dict[Path, str]:
    """The name of each layer of a detector.

    The backbone's begin with `backbone.`: of VGG-16 they are those of torchvision's `features`, of
    a ResNet its own; of ODE and residual blocks those of `torch_ref.backbone`.

    Args:
      model: the detector.
      layers: paths of its layers.
    """
    pyramid = isinstance(model.backbone, PyramidBackbone)
    body = {} if pyramid else _chain_names(model.backbone)
    named = {}
    for path in layers:
        if path in HEADS:
            named[path] = HEADS[path]
        elif pyramid:  # ("backbone", "network", …)
            words = [str(word) for word in path[2:] if word != "layers"]
            named[path] = ".".join(["backbone", *words])
        else:
            named[path] = body[path]
    return named


def _chain_names(backbone: Any) -> dict[Path, str]:
    """Of a stem of convolutions, a chain of blocks and a norm, which are numbered through."""
    stem = backbone.stem
    numbers: dict[Path, str] = {("stem", "convs", 0): "0"}
    for place in range(len(stem.norms)):
        numbers["stem", "norms", place] = str(1 + 3 * place)
        numbers["stem", "convs", place + 1] = str(3 + 3 * place)
    first = 1 + 3 * len(stem.norms)
    for number, block in enumerate(backbone.blocks, first):
        place = ("blocks", number - first)
        for name in ("norm1", "conv1", "norm2", "conv2", "norm3"):
            if hasattr(block, "field"):
                layer = "._layer" if name.startswith("conv") else ""
                numbers[*place, "field", name] = f"{number}.odefunc.{name}{layer}"
            else:
                numbers[*place, name] = f"{number}.{name}"
    numbers["norm",] = str(first + len(backbone.blocks))
    return {("backbone", *path): f"backbone.layers.{number}" for path, number in numbers.items()}
